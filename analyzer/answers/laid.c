#include "answers/laid.h"

#include <stdlib.h>

static void add_grown(const struct growth *g, struct ul_amount *amount) {
  for (size_t i = 0; i < g->count; i++)
    if (g->sites[i].trend.verdict == TREND_GROWING)
      amount[g->sites[i].site] = g->sites[i].added;
}

static struct causes *by_growth(struct process *p) {
  struct ul_amount *amount = calloc(p->sites->count + 1, sizeof *amount);
  struct cause_measure measure = {.amount = amount, .count = p->sites->count};
  struct causes *causes = NULL;
  if (amount && process_growth(p)) {
    add_grown(p->growth, amount);
    causes = causes_load(p->functions, p->sites, &measure);
  }
  free(amount);
  return causes;
}

static struct causes *lay(struct process *p, enum laid by) {
  if (!process_sites(p) || !process_functions(p)) return NULL;
  switch (by) {
  case LAID_BY_LOSS:
    return findings_by_verdict(p->recording, p->sites, p->functions, FINDING_LOST);
  case LAID_BY_POSSIBLE_LOSS:
    return findings_by_verdict(p->recording, p->sites, p->functions, 1u << UL_POSSIBLE);
  default:
    return by_growth(p);
  }
}

const struct causes *laid_by(struct process *p, enum laid by) {
  if (by == LAID_BY_LOSS && p->findings && p->findings->lost) return p->findings->lost;
  if (!p->laid[by]) p->laid[by] = lay(p, by);
  return p->laid[by];
}

size_t laid_at(const struct causes *c, uint32_t site) {
  if (site >= c->sites || c->of_site[site] == UINT32_MAX) return LAID_NOWHERE;
  return c->of_site[site];
}

const struct causes *laid_waste(struct process *p, size_t *most, uint64_t *bytes) {
  const struct holders *h = process_unused(p) ? process_holders(p) : NULL;
  uint64_t *sums = h ? calloc(h->causes->count + 1, sizeof *sums) : NULL;
  uint64_t all = h ? unused_sum(&p->unused->total) + p->unused->unpinned_bytes : 0;
  *bytes = 0;
  for (size_t i = 0; sums && i < p->unused->count; i++) {
    size_t cause = laid_at(h->causes, p->unused->sites[i].site);
    if (cause == LAID_NOWHERE) continue;
    sums[cause] += unused_sum(&p->unused->sites[i]);
  }
  for (size_t i = 0; sums && i < h->causes->count; i++) {
    if (sums[i] <= *bytes) continue;
    *bytes = sums[i];
    *most = i;
  }
  free(sums);
  if (*bytes > all) *bytes = all; /* by samples it may be more than there is */
  return *bytes ? h->causes : NULL;
}
