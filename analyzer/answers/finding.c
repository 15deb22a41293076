#include "answers/finding.h"

#include "answers/temporary.h"
#include "read/estimate.h"
#include "read/timeline.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is lost -------------------------------------------------------------- */

static bool is_lost(const struct ul_leak *leak) {
  return leak->verdict == UL_DEFINITE || leak->verdict == UL_INDIRECT;
}

/* To be freed. NULL: no memory. */
static struct ul_drag *drags_of_all(const struct recording *r, size_t *count) {
  *count = recording_count(r, UL_DRAGS);
  struct ul_drag *drags = malloc((*count + 1) * sizeof *drags);
  for (size_t i = 0; drags && i < *count; i++)
    drags[i] = *(const struct ul_drag *)recording_at(r, UL_DRAGS, i);
  return drags;
}

struct causes *findings_by_verdict(const struct recording *r, const struct sites *sites,
                                   struct functions *functions, unsigned verdicts) {
  const struct ul_leak *leak;
  size_t count;
  struct causes *causes = NULL;
  struct ul_amount *amount = calloc(sites->count + 1, sizeof *amount);
  struct ul_drag *drags = drags_of_all(r, &count);
  for (uint64_t i = 0; amount && (leak = recording_leak(r, i)); i++) {
    if (!(verdicts & 1u << leak->verdict)) continue;
    amount[leak->site].blocks += leak->blocks;
    amount[leak->site].bytes += leak->bytes;
  }
  if ((verdicts & FINDING_LOST) != FINDING_LOST) count = 0;
  struct cause_measure of = {
      .amount = amount, .count = sites->count, .drags = drags, .drag_count = count};
  if (amount && drags) causes = causes_load(functions, sites, &of);
  free(amount);
  free(drags);
  return causes;
}

static bool find_lost(const struct recording *r, const struct sites *sites,
                      struct findings *f) {
  if (!leaks_known(r)) return true;
  f->lost = findings_by_verdict(r, sites, f->functions, FINDING_LOST);
  return f->lost;
}

static void add_births(const struct recording *r, struct findings *f) {
  const struct ul_leak *leak;
  for (uint64_t i = 0; (leak = recording_leak(r, i)); i++) {
    if (!is_lost(leak) || f->lost->of_site[leak->site] == UINT32_MAX) continue;
    struct finding *found = &f->at[f->lost->of_site[leak->site]];
    uint64_t born = ul_birth_ms(leak->oldest_birth);
    if (born < found->since_ms) found->since_ms = born;
    ul_amount_add(&found->estimated, estimate_in_leak(r, leak));
  }
}

/* ---- what grows ----------------------------------------------------------------
 *
 * Sites whose own measurements grow, and such as are too small to tell: what those hold
 * that have gone on in the growth's time is laid at its causes, and a cause counts if all
 * that lives through its function grows. Snapshots decide what grows; how much it is says
 * the ledger, which is exact and does not ask when they were taken. */

static void add_young(const struct sites *sites, uint64_t since_ms,
                      struct ul_amount *amount) {
  for (size_t i = 0; i < sites->count; i++) {
    const struct site_sum *s = &sites->sum[i];
    if (s->blocks && !s->of_others && s->newest_ms >= since_ms)
      amount[i] = (struct ul_amount){s->blocks, s->bytes};
  }
}

/* When the growth of all began; if all together does not grow: after a quarter of the
 * work. */
static uint64_t growth_begin_ms(const struct recording *r, const struct growth *g) {
  if (g->all.verdict == TREND_GROWING) return (uint64_t)(g->all.at * 1000);
  struct timeline t = timeline_load(r, false);
  uint64_t ms = 0;
  for (size_t i = 0; i < t.count; i++)
    if (timeline_work(t.at[i]) * 4 <= timeline_work(t.at[t.count - 1])) ms = t.at[i]->ms;
  timeline_free(&t);
  return ms;
}

