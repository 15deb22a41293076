#include "answers/finding.h"

#include <stdlib.h>

/* ---- what is lost -------------------------------------------------------------- */

static bool is_lost(const struct ul_leak *leak) {
  return leak->verdict == UL_DEFINITE || leak->verdict == UL_INDIRECT;
}

static bool find_lost(const struct recording *r, const struct sites *sites,
                      struct findings *f) {
  const struct ul_leak *leak;
  struct ul_amount *amount;
  if (!leaks_known(r)) return true;
  if (!(amount = calloc(sites->count + 1, sizeof *amount))) return false;
  for (uint64_t i = 0; (leak = recording_leak(r, i)); i++) {
    if (!is_lost(leak)) continue;
    amount[leak->site].blocks += leak->blocks;
    amount[leak->site].bytes += leak->bytes;
  }
  f->lost = causes_load(f->functions, sites,
                        &(struct cause_measure){.amount = amount, .count = sites->count});
  free(amount);
  return f->lost;
}

static void add_births(const struct recording *r, struct findings *f) {
  const struct ul_leak *leak;
  for (uint64_t i = 0; (leak = recording_leak(r, i)); i++) {
    if (!is_lost(leak) || f->lost->of_site[leak->site] == UINT32_MAX) continue;
    struct finding *found = &f->at[f->lost->of_site[leak->site]];
    uint64_t born = ul_birth_ms(leak->oldest_birth);
    if (born < found->since_ms) found->since_ms = born;
  }
}

/* ---- what grows ---------------------------------------------------------------- */

static uint64_t added(const struct growth_site *g) {
  if (g->trend.reason == TREND_FREED)
    return g->trend.high > g->trend.low ? (uint64_t)(g->trend.high - g->trend.low) : 0;
  return g->last_bytes > g->first_bytes ? g->last_bytes - g->first_bytes : 0;
}

static bool find_growing(const struct growth *g, const struct sites *sites,
                         struct findings *f) {
  struct ul_amount *amount = calloc(sites->count + 1, sizeof *amount);
  if (!amount) return false;
  for (size_t i = 0; i < g->count; i++) {
    const struct growth_site *s = &g->sites[i];
    if (s->trend.verdict == TREND_GROWING)
      amount[s->site] = (struct ul_amount){s->blocks, added(s)};
  }
  f->growing =
      causes_load(f->functions, sites,
                  &(struct cause_measure){.amount = amount, .count = sites->count});
  free(amount);
  return f->growing;
}

/* ---- findings ------------------------------------------------------------------ */

static void add_causes(struct findings *f, enum finding_kind kind,
                       const struct causes *causes) {
  for (size_t i = 0; causes && i < causes->count; i++)
    f->at[f->count++] = (struct finding){.kind = kind,
                                         .causes = causes,
                                         .cause = i,
                                         .of = causes->at[i].of,
                                         .since_ms = UINT64_MAX};
}

static void add_rates(const struct growth *g, struct findings *f) {
  struct finding *first = f->at + (f->lost ? f->lost->count : 0);
  for (size_t i = 0; i < g->count; i++) {
    const struct growth_site *s = &g->sites[i];
    if (s->trend.verdict != TREND_GROWING || f->growing->of_site[s->site] == UINT32_MAX)
      continue;
    struct finding *found = &first[f->growing->of_site[s->site]];
    uint64_t since = s->trend.reason == TREND_RISES ? (uint64_t)(s->trend.at * 1000) : 0;
    found->rate += s->trend.slope;
    if (since < found->since_ms) found->since_ms = since;
  }
}

/* Where the leak is the growth, or most of it. */
static bool is_of_leak(const struct findings *f, const struct finding *growth,
                       struct finding **leak) {
  const struct cause *grows = &growth->causes->at[growth->cause];
  for (size_t i = 0; f->lost && i < f->lost->count; i++) {
    const struct cause *leaks = &f->lost->at[i];
    bool same = leaks->function == grows->function ||
                f->lost->of_site[grows->site] == i ||
                f->growing->of_site[leaks->site] == growth->cause;
    if (!same || leaks->of.bytes < grows->of.bytes / 2) continue;
    *leak = &f->at[i];
    return true;
  }
  return false;
}

static void say_once(struct findings *f) {
  size_t kept = 0;
  struct finding *leak;
  for (size_t i = 0; i < f->count; i++) {
    struct finding found = f->at[i];
    if (found.kind == FINDING_GROWTH && is_of_leak(f, &found, &leak))
      leak->rate += found.rate;
    else
      f->at[kept++] = found;
  }
  f->count = kept;
}

static int by_gain(const void *a, const void *b) {
  const struct finding *x = a, *y = b;
  if (x->of.bytes != y->of.bytes) return x->of.bytes > y->of.bytes ? -1 : 1;
  return x->kind != y->kind ? (int)x->kind - (int)y->kind
                            : (x->cause > y->cause) - (x->cause < y->cause);
}

static bool collect(const struct recording *r, const struct growth *g,
                    struct findings *f) {
  f->at = calloc((f->lost ? f->lost->count : 0) + f->growing->count + 1, sizeof *f->at);
  if (!f->at) return false;
  add_causes(f, FINDING_LEAK, f->lost);
  add_causes(f, FINDING_GROWTH, f->growing);
  if (f->lost) add_births(r, f);
  add_rates(g, f);
  say_once(f);
  if (f->count) qsort(f->at, f->count, sizeof *f->at, by_gain);
  return true;
}

struct findings *findings_load(const struct recording *r, struct symbols *symbols,
                               const struct sites *sites) {
  struct findings *f = calloc(1, sizeof *f);
  struct growth *g = growth_load(r);
  bool good = f && g && (f->functions = functions_new(r, symbols)) &&
              find_lost(r, sites, f) && find_growing(g, sites, f) && collect(r, g, f);
  growth_free(g);
  if (good) return f;
  findings_free(f);
  return NULL;
}

void findings_free(struct findings *f) {
  if (!f) return;
  causes_free(f->lost);
  causes_free(f->growing);
  functions_free(f->functions);
  free(f->at);
  free(f);
}
