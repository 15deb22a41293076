#include "answers/sites.h"

#include "read/blocks.h"
#include "read/estimate.h"
#include "read/rows.h"
#include "read/timeline.h"
#include "weight.h"

#include <math.h>
#include <stdlib.h>

struct loading {
  const struct recording *recording;
  struct sites *sites;
  uint64_t start, part; /* ms: of the run, and how long a generation is */
  struct estimate {
    double blocks, bytes;
  } * estimates; /* of a sampled recording, by site */
};

static unsigned generation(const struct loading *l, uint64_t ms) {
  if (ms < l->start) return 0;
  uint64_t g = (ms - l->start) / l->part;
  return g < SITE_GENERATIONS ? (unsigned)g : SITE_GENERATIONS - 1;
}

static void add_block(const struct live_block *b, void *context) {
  struct loading *l = context;
  struct site_sum *s = &l->sites->sum[ul_entry_site(b->entry)];
  uint64_t ms = ul_birth_ms(ul_entry_birth(b->entry));
  if (s->blocks == 0 || ms < s->oldest_ms) s->oldest_ms = ms;
  if (s->blocks == 0 || ms > s->newest_ms) s->newest_ms = ms;
  s->generations |= (uint16_t)(1u << generation(l, ms));
  s->blocks++;
  s->bytes += b->requested;
  s->slack += b->usable - b->requested;
  if (l->estimates) {
    double weight = estimate_weight(l->recording, s->site, b->requested);
    l->estimates[s->site].blocks += weight;
    l->estimates[s->site].bytes += weight * (double)b->requested;
  }
  if (s->of_others && !recording_site_is_own(s->site))
    l->sites->inherited_bytes += b->requested;
  if (s->of_others) return;
  l->sites->blocks++;
  l->sites->bytes += b->requested;
}

static void add(struct site_count *to, const struct site_count *more) {
  to->allocations += more->allocations;
  to->allocated_bytes += more->allocated_bytes;
  to->frees += more->frees;
  to->freed_bytes += more->freed_bytes;
  to->temporary += more->temporary;
  to->lifetime_ms += more->lifetime_ms;
}

static struct site_count of_counter(const struct ul_counter *c) {
  return (struct site_count){c->allocations, c->allocated_bytes, c->frees,
                             c->freed_bytes, c->temporary,       c->lifetime_ms};
}

static uint64_t carried(int32_t n) {
  return (uint64_t)(int64_t)n << UL_CARRY_BITS;
}

static struct site_count of_carry(const struct ul_carry *c) {
  return (struct site_count){carried(c->allocations), carried(c->allocated_bytes),
                             carried(c->frees),       carried(c->freed_bytes),
                             carried(c->temporary),   carried(c->lifetime_ms)};
}

static void add_all(const struct recording *r, struct sites *s) {
  const struct ul_chunk *chunk;
  for (uint64_t i = 0; (chunk = recording_at(r, UL_CHUNKS, i)); i++)
    for (uint64_t k = 0; k < UL_CHUNK_SITES; k++) {
      struct site_count c =
          of_counter(recording_at(r, UL_COUNTERS, i * UL_CHUNK_SITES + k));
      uint64_t site = chunk->first_site + k;
      if (site < s->count) add(&s->sum[site].count, &c);
    }
  const struct ul_carry *carry;
  for (uint64_t i = 0; (carry = recording_at(r, UL_CARRIES, i)); i++) {
    struct site_count c = of_carry(carry);
    if (carry->site < s->count) add(&s->sum[carry->site].count, &c);
  }
}

static void add_counters(const struct recording *r, struct sites *s) {
  add_all(r, s);
  for (size_t i = 0; i < s->count; i++) {
    const struct site_count *c = &s->sum[i].count;
    if (!s->sum[i].of_others) add(&s->total, c);
    if (c->allocations - c->frees != s->sum[i].blocks ||
        c->allocated_bytes - c->freed_bytes != s->sum[i].bytes)
      s->disagreeing++;
  }
}