static unsigned generations_of(const struct sites *sites, const struct finding *found) {
  unsigned generations = 0;
  for (size_t i = 0; i < sites->count; i++)
    if (found->causes->of_site[i] == found->cause)
      generations |= sites->sum[i].generations;
  return generations;
}

/* Is it a cause of growth, by all that lives through its function, and is most of that
 * its own? */
static bool function_grows(const struct recording *r, const struct growth *g,
                           const struct sites *sites, struct findings *f,
                           struct finding *found) {
  struct growth_codes grown;
  size_t count = recording_count(r, UL_CODES);
  bool *codes = calloc(count + 1, sizeof *codes);
  uint32_t function = found->causes->at[found->cause].function;
  for (size_t i = 1; codes && i < count; i++)
    codes[i] = functions_at(f->functions, recording_code(r, i), function);
  bool known = codes && growth_of_codes(r, sites, &g->all, codes,
                                        generations_of(sites, found), &grown);
  free(codes);
  if (!known || grown.trend.verdict != TREND_GROWING) return false;
  if (found->of.bytes < grown.added.bytes / 2) return false; /* others grow below it */
  found->rate = grown.trend.slope;
  found->chance = grown.trend.kendall.p;
  found->since_ms = (uint64_t)(grown.trend.at * 1000);
  if (grown.has_base && grown.added.bytes < found->of.bytes) found->of = grown.added;
  return true;
}

/* What is lost is a leak, and not growth as well. */
static void take_lost(const struct recording *r, struct ul_amount *amount) {
  const struct ul_leak *leak;
  for (uint64_t i = 0; (leak = recording_leak(r, i)); i++) {
    struct ul_amount *a = &amount[leak->site];
    if (!leaks_known(r) || !is_lost(leak)) continue;
    a->bytes -= leak->bytes < a->bytes ? leak->bytes : a->bytes;
    a->blocks -= leak->blocks < a->blocks ? leak->blocks : a->blocks;
  }
}

/* Of a site whose growth is a leak the last blocks may not be lost so far: they are in a
 * register, or in the program's last piece of work. They do not grow by themselves. */
static void forget_rests(const struct growth *g, struct ul_amount *amount) {
  enum { LITTLE = 10 };
  for (size_t i = 0; i < g->count; i++) {
    const struct growth_site *s = &g->sites[i];
    if (amount[s->site].bytes <= s->added.bytes / LITTLE)
      amount[s->site] = (struct ul_amount){0, 0};
  }
}

static bool find_growing(const struct recording *r, const struct growth *g,
                         const struct sites *sites, struct findings *f) {
  struct ul_amount *amount = calloc(sites->count + 1, sizeof *amount);
  if (!amount) return false;
  add_young(sites, growth_begin_ms(r, g), amount);
  for (size_t i = 0; i < g->count; i++) {
    const struct growth_site *s = &g->sites[i];
    if (s->trend.verdict == TREND_GROWING) amount[s->site] = s->added;
    if (s->trend.verdict == TREND_STEADY || s->trend.verdict == TREND_SHRINKING)
      amount[s->site] = (struct ul_amount){0, 0};
  }
  take_lost(r, amount);
  forget_rests(g, amount);
  f->growing = causes_load(
      f->functions, sites,
      &(struct cause_measure){.amount = amount, .count = sites->count, .together = true});
  f->grown = amount;
  return f->growing;
}

/* ---- what is in the way ----------------------------------------------------------
 *
 * At the end, or when most was wasted if that was much worse. */

#define UNUSED_LEAST (1u << 20)
#define UNUSED_SHARE 8        /* of what was resident then */
#define UNUSED_SHARE_AT_END 2 /* the same, if the program's own end has left it */

static uint64_t rss_of(const struct recording *r, const struct unused *u) {
  return unused_was_worse(u) ? u->most.at->rss_bytes : recording_header(r)->end_rss_bytes;
}

