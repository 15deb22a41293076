#include "read/estimate.h"

#include "read/parts.h"
#include "weight.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t estimate_sample_bytes(const struct recording *r) {
  return r->header.features & UL_FEATURE_SAMPLED ? r->header.sample_bytes : 0;
}

struct ul_amount estimate_of(const struct recording *r, uint32_t site,
                             struct ul_amount sampled) {
  double period = (double)estimate_sample_bytes(r);
  if (period <= 0 || site < UL_SITE_RESERVED || !sampled.blocks) return sampled;
  double blocks = (double)sampled.blocks, bytes = (double)sampled.bytes;
  double weight = weight_of(bytes / blocks, period);
  return (struct ul_amount){(uint64_t)llround(blocks * weight),
                            (uint64_t)llround(bytes * weight)};
}

static void scale(uint64_t *n, double weight) {
  *n = (uint64_t)llround((double)*n * weight);
}

/* What a sampled block drags along it drags as often as it stands for a block. Gives that
 * weight. */
static double estimate_leak(const struct recording *r, struct ul_leak *l) {
  struct ul_amount sampled = {l->blocks, l->bytes};
  struct ul_amount all = estimate_of(r, l->site, sampled);
  double weight = sampled.blocks ? (double)all.blocks / (double)sampled.blocks : 1;
  l->blocks = all.blocks;
  l->bytes = all.bytes;
  scale(&l->indirect_blocks, weight);
  scale(&l->indirect_bytes, weight);
  return weight;
}

bool estimate_leaks(struct recording *r) {
  if (!estimate_sample_bytes(r)) return true;
  double *weights = calloc(r->tables[UL_SITES].count + 1, sizeof *weights);
  if (!weights) return false;
  for (uint64_t i = 0; i < r->tables[UL_LEAKS].count; i++) {
    struct ul_leak *l = part_at(r, UL_LEAKS, i);
    double weight = estimate_is_rest(r, l->site) ? 0 : estimate_leak(r, l);
    if (l->verdict == UL_DEFINITE) weights[l->site] = weight;
    if (weight == 0) memset(l, 0, sizeof *l);
  }
  for (uint64_t i = 0; i < r->tables[UL_DRAGS].count; i++) {
    struct ul_drag *d = part_at(r, UL_DRAGS, i);
    scale(&d->blocks, weights[d->leader]);
    scale(&d->bytes, weights[d->leader]);
  }
  free(weights);
  return true;
}
