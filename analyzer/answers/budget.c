#include "answers/budget.h"

#include "read/timeline.h"

#include <stdlib.h>

static uint64_t peak_bytes(const struct site_sum *s) {
  return s->peak_bytes;
}
static uint64_t live_bytes(const struct site_sum *s) {
  return s->bytes;
}
static uint64_t allocations(const struct site_sum *s) {
  return s->count.allocations;
}
static uint64_t temporary(const struct site_sum *s) {
  return s->count.temporary;
}

static uint32_t most(const struct sites *sites, sites_key *key) {
  size_t count;
  const struct site_sum **sorted = sites_sorted(sites, key, &count);
  uint32_t site = sorted && count ? sorted[0]->site : 0;
  free(sorted);
  return site;
}

/* The ledger is newer than the last snapshot of what was killed. */
static uint64_t most_bytes(const struct recording *r, const struct sites *sites) {
  uint64_t peak = timeline_peak_bytes(r);
  return sites->bytes > peak ? sites->bytes : peak;
}

struct budget_use budget_use(const struct recording *r, const struct sites *sites,
                             enum budget_measure measure) {
  const struct site_count *all = &sites->total;
  switch (measure) {
  case BUDGET_PEAK:
    return (struct budget_use){most_bytes(r, sites), most(sites, peak_bytes)};
  case BUDGET_LIVE:
    return (struct budget_use){sites->bytes, most(sites, live_bytes)};
  case BUDGET_ALLOCATIONS:
    return (struct budget_use){all->allocations, most(sites, allocations)};
  default:
    return (struct budget_use){all->allocations ? all->temporary * 100 / all->allocations
                                                : 0,
                               most(sites, temporary)};
  }
}