/* What matters: so many bytes by one cause. */
static uint64_t much_unused(const struct recording *r, const struct unused *u) {
  uint64_t rss = rss_of(r, u), all = rss ? rss : timeline_peak_bytes(r);
  bool by_end = !unused_was_worse(u) && u->by_end;
  uint64_t part = all / (by_end ? UNUSED_SHARE_AT_END : UNUSED_SHARE);
  return part > UNUSED_LEAST ? part : UNUSED_LEAST;
}

static uint64_t all_pinned(const struct sites *sites, const struct unused *u) {
  uint64_t all = 0;
  bool then = unused_was_worse(u);
  for (size_t i = 0; then && i < u->most.count; i++)
    if (u->most.sites[i].site < sites->count) all += u->most.sites[i].pinned;
  for (size_t i = 0; !then && i < u->count; i++)
    all += u->sites[i].pinned_pool + u->sites[i].pinned_arena;
  return all;
}

/* By site. */
static void add_pinned(const struct sites *sites, const struct unused *u,
                       struct ul_amount *amount) {
  bool then = unused_was_worse(u);
  for (size_t i = 0; then && i < u->most.count; i++) {
    const struct unused_then *s = &u->most.sites[i];
    if (s->site < sites->count) amount[s->site].bytes = s->pinned;
  }
  for (size_t i = 0; !then && i < u->count; i++) {
    const struct unused_site *s = &u->sites[i];
    amount[s->site] = (struct ul_amount){s->blocks, s->pinned_pool + s->pinned_arena};
  }
}

/* Stacks are only looked at if all together are enough for one. */
static bool find_pinning(const struct recording *r, const struct sites *sites,
                         const struct unused *u, struct findings *f) {
  struct ul_amount *amount = calloc(sites->count + 1, sizeof *amount);
  if (!amount) return false;
  if (all_pinned(sites, u) >= much_unused(r, u)) add_pinned(sites, u, amount);
  f->pinning =
      causes_load(f->functions, sites,
                  &(struct cause_measure){.amount = amount, .count = sites->count});
  free(amount);
  return f->pinning;
}

/* Who they are, at the end. */
static void add_survivors(const struct unused *u, const struct findings *f,
                          struct finding *pinning) {
  for (size_t i = 0; i < u->count && !unused_was_worse(u); i++) {
    const struct unused_site *s = &u->sites[i];
    if (f->pinning->of_site[s->site] == UINT32_MAX) continue;
    struct ul_amount *live = &pinning[f->pinning->of_site[s->site]].live;
    live->blocks += s->blocks;
    live->bytes += s->live_bytes;
  }
}

/* Only what matters stays. */
static void keep_pinning(const struct recording *r, const struct unused *u,
                         struct findings *f, size_t first) {
  uint64_t least = much_unused(r, u);
  size_t kept = first;
  for (size_t i = first; i < f->count; i++) {
    struct finding *found = &f->at[i];
    if (found->of.bytes < least) continue;
    found->rss_bytes = rss_of(r, u);
    if (unused_was_worse(u)) found->since_ms = u->most.at->ms;
    f->at[kept++] = *found;
  }
  f->count = kept;
}

/* ---- findings ------------------------------------------------------------------ */

static void add_causes(struct findings *f, enum finding_kind kind,
                       const struct causes *causes) {
  for (size_t i = 0; causes && i < causes->count; i++)
    f->at[f->count++] = (struct finding){
        .kind = kind,
        .causes = causes,
        .cause = i,
        .of = causes->at[i].of,
        .live = kind == FINDING_LEAK ? causes->at[i].of : (struct ul_amount){0, 0},
        .chance = kind == FINDING_GROWTH,
        .since_ms = UINT64_MAX};
}

/* 0..1: of what a site has grown by, that which is not lost. */
static double kept_part(const struct findings *f, const struct growth_site *s) {
  uint64_t added = s->added.bytes, kept = f->grown[s->site].bytes;
  return added && kept < added ? (double)kept / (double)added : 1;
}