static void scale(uint64_t *n, double weight) {
  *n = (uint64_t)llround((double)*n * weight);
}

/* Gives what a sampled block stands for. */
static double estimate_site(const struct recording *r, const struct estimate *live,
                            struct site_sum *s) {
  struct site_count *c = &s->count;
  struct ul_amount sampled = {c->allocations, c->allocated_bytes};
  struct ul_amount made = estimate_of(r, s->site, sampled);
  double weight = sampled.blocks ? (double)made.blocks / (double)sampled.blocks : 1;
  uint64_t *const counts[] = {&c->allocations, &c->allocated_bytes, &c->frees,
                              &c->freed_bytes, &c->temporary,       &c->lifetime_ms};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    scale(counts[i], weight);
  if (s->blocks) scale(&s->slack, live->blocks / (double)s->blocks);
  s->blocks = (uint64_t)llround(live->blocks);
  s->bytes = (uint64_t)llround(live->bytes);
  s->estimated->live = (struct ul_amount){s->blocks, s->bytes};
  s->estimated->allocated = (struct ul_amount){c->allocations, c->allocated_bytes};
  return weight;
}

/* Blocks that were temporary: known, and what samples stand for. */
struct temporary {
  double known, estimate, variance;
};

/* Where there is no sample, one of the mean size would have told of as many as it stands
 * for. No block is temporary that was not freed. */
static void estimate_temporary(struct sites *s, const struct temporary *t,
                               double period) {
  const struct site_count *all = &s->total;
  double mean =
      (double)all->allocated_bytes / (double)(all->allocations | !all->allocations);
  struct weight_bounds b =
      weight_bounds(t->estimate, t->estimate > 0 ? t->variance / t->estimate
                                                 : weight_of(mean, period) - 1);
  double most = (double)all->frees;
  s->total.temporary = (uint64_t)fmin(round(t->known + t->estimate), most);
  s->temporary_low = (uint64_t)fmin(t->known + b.low, most);
  s->temporary_high = (uint64_t)fmin(t->known + ceil(b.high), most);
}

static void add_temporary(struct temporary *to, double found, double weight) {
  if (weight == 1) {
    to->known += found;
  } else {
    to->estimate += found * weight;
    to->variance += found * weight * (weight - 1);
  }
}

static void clear(struct site_sum *s) {
  *s = (struct site_sum){
      .site = s->site, .of_others = s->of_others, .estimated = s->estimated};
  *s->estimated = (struct site_estimate){.live = {0, 0}};
}

static void join(struct site_sum *to, struct site_sum *more) {
  bool first = more->blocks && (!to->blocks || more->oldest_ms < to->oldest_ms);
  bool last = more->blocks && (!to->blocks || more->newest_ms > to->newest_ms);
  if (first) to->oldest_ms = more->oldest_ms;
  if (last) to->newest_ms = more->newest_ms;
  to->generations |= more->generations;
  to->blocks += more->blocks;
  to->bytes += more->bytes;
  to->slack += more->slack;
  add(&to->count, &more->count);
  ul_amount_add(&to->estimated->live, more->estimated->live);
  ul_amount_add(&to->estimated->allocated, more->estimated->allocated);
  clear(more);
}

/* Samples become what they stand for, and the blocks without a stack are no site. What
 * was summed up before stays exact, but whether these are temporary is not looked at. */
static void estimate(const struct recording *r, const struct estimate *live,
                     struct sites *s) {
  struct temporary temporary = {0};
  for (uint32_t i = 0; i < s->count; i++) {
    struct site_sum *sum = &s->sum[i];
    if (estimate_is_rest(r, i)) clear(sum);
    double found = (double)sum->count.temporary, weight = 1;
    if (estimate_is_of_samples(r, i)) weight = estimate_site(r, &live[i], sum);
    if (!sum->of_others) add_temporary(&temporary, found, weight);
  }
  for (uint32_t i = 0; i < s->count; i++)
    if (estimate_stack(r, i) != i) join(&s->sum[estimate_stack(r, i)], &s->sum[i]);
  estimate_temporary(s, &temporary, (double)estimate_sampling(r).bytes);
}

