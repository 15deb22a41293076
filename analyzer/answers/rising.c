#include "answers/rising.h"

#include <stdlib.h>

static int by_importance(const void *a, const void *b) {
  const struct rising_site *x = a, *y = b;
  int order = growth_order(x->site, y->site);
  if (order) return order;
  return (x->process > y->process) - (x->process < y->process);
}

static bool much_grows(struct process *p) {
  uint64_t added = 0, live = 0;
  for (size_t i = 0; i < p->growth->count; i++) {
    const struct growth_site *s = &p->growth->sites[i];
    added += s->added.bytes; /* of what does not grow: 0 */
    if (s->trend.reason != TREND_FREED) live += s->added.bytes;
  }
  return growth_matters(p->recording, &p->growth->all, added, live,
                        process_peak_bytes(p));
}

static void add(struct rising *all, struct process *p) {
  const struct growth *g = p->growth;
  for (size_t i = 0; i < g->count; i++)
    all->sites[all->count++] = (struct rising_site){p, &g->sites[i]};
  for (size_t i = 0; i < 4; i++)
    all->verdicts[i] += g->verdicts[i];
  all->growing += g->verdicts[TREND_GROWING] > 0;
  all->unsure_matter = all->unsure_matter || g->unsure_matter;
  all->growing_matter = all->growing_matter || much_grows(p);
  if (!g->verdicts[TREND_GROWING] && g->all.verdict == TREND_GROWING && !all->unseen)
    all->unseen = p;
}

bool rising_saturates(const struct rising_site *place) {
  enum { LITTLE = 16 };
  const struct trend *t = &place->site->trend;
  return t->reason == TREND_SATURATES &&
         t->high * LITTLE >= (double)process_peak_bytes(place->process);
}

static void find_saturating(struct rising *all) {
  for (size_t i = 0; i < all->count; i++) {
    const struct rising_site *place = &all->sites[i];
    if (!rising_saturates(place)) continue;
    all->saturating++;
    if (!all->highest || place->site->trend.level > all->highest->site->trend.level)
      all->highest = place;
  }
}

struct rising *rising_load(struct context *context) {
  struct rising *all = calloc(1, sizeof *all);
  size_t count = 0;
  if (!all) return NULL;
  for (size_t i = 0; i < context->count; i++) {
    const struct growth *g = process_growth(&context->processes[i]);
    if (!g) {
      free(all);
      return NULL;
    }
    count += g->count;
  }
  all->context = context;
  all->sites = malloc((count + 1) * sizeof *all->sites);
  if (!all->sites) {
    free(all);
    return NULL;
  }
  for (size_t i = 0; i < context->count; i++)
    add(all, &context->processes[i]);
  if (context->count > 1) qsort(all->sites, count, sizeof *all->sites, by_importance);
  find_saturating(all);
  return all;
}

void rising_free(struct rising *all) {
  if (!all) return;
  free(all->sites);
  free(all);
}
