#include "read/estimate.h"

#include "read/parts.h"
#include "weight.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sampling estimate_sampling(const struct recording *r) {
  const struct ul_header *h = &r->header;
  if (!(h->features & UL_FEATURE_SAMPLED)) return (struct sampling){0};
  uint64_t start = h->forked ? h->forked_ms : 0, ms = h->sampled_ms;
  if (ms) ms = ms > start ? ms - start : 1;
  return (struct sampling){h->sample_bytes, ms, h->sampled_work};
}

bool estimate_is_of_samples(const struct recording *r, uint32_t site) {
  const struct ul_site *s = part_at(r, UL_SITES, site);
  return estimate_sampling(r).bytes && s->code & UL_SITE_OF_SAMPLES;
}

bool estimate_is_rest(const struct recording *r, uint32_t site) {
  return estimate_sampling(r).bytes && site == r->header.sample_site;
}

uint32_t estimate_stack(const struct recording *r, uint32_t site) {
  return r->stacks ? r->stacks[site] : site;
}

double estimate_weight(const struct recording *r, uint32_t site, uint64_t bytes) {
  if (!estimate_is_of_samples(r, site)) return 1;
  return weight_of((double)bytes, (double)estimate_sampling(r).bytes);
}

static void scale(uint64_t *n, double weight) {
  if (weight != 1) *n = (uint64_t)llround((double)*n * weight);
}

static double weight_of_mean(const struct recording *r, uint32_t site,
                             struct ul_amount amount) {
  if (!amount.blocks || !estimate_is_of_samples(r, site)) return 1;
  return weight_of((double)amount.bytes / (double)amount.blocks,
                   (double)estimate_sampling(r).bytes);
}

struct ul_amount estimate_of(const struct recording *r, uint32_t site,
                             struct ul_amount amount) {
  double weight = weight_of_mean(r, site, amount);
  scale(&amount.blocks, weight);
  scale(&amount.bytes, weight);
  return amount;
}

/* ---- stacks with two sites ------------------------------------------------------- */

struct stack {
  uint64_t word; /* what there is once of each kind */
  uint32_t site;
  bool of_samples;
};

static int by_word(const void *a, const void *b) {
  const struct stack *x = a, *y = b;
  if (x->word != y->word) return x->word < y->word ? -1 : 1;
  return x->of_samples - y->of_samples;
}

/* Of this process: what its parent had has other sites. */
static size_t own_stacks(const struct recording *r, struct stack *list) {
  size_t n = 0;
  for (uint32_t i = UL_SITE_RESERVED; i < r->tables[UL_SITES].count; i++) {
    const struct ul_site *s = part_at(r, UL_SITES, i);
    if (!ul_site_code(s) || recording_site_is_inherited(r, i)) continue;
    list[n++] = (struct stack){(uint64_t)ul_site_code(s) << 32 | s->parent, i,
                               s->code & UL_SITE_OF_SAMPLES};
  }
  if (n) qsort(list, n, sizeof *list, by_word);
  return n;
}

static bool find_stacks(struct recording *r) {
  size_t sites = r->tables[UL_SITES].count;
  struct stack *list = malloc((sites + 1) * sizeof *list);
  r->stacks = malloc((sites + 1) * sizeof *r->stacks);
  if (!list || !r->stacks) {
    free(list);
    return false;
  }
  for (uint32_t i = 0; i < sites; i++)
    r->stacks[i] = i;
  size_t n = own_stacks(r, list);
  for (size_t i = 1; i < n; i++)
    if (list[i].word == list[i - 1].word && list[i].of_samples)
      r->stacks[list[i].site] = r->stacks[list[i - 1].site];
  free(list);
  return true;
}

/* ---- leaks ----------------------------------------------------------------------- */

static uint64_t leak_index(const struct recording *r, const struct ul_leak *l) {
  return (uint64_t)(l - (const struct ul_leak *)part_at(r, UL_LEAKS, 0));
}

struct ul_amount estimate_in_leak(const struct recording *r, const struct ul_leak *l) {
  return r->leak_estimates ? r->leak_estimates[leak_index(r, l)] : (struct ul_amount){0};
}

/* What a sampled block drags along it drags as often as it stands for a block. Gives that
 * weight. */
static double estimate_leak(struct recording *r, struct ul_leak *l) {
  double weight = weight_of_mean(r, l->site, (struct ul_amount){l->blocks, l->bytes});
  scale(&l->blocks, weight);
  scale(&l->bytes, weight);
  scale(&l->indirect_blocks, weight);
  scale(&l->indirect_bytes, weight);
  if (estimate_is_of_samples(r, l->site))
    r->leak_estimates[leak_index(r, l)] = (struct ul_amount){l->blocks, l->bytes};
  return weight;
}