/* A leak grows by those of its sites that do. */
static void add_rates_of_leaks(const struct growth *g, struct findings *f) {
  for (size_t i = 0; i < g->count; i++) {
    const struct growth_site *s = &g->sites[i];
    uint32_t leak = f->lost->of_site[s->site];
    if (s->trend.verdict == TREND_GROWING && leak != UINT32_MAX)
      f->at[leak].rate += s->trend.slope * (1 - kept_part(f, s));
  }
}

/* From the sites that grow by themselves. */
static void add_rates(const struct growth *g, struct findings *f,
                      struct finding *growing) {
  for (size_t i = 0; i < g->count; i++) {
    const struct growth_site *s = &g->sites[i];
    if (s->trend.verdict != TREND_GROWING || f->growing->of_site[s->site] == UINT32_MAX)
      continue;
    struct finding *found = &growing[f->growing->of_site[s->site]];
    uint64_t since = s->trend.reason == TREND_RISES ? (uint64_t)(s->trend.at * 1000) : 0;
    found->rate += s->trend.slope * kept_part(f, s);
    if (s->trend.kendall.p < found->chance) found->chance = s->trend.kendall.p;
    found->grown.blocks += f->grown[s->site].blocks;
    found->grown.bytes += f->grown[s->site].bytes;
    if (since < found->since_ms) found->since_ms = since;
  }
}

