/* misuses.c - frees and reallocs of what was no live block, and writes outside of one:
 * the model (answers.h). */
#include "answers/answers.h"

#include <stdlib.h>

static int by_count(const void *a, const void *b) {
  const struct ul_misuse *x = *(const struct ul_misuse *const *)a;
  const struct ul_misuse *y = *(const struct ul_misuse *const *)b;
  if (x->count != y->count) return x->count > y->count ? -1 : 1;
  return x < y ? -1 : x > y;
}

bool misuses_any(const struct recording *r) {
  for (int kind = 0; kind < UL_MISUSES; kind++)
    if (misuses_of(r, kind).count) return true;
  return false;
}

struct misuses misuses_of(const struct recording *r, enum ul_misuse_kind kind) {
  const struct ul_header *h = recording_header(r);
  struct misuses m = {.kind = kind, .count = h->fallbacks[ul_misuse_counter(kind)]};
  const struct ul_misuse *places = h->misuses + kind * UL_MISUSE_PLACES;
  for (size_t i = 0; i < UL_MISUSE_PLACES; i++)
    if (places[i].count) m.places[m.known++] = &places[i];
  qsort(m.places, m.known, sizeof *m.places, by_count);
  return m;
}