/* The picture of the most: a snapshot, or the ledger, of what died at its peak; the
 * ledger if they are equal, for it knows all sites, however small. */
static void add_peak(const struct recording *r, struct sites *s) {
  const struct ul_snapshot *peak = timeline_pictured(r);
  s->peak_bytes = peak ? timeline_live_bytes(peak) : 0;
  s->peak_ms = peak ? peak->ms : 0;
  if (s->bytes >= s->peak_bytes) {
    if (s->bytes > s->peak_bytes) s->peak_ms = recording_duration_ms(r);
    s->peak_bytes = s->bytes;
    for (size_t i = 0; i < s->count; i++) {
      s->sum[i].peak_blocks = s->sum[i].blocks;
      s->sum[i].peak_bytes = s->sum[i].bytes;
      if (s->estimated) s->estimated[i].peak = s->estimated[i].live;
    }
    return;
  }
  if (!peak) return;
  struct rows rows = rows_of(r, peak);
  struct row row;
  while (rows_next(&rows, &row) && row.kind == UL_ROW_SITE) {
    if (estimate_is_rest(r, row.number)) continue;
    struct site_sum *sum = &s->sum[estimate_stack(r, row.number)];
    struct ul_amount held = {row.blocks, row.bytes};
    sum->peak_blocks += held.blocks;
    sum->peak_bytes += held.bytes;
    if (estimate_is_of_samples(r, row.number)) ul_amount_add(&sum->estimated->peak, held);
  }
}

struct sites *sites_load(const struct recording *r) {
  struct sites *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->count = recording_count(r, UL_SITES);
  s->sum = calloc(s->count + 1, sizeof *s->sum);
  struct loading l = {.recording = r, .sites = s, .start = timeline_start_ms(r)};
  bool sampled = estimate_sampling(r).bytes;
  if (sampled) {
    s->estimated = calloc(s->count + 1, sizeof *s->estimated);
    l.estimates = calloc(s->count + 1, sizeof *l.estimates);
  }
  if (!s->sum || (sampled && (!s->estimated || !l.estimates))) {
    free(l.estimates);
    sites_free(s);
    return NULL;
  }
  for (size_t i = 0; i < s->count; i++) {
    s->sum[i].site = (uint32_t)i;
    s->sum[i].of_others = recording_site_is_others(r, (uint32_t)i);
    if (sampled) s->sum[i].estimated = &s->estimated[i];
  }
  uint64_t end = recording_duration_ms(r);
  l.part = (end > l.start ? end - l.start : 0) / SITE_GENERATIONS + 1;
  blocks_each(r, add_block, &l);
  add_counters(r, s);
  s->temporary_low = s->temporary_high = s->total.temporary;
  if (l.estimates) estimate(r, l.estimates, s);
  add_peak(r, s); /* whose rows are estimates already */
  free(l.estimates);
  return s;
}

void sites_free(struct sites *s) {
  if (!s) return;
  free(s->sum);
  free(s->estimated);
  free(s);
}

static int compare(const void *a, const void *b, void *key) {
  const struct site_sum *x = *(const struct site_sum *const *)a;
  const struct site_sum *y = *(const struct site_sum *const *)b;
  uint64_t kx = (*(sites_key **)key)(x), ky = (*(sites_key **)key)(y);
  if (kx != ky) return kx > ky ? -1 : 1;
  return x->site < y->site ? -1 : x->site > y->site;
}

const struct site_sum **sites_sorted(const struct sites *s, sites_key *key,
                                     size_t *count) {
  const struct site_sum **list = malloc((s->count + 1) * sizeof *list);
  *count = 0;
  if (!list) return NULL;
  for (size_t i = 0; i < s->count; i++)
    if (!s->sum[i].of_others && key(&s->sum[i])) list[(*count)++] = &s->sum[i];
  qsort_r(list, *count, sizeof *list, compare, &key);
  return list;
}
