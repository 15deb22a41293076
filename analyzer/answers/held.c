#include "answers/held.h"

#include <stdlib.h>

static const struct ul_amount *sort_by; /* qsort hands on nothing */

static int by_bytes(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  if (sort_by[x].bytes != sort_by[y].bytes)
    return sort_by[x].bytes > sort_by[y].bytes ? -1 : 1;
  return (x > y) - (x < y);
}

static bool list_sites(struct held *h, size_t count) {
  uint64_t bytes = 0, blocks = 0;
  h->sites = malloc((count + 1) * sizeof *h->sites);
  for (uint32_t i = 0; h->sites && i < count; i++) {
    if (!h->at->sites[i].blocks) continue;
    bytes += h->at->sites[i].bytes;
    blocks += h->at->sites[i].blocks;
    h->sites[h->count++] = i;
  }
  sort_by = h->at->sites;
  if (h->count) qsort(h->sites, h->count, sizeof *h->sites, by_bytes);
  if (h->at->live_bytes > bytes) h->untold.bytes = h->at->live_bytes - bytes;
  if (h->at->live_blocks > blocks) h->untold.blocks = h->at->live_blocks - blocks;
  return h->sites;
}

static bool find_causes(struct held *h, size_t count) {
  h->causes =
      causes_load(process_functions(h->process), process_sites(h->process),
                  &(struct cause_measure){.amount = h->at->sites, .count = count});
  return h->causes;
}

struct held *held_load(struct context *context) {
  struct held *h = calloc(1, sizeof *h);
  if (!h) return NULL;
  h->process = &context->processes[0];
  h->at = context->at;
  size_t count = recording_count(h->process->recording, UL_SITES);
  if (process_sites(h->process) && process_functions(h->process) &&
      list_sites(h, count) && find_causes(h, count))
    return h;
  held_free(h);
  return NULL;
}

void held_free(struct held *h) {
  if (!h) return;
  causes_free(h->causes);
  free(h->sites);
  free(h);
}
