#include "answers/temporary.h"

#include "read/timeline.h"

#include <stdlib.h>

#define FEWEST 1000000 /* 20 ms */
#define SHARE 10       /* of all allocations */
#define PER_MS 500     /* 20 ns each: a hundredth of the time */

bool temporary_matters(const struct recording *r, const struct sites *sites,
                       uint64_t allocations) {
  uint64_t start = timeline_start_ms(r), end = recording_duration_ms(r);
  uint64_t ms = end > start ? end - start : 0;
  return allocations >= FEWEST && allocations / PER_MS >= ms &&
         allocations >= sites->total.allocations / SHARE;
}

/* Only such sites count. */
static bool mostly_for_a_moment(const struct site_sum *s) {
  const struct site_count *c = &s->count;
  return !s->of_others && c->temporary && c->temporary >= c->allocations / 2;
}

/* Of a site's bytes that part which its temporary blocks are of all of its blocks. */
static struct ul_amount temporary_of(const struct site_sum *s) {
  const struct site_count *c = &s->count;
  double part = (double)c->temporary / (double)c->allocations;
  return (struct ul_amount){c->temporary, (uint64_t)((double)c->allocated_bytes * part)};
}

bool temporary_load(const struct recording *r, const struct sites *sites,
                    struct functions *functions, struct causes **causes) {
  *causes = NULL;
  if (!temporary_matters(r, sites, sites->total.temporary)) return true;
  struct ul_amount *amount = calloc(sites->count + 1, sizeof *amount);
  for (size_t i = 0; amount && i < sites->count; i++)
    if (mostly_for_a_moment(&sites->sum[i])) amount[i] = temporary_of(&sites->sum[i]);
  if (amount)
    *causes =
        causes_load(functions, sites,
                    &(struct cause_measure){.amount = amount, .count = sites->count});
  free(amount);
  return *causes;
}
