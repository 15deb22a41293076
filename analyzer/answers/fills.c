/* fills.c - what was allocated and never written, where blocks were guarded: the model
 * (answers.h). */
#include "answers/answers.h"

#include <stdlib.h>

static int by_never_written(const void *a, const void *b) {
  const struct fills_site *x = a, *y = b;
  if (x->fill.never_written != y->fill.never_written)
    return x->fill.never_written > y->fill.never_written ? -1 : 1;
  return x->site < y->site ? -1 : x->site > y->site;
}

static void add(struct fills *f, uint32_t site, const struct ul_fill *fill) {
  f->total.blocks += fill->blocks;
  f->total.bytes += fill->bytes;
  f->total.never_written += fill->never_written;
  if (fill->never_written) f->sites[f->count++] = (struct fills_site){site, *fill};
}

bool fills_load(const struct recording *r, struct fills *f) {
  const struct ul_fill *fill;
  f->known = recording_header(r)->features & UL_FEATURE_GUARDED;
  if (!f->known) return true;
  f->sites = calloc(recording_count(r, UL_FILLS) + 1, sizeof *f->sites);
  if (!f->sites) return false;
  for (uint32_t site = 0; (fill = recording_fill(r, site)); site++)
    add(f, site, fill);
  qsort(f->sites, f->count, sizeof *f->sites, by_never_written);
  return true;
}