static bool estimate_leaks(struct recording *r) {
  uint64_t leaks = r->tables[UL_LEAKS].count;
  double *weights = calloc(r->tables[UL_SITES].count + 1, sizeof *weights);
  r->leak_estimates = calloc(leaks + 1, sizeof *r->leak_estimates);
  for (uint64_t i = 0; weights && r->leak_estimates && i < leaks; i++) {
    struct ul_leak *l = part_at(r, UL_LEAKS, i);
    double weight = estimate_is_rest(r, l->site) ? 0 : estimate_leak(r, l);
    if (l->verdict == UL_DEFINITE) weights[l->site] = weight;
    if (weight == 0) memset(l, 0, sizeof *l);
  }
  for (uint64_t i = 0; weights && i < r->tables[UL_DRAGS].count; i++) {
    struct ul_drag *d = part_at(r, UL_DRAGS, i);
    scale(&d->blocks, weights[d->leader]);
    scale(&d->bytes, weights[d->leader]);
  }
  free(weights);
  return weights && r->leak_estimates;
}

static void add_amount(struct ul_amount *to, const struct ul_amount *more) {
  to->blocks += more->blocks;
  to->bytes += more->bytes;
}

static void join_leak(struct recording *r, struct ul_leak *to, struct ul_leak *l) {
  to->blocks += l->blocks;
  to->bytes += l->bytes;
  to->indirect_blocks += l->indirect_blocks;
  to->indirect_bytes += l->indirect_bytes;
  if (l->oldest_birth < to->oldest_birth) {
    to->oldest_birth = l->oldest_birth;
    to->example = l->example;
  }
  if (l->newest_birth > to->newest_birth) to->newest_birth = l->newest_birth;
  add_amount(&r->leak_estimates[leak_index(r, to)], &r->leak_estimates[leak_index(r, l)]);
  r->leak_estimates[leak_index(r, l)] = (struct ul_amount){0};
  memset(l, 0, sizeof *l);
}

/* Of one verdict; `at`: by site, its leak. */
static void join_leaks(struct recording *r, uint32_t verdict, struct ul_leak **at) {
  memset(at, 0, r->tables[UL_SITES].count * sizeof(struct ul_leak *));
  for (uint64_t i = 0; i < r->tables[UL_LEAKS].count; i++) {
    struct ul_leak *l = part_at(r, UL_LEAKS, i);
    if (l->verdict != verdict || !l->blocks) continue;
    l->site = estimate_stack(r, l->site);
    if (at[l->site])
      join_leak(r, at[l->site], l);
    else
      at[l->site] = l;
  }
}

static int by_sites(const void *a, const void *b) {
  const struct ul_drag *x = a, *y = b;
  if (x->leader != y->leader) return x->leader < y->leader ? -1 : 1;
  return (x->dragged > y->dragged) - (x->dragged < y->dragged);
}

static void join_drags(struct recording *r) {
  struct ul_drag *drags = part_at(r, UL_DRAGS, 0);
  uint64_t count = r->tables[UL_DRAGS].count, n = 0;
  for (uint64_t i = 0; i < count; i++) {
    drags[i].leader = estimate_stack(r, drags[i].leader);
    drags[i].dragged = estimate_stack(r, drags[i].dragged);
  }
  if (count) qsort(drags, count, sizeof *drags, by_sites);
  for (uint64_t i = 0; i < count; i++) {
    if (!n || by_sites(&drags[n - 1], &drags[i]) != 0) {
      drags[n++] = drags[i];
      continue;
    }
    drags[n - 1].blocks += drags[i].blocks;
    drags[n - 1].bytes += drags[i].bytes;
  }
  r->tables[UL_DRAGS].count = n;
}

static bool join_stacks(struct recording *r) {
  struct ul_leak **at = malloc((r->tables[UL_SITES].count + 1) * sizeof(*at));
  if (!at || !find_stacks(r)) {
    free(at);
    return false;
  }
  for (uint32_t verdict = 0; verdict < UL_VERDICTS; verdict++)
    join_leaks(r, verdict, at);
  join_drags(r);
  free(at);
  return true;
}

bool estimate_begin(struct recording *r) {
  struct sampling how = estimate_sampling(r);
  if (!how.bytes) return true;
  return estimate_leaks(r) && (!how.ms || join_stacks(r));
}
