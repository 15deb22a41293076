/* leaks.c - what the scan at the end could not reach: the model (answers.h). */
#include "answers/answers.h"

#include <stdlib.h>

bool leaks_known(const struct recording *r) {
  return recording_header(r)->scan.state == UL_SCAN_DONE;
}

static int by_bytes(const void *a, const void *b) {
  const struct ul_leak *x = *(const struct ul_leak *const *)a;
  const struct ul_leak *y = *(const struct ul_leak *const *)b;
  uint64_t sx = x->bytes + x->indirect_bytes, sy = y->bytes + y->indirect_bytes;
  if (sx != sy) return sx > sy ? -1 : 1;
  return x < y ? -1 : x > y;
}

const struct ul_leak **leaks_of(const struct recording *r, enum ul_verdict verdict,
                                size_t *count) {
  const struct ul_leak **list = malloc((recording_count(r, UL_LEAKS) + 1) * sizeof *list);
  const struct ul_leak *leak;
  *count = 0;
  for (uint64_t i = 0; list && (leak = recording_leak(r, i)); i++)
    if (leak->verdict == verdict && leak->blocks) list[(*count)++] = leak;
  if (*count) qsort(list, *count, sizeof *list, by_bytes);
  return list;
}

struct ul_amount leaks_of_main(const struct recording *r) {
  return recording_header(r)->of_main;
}

struct ul_amount leaks_inherited(const struct recording *r) {
  const struct ul_header *h = recording_header(r);
  return h->features & UL_FEATURE_INHERITED ? h->inherited_lost : (struct ul_amount){0};
}

struct ul_amount leaks_rescued(const struct recording *r, enum ul_heuristic by) {
  const struct ul_header *h = recording_header(r);
  return by < UL_HEURISTICS_OF_SCAN ? h->scan.rescued[by]
                                    : h->rescued[by - UL_HEURISTICS_OF_SCAN];
}

uint64_t leaks_age_ms(const struct recording *r, uint32_t birth) {
  uint64_t at = recording_header(r)->scan.at_ms, born = ul_birth_ms(birth);
  return at > born ? at - born : 0;
}

/* ---- whom they drag along ------------------------------------------------------ */

struct drags {
  size_t count;
  const struct ul_drag *list[]; /* by leader, then by bytes */
};

static int by_leader(const void *a, const void *b) {
  const struct ul_drag *x = *(const struct ul_drag *const *)a;
  const struct ul_drag *y = *(const struct ul_drag *const *)b;
  if (x->leader != y->leader) return x->leader < y->leader ? -1 : 1;
  if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
  return x < y ? -1 : x > y;
}

struct drags *drags_load(const struct recording *r) {
  bool known = recording_header(r)->features & UL_FEATURE_VERDICTS;
  size_t count = known ? recording_count(r, UL_DRAGS) : 0;
  struct drags *d = calloc(1, sizeof *d + count * sizeof *d->list);
  for (size_t i = 0; d && i < count; i++) {
    const struct ul_drag *drag = recording_drag(r, i);
    if (drag->blocks) d->list[d->count++] = drag;
  }
  if (d && d->count) qsort(d->list, d->count, sizeof *d->list, by_leader);
  return d;
}

void drags_free(struct drags *d) {
  free(d);
}

const struct ul_drag *const *drags_of(const struct drags *d, uint32_t leader,
                                      size_t *count) {
  size_t low = 0, high = d->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (d->list[middle]->leader < leader)
      low = middle + 1;
    else
      high = middle;
  }
  *count = 0;
  while (low + *count < d->count && d->list[low + *count]->leader == leader)
    ++*count;
  return d->list + low;
}