static uint64_t lower(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* Of what is left of it in the end, as far as it is not lost. */
static bool add_live(const struct recording *r, const struct sites *sites,
                     struct findings *f, struct finding *growing) {
  struct ul_amount *amount = calloc(sites->count + 1, sizeof *amount);
  if (!amount) return false;
  for (size_t i = 0; i < sites->count; i++)
    if (!sites->sum[i].of_others && sites->sum[i].blocks)
      amount[i] = (struct ul_amount){sites->sum[i].blocks, sites->sum[i].bytes};
  take_lost(r, amount);
  for (size_t i = 0; i < sites->count; i++) {
    if (f->growing->of_site[i] == UINT32_MAX) continue;
    struct finding *found = &growing[f->growing->of_site[i]];
    ul_amount_add(&found->live, amount[i]);
    ul_amount_add(&found->estimated, site_estimated(&sites->sum[i]).live);
  }
  free(amount);
  return true;
}

/* Of what a cause of growth has: all, what is from stacks with blocks of at least so many
 * 16ths of the run, and from those with blocks of its last quarter. */
struct births {
  uint64_t all, again, often, late;
};

static struct births births_of(const struct findings *f, const struct sites *sites,
                               const struct finding *found) {
  enum { AGAIN = 4, LATE = 0xf000 };
  struct births b = {0};
  for (size_t i = 0; i < sites->count; i++) {
    if (found->causes->of_site[i] != found->cause) continue;
    uint64_t bytes = f->grown[i].bytes;
    int parts = __builtin_popcount(sites->sum[i].generations);
    b.all += bytes;
    if (parts >= AGAIN) b.again += bytes;
    if (parts > AGAIN) b.often += bytes;
    if (sites->sum[i].generations & LATE) b.late += bytes;
  }
  return b;
}

/* What a program loads as it starts comes from each stack in one go, or in a few if it is
 * not much; what grows comes from the same ones again and again. A run of less than a
 * second may be all start-up; a longer one is mostly that, but for its end. Of what was
 * freed in the end it is not known any more. */
static bool is_start(const struct recording *r, const struct findings *f,
                     const struct sites *sites, const struct finding *found) {
  enum { MANY = 4, MUCH = 8, BRIEF_MS = 1000 };
  if (found->causes->at[found->cause].stacks < MANY ||
      found->live.bytes < found->of.bytes / 2)
    return false;
  struct births b = births_of(f, sites, found);
  bool brief = recording_duration_ms(r) < timeline_start_ms(r) + BRIEF_MS;
  if (b.again < b.all - b.all / 4) return brief || b.late < b.all / MUCH;
  return brief && b.often < b.all / 2 && found->of.bytes < timeline_peak_bytes(r) / MUCH;
}

/* Only what grows stays: sites by themselves, or the function with what is too small, if
 * that is not just some blocks; and what matters beside the peak: `growth` has the rest.
 */
static void keep_growing(const struct recording *r, const struct growth *g,
                         const struct sites *sites, struct findings *f, size_t first) {
  enum { LOOKED_AT = 16, FEW = 16 };
  size_t kept = first;
  uint64_t peak = timeline_peak_bytes(r);
  for (size_t i = first; i < f->count; i++) {
    struct finding found = f->at[i];
    struct ul_amount by_sites = found.grown;
    bool small = by_sites.bytes < found.of.bytes / 2;
    bool asked = small && found.of.blocks >= FEW && i - first < LOOKED_AT;
    if (asked && function_grows(r, g, sites, f, &found))
      by_sites = found.of;
    else
      found.of = by_sites;
    found.live.bytes = lower(found.live.bytes, found.of.bytes);
    found.live.blocks = lower(found.live.blocks, found.of.blocks);
    if (found.estimated.bytes > found.of.bytes) found.estimated = found.of;
    if (growth_matters(r, &g->all, by_sites.bytes, found.live.bytes, peak) &&
        !is_start(r, f, sites, &found))
      f->at[kept++] = found;
  }
  f->count = kept;
}

static void add_temporary(const struct recording *r, const struct sites *sites,
                          struct findings *f) {
  const struct causes *causes = f->temporary;
  for (size_t i = 0; causes && i < causes->count; i++)
    if (temporary_matters(r, sites, causes->at[i].of.blocks))
      f->at[f->count++] = (struct finding){.kind = FINDING_TEMPORARY,
                                           .causes = causes,
                                           .cause = i,
                                           .temporary = causes->at[i].of.blocks,
                                           .since_ms = UINT64_MAX};
}

/* ---- what is known of all ------------------------------------------------------- */

/* What all together have is exact, of a sampled recording, too. */
static struct ul_amount all_of(const struct recording *r, const struct sites *sites,
                               const struct finding *f) {
  const struct ul_amount *verdicts = recording_header(r)->scan.totals;
  struct ul_amount all = {sites->blocks, sites->bytes};
  if (f->kind == FINDING_LEAK) {
    all = verdicts[UL_DEFINITE];
    ul_amount_add(&all, verdicts[UL_INDIRECT]);
  }
  return all;
}

/* An estimate may come to more than there is. */
static void bound_estimates(const struct recording *r, const struct sites *sites,
                            struct findings *f) {
  for (size_t i = 0; i < f->count; i++) {
    struct finding *found = &f->at[i];
    struct ul_amount all = all_of(r, sites, found);
    bool lives = found->kind == FINDING_LEAK || found->live.bytes >= found->of.bytes;
    if (!found->estimated.bytes || !lives) continue;
    found->of.bytes = lower(found->of.bytes, all.bytes);
    found->of.blocks = lower(found->of.blocks, all.blocks);
    found->live.bytes = lower(found->live.bytes, all.bytes);
    found->live.blocks = lower(found->live.blocks, all.blocks);
  }
}

/* ---- objects that were taken apart ---------------------------------------------- */

static bool is_runtime(const struct recording *r, const struct ul_module *m) {
  static const char name[] = "libruby";
  return m && !strncmp(basename(recording_text(r, m->name)), name, sizeof name - 1);
}

bool findings_taken_apart(const struct recording *r) {
  const struct ul_module *m;
  if (recording_end(r) != RECORDING_EXITED) return false;
  for (uint64_t i = 0; (m = recording_module(r, i)); i++)
    if (is_runtime(r, m)) return true;
  return false;
}

/* It grows, and if it is not much, by the rate of what grows of it most of it; or has
 * gone on and on, up to the end; by the same stacks; and is more than what a program has
 * that only loads: that of all methods which it defines is a hundredth. */
static bool goes_on(const struct recording *r, const struct sites *sites,
                    const struct finding *leak) {
  enum { FEWEST = 6, LAST = 3 << 14 }; /* of 16ths of the run */
  enum { AGAIN = 16, LITTLE = 32, MUCH = 16 };
  unsigned generations = generations_of(sites, leak);
  uint64_t ms = recording_duration_ms(r) - timeline_start_ms(r);
  if (leak->of.blocks < AGAIN * leak->causes->at[leak->cause].stacks ||
      leak->of.bytes < sites->bytes / LITTLE)
    return false;
  if (leak->rate > 0)
    return leak->of.bytes >= sites->bytes / MUCH ||
           leak->rate * (double)ms / 1000 >= (double)leak->of.bytes / 2;
  return (generations & LAST) && __builtin_popcount(generations) >= FEWEST;
}

/* Did the runtime allocate it, for itself or for an extension? */
static bool is_by_runtime(const struct recording *r, const struct findings *f,
                          const struct finding *leak) {
  const struct function_call *stack;
  const struct cause *c = &leak->causes->at[leak->cause];
  size_t n = functions_stack(f->functions, c->site, &stack);
  for (size_t i = 0; i < n && i <= c->depth; i++) {
    uint32_t module = functions_module(f->functions, stack[i].function);
    if (module != UL_NO_MODULE && is_runtime(r, recording_module(r, module))) return true;
  }
  return false;
}

static void drop_taken_apart(const struct recording *r, const struct sites *sites,
                             struct findings *f) {
  size_t kept = 0;
  if (!findings_taken_apart(r)) return;
  for (size_t i = 0; i < f->count; i++) {
    struct finding *found = &f->at[i];
    if (found->kind != FINDING_LEAK || goes_on(r, sites, found) ||
        !is_by_runtime(r, f, found))
      f->at[kept++] = *found;
  }
  f->count = kept;
}

/* ---- order ---------------------------------------------------------------------- */

/* Whether what lives at a site is mostly another's: what is lost there, or grows. */
static const struct causes *taken_by(const struct findings *f, const struct sites *sites,
                                     size_t site) {
  const struct causes *lost = f->lost, *growing = f->growing;
  uint64_t half = (sites->sum[site].blocks + 1) / 2;
  if (lost && lost->of_site[site] != UINT32_MAX && lost->amount[site].blocks >= half)
    return lost;
  return growing->of_site[site] != UINT32_MAX && growing->amount[site].blocks >= half
             ? growing
             : NULL;
}

/* The findings that causes have, by index. */
struct keepers {
  struct finding **lost, **growing;
};

static bool find_keepers(struct findings *f, struct keepers *k) {
  k->lost = calloc((f->lost ? f->lost->count : 0) + 1, sizeof *k->lost);
  k->growing = calloc(f->growing->count + 1, sizeof *k->growing);
  if (!k->lost || !k->growing) return false;
  for (size_t i = 0; i < f->count; i++) {
    struct finding *found = &f->at[i];
    if (found->kind == FINDING_LEAK) k->lost[found->cause] = found;
    if (found->kind == FINDING_GROWTH) k->growing[found->cause] = found;
  }
  return true;
}

/* If most of what keeps unused memory has been lost, or grows: the finding that has most
 * of that; NULL: none. `bytes` is for as many as there are findings. */
static struct finding *keeper_of(const struct findings *f, const struct sites *sites,
                                 const struct keepers *k, const struct finding *unused,
                                 uint64_t *bytes) {
  struct finding *keeper = NULL;
  uint64_t all = 0;
  memset(bytes, 0, f->count * sizeof *bytes);
  for (size_t site = 0; site < sites->count; site++) {
    if (f->pinning->of_site[site] != unused->cause) continue;
    const struct causes *of = taken_by(f, sites, site);
    struct finding **at = of == f->growing ? k->growing : k->lost;
    struct finding *other = of ? at[of->of_site[site]] : NULL;
    if (!other) continue;
    bytes[other - f->at] += f->pinning->amount[site].bytes;
    all += f->pinning->amount[site].bytes;
    if (!keeper || bytes[other - f->at] > bytes[keeper - f->at]) keeper = other;
  }
  return all > unused->of.bytes / 2 ? keeper : NULL;
}

/* What is unused would be gained with its keeper's, which is the one to change. */
static bool add_gains(struct findings *f, const struct sites *sites) {
  struct keepers k = {NULL, NULL};
  uint64_t *bytes = malloc((f->count + 1) * sizeof *bytes);
  bool good = find_keepers(f, &k) && bytes;
  for (size_t i = 0; i < f->count; i++)
    f->at[i].gain = f->at[i].of.bytes;
  for (size_t i = 0; good && i < f->count; i++) {
    struct finding *unused = &f->at[i];
    struct finding *keeper =
        unused->kind == FINDING_UNUSED ? keeper_of(f, sites, &k, unused, bytes) : NULL;
    if (!keeper) continue;
    if (keeper->gain < unused->gain) keeper->gain = unused->gain;
    unused->gain = keeper->gain;
  }
  free(k.lost);
  free(k.growing);
  free(bytes);
  return good;
}

int finding_order(const struct finding *x, const struct finding *y) {
  if (x->gain != y->gain) return x->gain > y->gain ? -1 : 1;
  if (x->temporary != y->temporary) return x->temporary > y->temporary ? -1 : 1;
  return (x->kind > y->kind) - (x->kind < y->kind);
}

static int by_gain(const void *a, const void *b) {
  const struct finding *x = a, *y = b;
  int order = finding_order(x, y);
  return order ? order : (x->cause > y->cause) - (x->cause < y->cause);
}

static bool collect(const struct recording *r, const struct growth *g,
                    const struct unused *u, const struct sites *sites,
                    struct findings *f) {
  size_t most = (f->lost ? f->lost->count : 0) + f->growing->count + f->pinning->count +
                (f->temporary ? f->temporary->count : 0);
  f->at = calloc(most + 1, sizeof *f->at);
  if (!f->at) return false;
  add_causes(f, FINDING_LEAK, f->lost);
  add_causes(f, FINDING_GROWTH, f->growing);
  if (f->lost) add_births(r, f);
  if (f->lost) add_rates_of_leaks(g, f);
  size_t first = f->lost ? f->lost->count : 0;
  add_rates(g, f, f->at + first);
  if (!add_live(r, sites, f, f->at + first)) return false;
  keep_growing(r, g, sites, f, first);
  first = f->count;
  add_causes(f, FINDING_UNUSED, f->pinning);
  add_survivors(u, f, f->at + first);
  keep_pinning(r, u, f, first);
  bound_estimates(r, sites, f);
  add_temporary(r, sites, f);
  drop_taken_apart(r, sites, f);
  if (!add_gains(f, sites)) return false;
  if (f->count) qsort(f->at, f->count, sizeof *f->at, by_gain);
  return true;
}

struct findings *findings_load(const struct recording *r, const struct sites *sites,
                               const struct growth *g, const struct unused *u,
                               struct functions *functions) {
  struct findings *f = calloc(1, sizeof *f);
  if (f) f->functions = functions;
  if (f && find_lost(r, sites, f) && find_growing(r, g, sites, f) &&
      find_pinning(r, sites, u, f) &&
      temporary_load(r, sites, functions, &f->temporary) && collect(r, g, u, sites, f))
    return f;
  findings_free(f);
  return NULL;
}

void findings_free(struct findings *f) {
  if (!f) return;
  causes_free(f->lost);
  causes_free(f->growing);
  causes_free(f->pinning);
  causes_free(f->temporary);
  free(f->grown);
  free(f->at);
  free(f);
}
