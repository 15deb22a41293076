/* diff.c - see diff.h.
 *
 * Two ends are compared stack by stack: groups of stacks that match (match.h) either hold
 * the same or are a change. A function's sums are those over the groups it is in, so that
 * what another optimization hides in one of them is no difference; of a function that
 * only one look has, only what its group differs by counts, and nothing if the other
 * one's file is not there any more to name it.
 *
 * At a moment only sites above a share of the total have rows, and the smaller ones are
 * seen by the return addresses that many of them have in common (format.h): there the
 * sums of functions are those of their return addresses. What is below the share on one
 * side is not looked at on the other, and what is seen on one side alone is a change only
 * if it is twice the share.
 *
 * Of two sampled recordings each has other samples of the same: what differs between
 * estimates is a change if it is more than chance. So have two moments of one, of what is
 * freed and allocated anew meanwhile. */
#include "answers/diff.h"

#include "answers/match.h"
#include "read/timeline.h"
#include "weight.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NO_CHANGE SIZE_MAX

/* How much of what a site holds is to be compared. */
typedef struct ul_amount site_amount(const struct diff_look *look, uint32_t site,
                                     const struct ul_amount *lost);

struct search {
  struct diff *diff;
  struct match *match;
  struct diff_measure *measure;       /* that is being filled */
  struct ul_amount *lost[DIFF_LOOKS]; /* by site */
  struct fingerprints *fingerprints[DIFF_LOOKS];
};

/* One kind of change in one direction. */
struct laying {
  struct search *search;
  enum diff_kind kind;
  unsigned side;            /* where there is more of it */
  struct ul_amount *amount; /* by site of that side: what it has more */
  struct causes *causes;
  size_t first; /* its changes in the measure; one more: without a stack */
};

static bool is_moment(const struct diff *d) {
  return d->look[DIFF_BEFORE].at || d->look[DIFF_AFTER].at;
}

/* ---- what sites hold ----------------------------------------------------------- */

static size_t sites_of(const struct diff_look *look) {
  return recording_count(look->process->recording, UL_SITES);
}

static struct ul_amount amount_lost(const struct diff_look *look, uint32_t site,
                                    const struct ul_amount *lost) {
  (void)look;
  return lost[site];
}

static struct ul_amount amount_live(const struct diff_look *look, uint32_t site,
                                    const struct ul_amount *lost) {
  if (look->at) return look->at->sites[site];
  const struct site_sum *s = &look->process->sites->sum[site];
  struct ul_amount live = {s->blocks, s->bytes};
  if (lost && live.blocks >= lost[site].blocks && live.bytes >= lost[site].bytes) {
    live.blocks -= lost[site].blocks;
    live.bytes -= lost[site].bytes;
  }
  return live;
}

static struct ul_amount amount_peak(const struct diff_look *look, uint32_t site,
                                    const struct ul_amount *lost) {
  (void)lost;
  const struct site_sum *s = &look->process->sites->sum[site];
  return (struct ul_amount){s->peak_blocks, s->peak_bytes};
}

/* What a moment does not see: a call site, or a return address, that held less. Of an end
 * that is compared with one, it is not looked at either. */
static uint64_t unseen_below(const struct diff *d, bool codes) {
  uint64_t most = 0;
  for (unsigned side = 0; side < DIFF_LOOKS; side++) {
    const struct moment *at = d->look[side].at;
    uint64_t here = !at ? 0 : codes ? at->least_code : at->least_site;
    if (here > most) most = here;
  }
  return most;
}

/* What is seen on one side alone may have been nearly so much on the other. */
static uint64_t threshold(const struct diff *d, bool codes) {
  return 2 * unseen_below(d, codes);
}

static bool add_sites(struct search *s, site_amount *of) {
  uint64_t least_seen = unseen_below(s->diff, false);
  bool good = true;
  match_clear(s->match);
  for (unsigned side = 0; side < DIFF_LOOKS; side++) {
    const struct diff_look *look = &s->diff->look[side];
    for (uint32_t i = 0; good && i < sites_of(look); i++) {
      struct ul_amount amount = of(look, i, s->lost[side]);
      if (recording_site_is_others(look->process->recording, i)) continue;
      if (amount.bytes < least_seen) continue;
      if (amount.blocks || amount.bytes) good = match_add(s->match, side, i, amount);
    }
  }
  if (good && !s->diff->same_build) match_reconcile(s->match);
  return good;
}

static bool load_lost(struct search *s, unsigned side) {
  const struct recording *r = s->diff->look[side].process->recording;
  const struct ul_leak *leak;
  s->lost[side] = calloc(recording_count(r, UL_SITES) + 1, sizeof(*s->lost[side]));
  if (!s->lost[side]) return false;
  for (uint64_t i = 0; (leak = recording_leak(r, i)); i++) {
    if (leak->verdict != UL_DEFINITE && leak->verdict != UL_INDIRECT) continue;
    s->lost[side][leak->site].blocks += leak->blocks;
    s->lost[side][leak->site].bytes += leak->bytes;
  }
  return true;
}

/* ---- where the differences come from ------------------------------------------- */

static uint64_t more(uint64_t a, uint64_t than) {
  return a > than ? a - than : 0;
}

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t size_of(const struct ul_amount at[DIFF_LOOKS]) {
  return more(at[0].bytes, at[1].bytes) + more(at[1].bytes, at[0].bytes);
}

/* The variance of the difference, if both looks have the same (weight.h). */
static double variance_of(const struct diff *d, const struct ul_amount at[DIFF_LOOKS]) {
  double blocks = (double)(at[0].blocks + at[1].blocks), variance = 0;
  double bytes = (double)(at[0].bytes + at[1].bytes);
  for (unsigned side = 0; side < DIFF_LOOKS; side++) {
    double period = (double)d->look[side].process->sampling.bytes;
    if (period && blocks) variance += bytes / 2 * weight_variance(bytes / blocks, period);
  }
  return variance;
}

/* There are hundreds of call sites and functions, of which none is to be named by chance:
 * so many standard deviations are once in 2,000 times. */
static bool is_chance(const struct diff *d, const struct ul_amount at[DIFF_LOOKS]) {
  const double deviations = 3.5;
  double variance = variance_of(d, at);
  return variance > 0 && (double)size_of(at) <= deviations * sqrt(variance);
}

static bool is_changed(const struct search *s, const struct match_group *g) {
  return match_sign(g->at) && size_of(g->at) >= threshold(s->diff, false) &&
         !is_chance(s->diff, g->at);
}

/* A group's difference is given to those of its sites that are not there, or less, on
 * the other side; then to any. */
static void share(struct laying *l, struct match_group *g, bool to_any) {
  unsigned other = 1 - l->side;
  struct ul_amount left = {more(g->at[l->side].blocks, g->at[other].blocks),
                           more(g->at[l->side].bytes, g->at[other].bytes)};
  for (struct match_part *p = g->parts; p; p = p->next) {
    if (p->side != l->side) continue;
    struct ul_amount *to = &l->amount[p->site];
    struct ul_amount excess = p->amount;
    if (!to_any) {
      excess.bytes = least(excess.bytes,
                           more(p->whole->at[l->side].bytes, p->whole->at[other].bytes));
      excess.blocks = least(
          excess.blocks, more(p->whole->at[l->side].blocks, p->whole->at[other].blocks));
    }
    to->bytes = least(excess.bytes, left.bytes);
    to->blocks = least(excess.blocks, left.blocks);
    left.bytes -= to->bytes;
    left.blocks -= to->blocks;
  }
  if ((left.bytes || left.blocks) && !to_any) share(l, g, true);
}

static bool is_of(const struct laying *l, const struct match_group *g) {
  return is_changed(l->search, g) &&
         match_sign(g->at) == (l->side == DIFF_AFTER ? 1 : -1);
}

static bool find_causes(struct laying *l) {
  struct process *p = l->search->diff->look[l->side].process;
  struct cause_measure measure = {.amount = l->amount,
                                  .count = recording_count(p->recording, UL_SITES)};
  if (l->kind == DIFF_LEAK) {
    measure.drags = recording_drag(p->recording, 0);
    measure.drag_count = recording_count(p->recording, UL_DRAGS);
  }
  return (l->causes = causes_load(p->functions, p->sites, &measure));
}

/* ---- changes ------------------------------------------------------------------- */

/* Does what comes from there grow? */
static bool grows(struct process *p, uint32_t site) {
  const struct findings *f = p->findings;
  for (size_t i = 0; f && i < f->count; i++)
    if (f->at[i].kind == FINDING_GROWTH && f->growing->of_site[site] == f->at[i].cause)
      return true;
  return false;
}

static void name_change(struct laying *l, const struct cause *c, size_t cause,
                        struct diff_change *to) {
  struct process *p = l->search->diff->look[l->side].process;
  to->frame = causes_frame(p->functions, c);
  size_t n = causes_common(p->functions, l->causes, cause, to->callers, DIFF_CALLERS);
  to->callers_count = n < DIFF_CALLERS ? n : DIFF_CALLERS;
  to->site = c->site;
  to->stacks = c->stacks;
  to->fingerprint = fingerprint_of_cause(l->search->fingerprints[l->side], p->functions,
                                         l->causes, cause);
  if (to->kind == DIFF_LIVE && grows(p, c->site)) to->kind = DIFF_GROWTH;
}

static struct match_function *function_of(const struct laying *l, const struct cause *c) {
  return match_function(l->search->match, l->side, c->function);
}

/* Of a group that has changed: its site that has changed most says whose it is. */
static void lay_group(struct laying *l, struct match_group *g) {
  struct diff_measure *m = l->search->measure;
  const struct match_part *most = NULL;
  for (const struct match_part *p = g->parts; p; p = p->next)
    if (p->side == l->side &&
        (!most || l->amount[p->site].bytes > l->amount[most->site].bytes))
      most = p;
  uint32_t cause = most ? l->causes->of_site[most->site] : UINT32_MAX;
  g->change = l->first + (cause == UINT32_MAX ? l->causes->count : cause);
  struct diff_change *change = &m->changes[g->change];
  bool alone = cause != UINT32_MAX && function_of(l, &l->causes->at[cause]) &&
               !match_common(function_of(l, &l->causes->at[cause]));
  struct ul_amount difference = {more(g->at[l->side].blocks, g->at[1 - l->side].blocks),
                                 more(g->at[l->side].bytes, g->at[1 - l->side].bytes)};
  if (alone) {
    ul_amount_add(&change->at[l->side], difference);
  } else {
    ul_amount_add(&change->at[0], g->at[0]);
    ul_amount_add(&change->at[1], g->at[1]);
  }
  if (cause == UINT32_MAX && most) {
    const struct frame *frames;
    struct process *p = l->search->diff->look[l->side].process;
    frame_stack(p->symbols, most->site, &frames);
    change->site = most->site;
    change->stacks++;
    change->fingerprint =
        fingerprint_of_site(l->search->fingerprints[l->side], most->site);
  }
}

static bool is_unchanged(const struct search *s, const struct match_group *g) {
  return !match_sign(g->at) || is_chance(s->diff, g->at);
}

/* What has not changed there counts as well: less than all is not new. */
static bool add_unchanged(struct laying *l) {
  struct search *s = l->search;
  size_t *of_function =
      malloc((HASH_COUNT(s->match->functions) + 1) * sizeof *of_function);
  if (!of_function) return false;
  for (size_t i = 0; i < HASH_COUNT(s->match->functions); i++)
    of_function[i] = NO_CHANGE;
  for (size_t i = 0; i < l->causes->count; i++)
    if (function_of(l, &l->causes->at[i]))
      of_function[function_of(l, &l->causes->at[i])->index] = l->first + i;
  for (struct match_group *g = s->match->groups; g; g = g->hh.next) {
    if (!is_unchanged(s, g)) continue;
    for (size_t i = 0; i < g->length; i++) {
      size_t change = of_function[g->chain[i]->index];
      if (change == NO_CHANGE) continue;
      ul_amount_add(&s->measure->changes[change].at[0], g->at[0]);
      ul_amount_add(&s->measure->changes[change].at[1], g->at[1]);
    }
  }
  free(of_function);
  return true;
}

static bool lay_all(struct laying *l) {
  struct diff_measure *m = l->search->measure;
  size_t more_changes = l->causes->count + 1;
  l->first = m->changes_count;
  struct diff_change *changes =
      realloc(m->changes, (l->first + more_changes) * sizeof *changes);
  if (!changes) return false;
  m->changes = changes;
  m->changes_count += more_changes;
  memset(changes + l->first, 0, more_changes * sizeof *changes);
  for (size_t i = 0; i < more_changes; i++) {
    changes[l->first + i].kind = l->kind;
    changes[l->first + i].named_by = l->side;
    if (i < l->causes->count)
      name_change(l, &l->causes->at[i], i, &changes[l->first + i]);
  }
  for (struct match_group *g = l->search->match->groups; g; g = g->hh.next)
    if (is_of(l, g)) lay_group(l, g);
  return add_unchanged(l);
}

static bool lay(struct search *s, enum diff_kind kind, unsigned side) {
  struct laying l = {.search = s, .kind = kind, .side = side};
  l.amount = calloc(sites_of(&s->diff->look[side]) + 1, sizeof *l.amount);
  bool good = l.amount;
  for (struct match_group *g = s->match->groups; good && g; g = g->hh.next)
    if (is_of(&l, g)) share(&l, g, false);
  good = good && find_causes(&l) && lay_all(&l);
  causes_free(l.causes);
  free(l.amount);
  return good;
}

static int by_size(const void *a, const void *b) {
  const struct diff_change *x = a, *y = b;
  uint64_t sx = size_of(x->at), sy = size_of(y->at);
  if (sx != sy) return sx > sy ? -1 : 1;
  if (x->kind != y->kind) return (int)x->kind - (int)y->kind;
  if (x->named_by != y->named_by) return x->named_by > y->named_by ? -1 : 1;
  return x->site < y->site ? -1 : x->site > y->site;
}

static void keep_changed(const struct diff *d, struct diff_measure *m) {
  size_t kept = 0;
  for (size_t i = 0; i < m->changes_count; i++)
    if (match_sign(m->changes[i].at) && !is_chance(d, m->changes[i].at))
      m->changes[kept++] = m->changes[i];
  m->changes_count = kept;
  if (kept) qsort(m->changes, kept, sizeof *m->changes, by_size);
}

/* ---- functions ----------------------------------------------------------------- */

/* By the index of the function. */
struct sums {
  struct ul_amount at[DIFF_LOOKS];
  size_t depth; /* SIZE_MAX: in no stack that has changed */
  struct ul_amount here;
  uint64_t group; /* that `here` is of */
};

/* Of those that one side alone has: no more than the group differs by. */
static void add_lone(struct search *s, struct sums *sums, const struct match_group *g,
                     uint64_t number) {
  unsigned side = match_sign(g->at) > 0 ? DIFF_AFTER : DIFF_BEFORE;
  struct ul_amount left = {more(g->at[side].blocks, g->at[1 - side].blocks),
                           more(g->at[side].bytes, g->at[1 - side].bytes)};
  struct functions *functions = s->diff->look[side].process->functions;
  for (const struct match_part *p = g->parts; p; p = p->next) {
    const struct function_call *calls;
    if (p->side != side || p->whole->at[side].bytes <= p->whole->at[1 - side].bytes)
      continue;
    size_t n = functions_stack(functions, p->site, &calls);
    for (size_t i = 0; i < n; i++) {
      struct match_function *f = match_function(s->match, side, calls[i].function);
      if (!f || match_common(f)) continue;
      struct sums *to = &sums[f->index];
      if (to->group != number) to->here = left;
      to->group = number;
      struct ul_amount part = {least(p->amount.blocks, to->here.blocks),
                               least(p->amount.bytes, to->here.bytes)};
      to->here.blocks -= part.blocks;
      to->here.bytes -= part.bytes;
      ul_amount_add(&to->at[side], part);
      if (i < to->depth) to->depth = i;
    }
  }
}

static void add_groups(struct search *s, struct sums *sums) {
  uint64_t number = 0;
  for (const struct match_group *g = s->match->groups; g; g = g->hh.next) {
    bool changed = is_changed(s, g);
    for (size_t i = 0; i < g->length; i++) {
      struct sums *to = &sums[g->chain[i]->index];
      ul_amount_add(&to->at[0], g->at[0]);
      ul_amount_add(&to->at[1], g->at[1]);
      if (changed && i < to->depth) to->depth = i;
    }
    if (changed) add_lone(s, sums, g, ++number);
  }
}

/* Has the look that does not know the function no names in its file? */
static bool is_untold(const struct search *s, const struct match_function *f) {
  unsigned side = f->in[DIFF_AFTER] ? DIFF_AFTER : DIFF_BEFORE;
  const char *module =
      functions_frame(s->diff->look[side].process->functions, f->number[side])->module;
  const char *path;
  if (match_common(f) || !module) return false;
  for (size_t i = 0;
       (path = symbols_nameless(s->diff->look[1 - side].process->symbols, i)); i++)
    if (strcmp(basename(path), basename(module)) == 0) return true;
  return false;
}

static bool keep_functions(struct search *s, const struct sums *sums,
                           uint64_t least_off) {
  struct diff_measure *m = s->measure;
  m->functions = malloc((HASH_COUNT(s->match->functions) + 1) * sizeof *m->functions);
  if (!m->functions) return false;
  for (const struct match_function *f = s->match->functions; f; f = f->hh.next) {
    const struct sums *from = &sums[f->index];
    unsigned side = f->in[DIFF_AFTER] ? DIFF_AFTER : DIFF_BEFORE;
    if (!match_sign(from->at) || size_of(from->at) < least_off) continue;
    if (is_chance(s->diff, from->at)) continue;
    if (is_untold(s, f)) continue;
    m->functions[m->functions_count++] = (struct diff_function){
        functions_frame(s->diff->look[side].process->functions, f->number[side]),
        {from->at[0], from->at[1]},
        from->depth};
  }
  return true;
}

static int by_size_then_depth(const void *a, const void *b) {
  const struct diff_function *x = a, *y = b;
  uint64_t sx = size_of(x->at), sy = size_of(y->at);
  if (sx != sy) return sx > sy ? -1 : 1;
  if (x->depth != y->depth) return x->depth < y->depth ? -1 : 1;
  const char *nx = x->frame->function, *ny = y->frame->function;
  return strcmp(nx ? nx : "", ny ? ny : "");
}

/* ---- functions at a moment ------------------------------------------------------ */

/* How often a function is in one stack at most: of one that is there twice the sums of
 * its return addresses are too high, and one that is in none is main's caller. */
static uint8_t *times_in_stacks(struct search *s, unsigned side) {
  struct process *p = s->diff->look[side].process;
  uint32_t count = functions_count(p->functions);
  uint8_t *times = calloc(count + 1, sizeof *times);
  uint32_t *stamp = calloc(count + 1, sizeof *stamp);
  for (uint32_t site = 0; times && stamp && site < sites_of(&s->diff->look[side]);
       site++) {
    const struct function_call *calls;
    size_t n = functions_stack(p->functions, site, &calls);
    for (size_t i = 0; i < n; i++) {
      uint32_t f = calls[i].function;
      if (f >= count) continue;
      if (times[f] < 2) times[f] = stamp[f] == site + 1 ? 2 : 1;
      stamp[f] = site + 1;
    }
  }
  free(stamp);
  return times;
}

/* Each once, however often it is in the stack. */
static void add_stack(const struct recording *r, uint32_t site, struct ul_amount amount,
                      struct ul_amount *codes, uint32_t *stamp) {
  const struct ul_site *s = recording_site(r, site);
  uint32_t node = s->parent, code = ul_site_code(s);
  while (code) {
    if (stamp[code] != site + 1) ul_amount_add(&codes[code], amount);
    stamp[code] = site + 1;
    const struct ul_node *n = node < UL_NODE_RESERVED ? NULL : recording_node(r, node);
    code = n ? n->code : 0;
    node = n ? n->parent : UL_NODE_ROOT;
  }
}

static bool add_stacks(const struct diff_look *look, struct ul_amount *codes,
                       size_t count) {
  const struct recording *r = look->process->recording;
  uint32_t *stamp = calloc(count + 1, sizeof *stamp);
  for (uint32_t site = 0; stamp && site < sites_of(look); site++) {
    struct ul_amount amount = amount_live(look, site, NULL);
    if ((amount.blocks || amount.bytes) && !recording_site_is_others(r, site))
      add_stack(r, site, amount, codes, stamp);
  }
  bool good = stamp;
  free(stamp);
  return good;
}

/* By index in UL_CODES: what lives at all stacks through it, if both looks see it. */
static struct ul_amount *code_amounts(struct search *s, unsigned side) {
  const struct diff_look *look = &s->diff->look[side];
  size_t count = recording_count(look->process->recording, UL_CODES);
  uint64_t least_seen = unseen_below(s->diff, true);
  struct ul_amount *codes = calloc(count + 1, sizeof *codes);
  if (!codes) return NULL;
  if (look->at) {
    memcpy(codes, look->at->codes, count * sizeof *codes);
  } else if (!add_stacks(look, codes, count)) {
    free(codes);
    return NULL;
  }
  for (size_t i = 0; i < count; i++)
    if (codes[i].bytes < least_seen) codes[i] = (struct ul_amount){0, 0};
  return codes;
}

/* The largest of a recursive function's, all of another's. */
static bool add_codes(struct search *s, unsigned side, struct sums *sums) {
  struct process *p = s->diff->look[side].process;
  struct ul_amount *codes = code_amounts(s, side);
  uint8_t *times = times_in_stacks(s, side);
  size_t count = recording_count(p->recording, UL_CODES);
  for (size_t i = UL_CODE_RESERVED; codes && times && i < count; i++) {
    const struct function_call *calls;
    size_t n = functions_at_code(p->functions, recording_code(p->recording, i), &calls);
    for (size_t k = 0; k < n; k++) {
      struct match_function *f = match_function(s->match, side, calls[k].function);
      if (!f || !times[calls[k].function]) continue;
      struct ul_amount *to = &sums[f->index].at[side];
      if (times[calls[k].function] == 1)
        ul_amount_add(to, codes[i]);
      else if (codes[i].bytes > to->bytes)
        *to = codes[i];
    }
  }
  bool good = codes && times;
  free(codes);
  free(times);
  return good;
}

/* How far in functions are: where they are called in the stacks that are seen. */
static void add_depths(struct search *s, struct sums *sums) {
  for (const struct match_group *g = s->match->groups; g; g = g->hh.next)
    for (size_t i = 0; i < g->length; i++)
      if (i < sums[g->chain[i]->index].depth) sums[g->chain[i]->index].depth = i;
}

static bool add_moments(struct search *s, struct sums *sums) {
  bool good = add_codes(s, DIFF_BEFORE, sums) && add_codes(s, DIFF_AFTER, sums);
  add_depths(s, sums);
  return good;
}

static bool find_functions(struct search *s, bool moments) {
  size_t count = HASH_COUNT(s->match->functions);
  struct sums *sums = calloc(count + 1, sizeof *sums);
  if (!sums) return false;
  for (size_t i = 0; i < count; i++)
    sums[i].depth = SIZE_MAX;
  bool good = true;
  if (moments)
    good = add_moments(s, sums);
  else
    add_groups(s, sums);
  good = good && keep_functions(s, sums, moments ? threshold(s->diff, true) : 0);
  free(sums);
  if (s->measure->functions_count)
    qsort(s->measure->functions, s->measure->functions_count,
          sizeof *s->measure->functions, by_size_then_depth);
  return good;
}

/* ---- all of it ----------------------------------------------------------------- */

static bool lay_measure(struct search *s, enum diff_kind kind, site_amount *of) {
  return add_sites(s, of) && lay(s, kind, DIFF_AFTER) && lay(s, kind, DIFF_BEFORE);
}

static struct ul_amount amount_all(const struct diff_look *look, uint32_t site,
                                   const struct ul_amount *lost) {
  (void)lost;
  return amount_live(look, site, NULL);
}

/* What call sites that are not looked at have of the total. */
static void count_untold(struct search *s) {
  uint64_t least_seen = unseen_below(s->diff, false);
  for (unsigned side = 0; side < DIFF_LOOKS; side++) {
    const struct diff_look *look = &s->diff->look[side];
    uint64_t seen = 0;
    if (!least_seen) continue;
    for (uint32_t i = 0; i < sites_of(look); i++) {
      struct ul_amount amount = amount_live(look, i, NULL);
      if (recording_site_is_others(look->process->recording, i)) continue;
      if (amount.bytes >= least_seen) seen += amount.bytes;
    }
    s->diff->live.untold[side] =
        more(look->at ? look->at->live_bytes : look->process->sites->bytes, seen);
  }
}

static bool compare_live(struct search *s) {
  s->measure = &s->diff->live;
  if (s->diff->leaks && !lay_measure(s, DIFF_LEAK, amount_lost)) return false;
  if (!lay_measure(s, DIFF_LIVE, amount_live)) return false;
  if (s->diff->leaks && !add_sites(s, amount_all)) return false;
  count_untold(s);
  keep_changed(s->diff, s->measure);
  return find_functions(s, is_moment(s->diff));
}

static bool compare_peak(struct search *s) {
  s->measure = &s->diff->peak;
  if (is_moment(s->diff)) return true;
  if (!lay_measure(s, DIFF_LIVE, amount_peak)) return false;
  keep_changed(s->diff, s->measure);
  return find_functions(s, false);
}

/* ---- what is compared ----------------------------------------------------------- */

static const struct ul_module *program_of(const struct recording *r) {
  const char *path = recording_text(r, recording_header(r)->program);
  const struct ul_module *m;
  for (uint64_t i = 0; (m = recording_module(r, i)); i++)
    if (strcmp(recording_text(r, m->name), path) == 0) return m;
  return NULL;
}

static bool is_build(const struct ul_module *a, const struct ul_module *b) {
  return a->build_id_bytes && a->build_id_bytes == b->build_id_bytes &&
         memcmp(a->build_id, b->build_id, a->build_id_bytes) == 0;
}

static const char *program_name(const struct recording *r) {
  return basename(recording_text(r, recording_header(r)->program));
}

/* Has the one most functions that the other has, in the programs themselves? Another
 * optimization leaves fewer. */
static bool share_functions(struct match *m) {
  size_t common = 0, all[DIFF_LOOKS] = {0};
  for (const struct match_function *f = m->functions; f; f = f->hh.next) {
    unsigned side = f->in[0] ? 0 : 1;
    const struct recording *r = m->of[side]->recording;
    const struct frame *frame = functions_frame(m->of[side]->functions, f->number[side]);
    const char *path = recording_text(r, recording_header(r)->program);
    if (!frame->function || !frame->module || strcmp(frame->module, path) != 0) continue;
    all[0] += f->in[0];
    all[1] += f->in[1];
    common += match_common(f);
  }
  return common * 2 > least(all[0], all[1]);
}

static bool is_of_one_program(struct process *before, struct process *after) {
  const struct recording *x = before->recording, *y = after->recording;
  const struct ul_module *a = program_of(x), *b = program_of(y);
  if (strcmp(program_name(x), program_name(y)) == 0 || (a && b && is_build(a, b)))
    return true;
  struct match *m = match_new((struct process *[]){before, after});
  bool same = m && share_functions(m);
  match_free(m);
  return same;
}

/* Every module of the one that the other has by that name is the same. */
static bool is_same_build(const struct recording *x, const struct recording *y) {
  const struct ul_module *a, *b;
  const struct ul_module *px = program_of(x), *py = program_of(y);
  if (!px || !py || !is_build(px, py)) return false;
  for (uint64_t i = 0; (a = recording_module(x, i)); i++)
    for (uint64_t k = 0; (b = recording_module(y, k)); k++)
      if (strcmp(basename(recording_text(x, a->name)),
                 basename(recording_text(y, b->name))) == 0 &&
          !is_build(a, b) && (a->build_id_bytes || b->build_id_bytes))
        return false;
  return true;
}

/* ---- life ---------------------------------------------------------------------- */

static bool prepare(struct search *s, unsigned side) {
  struct process *p = s->diff->look[side].process;
  if (!process_sites(p) || !process_functions(p)) return false;
  if (!is_moment(s->diff) && !process_findings(p)) return false;
  if (s->diff->leaks && !load_lost(s, side)) return false;
  return (s->fingerprints[side] = fingerprints_new(p->recording, p->symbols));
}

static bool compare(struct search *s) {
  struct process *of[] = {s->diff->look[0].process, s->diff->look[1].process};
  return prepare(s, DIFF_BEFORE) && prepare(s, DIFF_AFTER) &&
         (s->match = match_new(of)) && compare_live(s) && compare_peak(s);
}

struct diff *diff_load(const struct diff_look look[DIFF_LOOKS], bool force) {
  struct diff *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  memcpy(d->look, look, sizeof d->look);
  const struct recording *x = look[DIFF_BEFORE].process->recording;
  const struct recording *y = look[DIFF_AFTER].process->recording;
  d->different =
      !force && !is_of_one_program(look[DIFF_BEFORE].process, look[DIFF_AFTER].process);
  if (d->different) return d;
  d->same_build = is_same_build(x, y);
  d->leaks = !is_moment(d) && leaks_known(x) && leaks_known(y);
  struct search s = {.diff = d};
  bool good = compare(&s);
  match_free(s.match);
  for (unsigned side = 0; side < DIFF_LOOKS; side++) {
    free(s.lost[side]);
    fingerprints_free(s.fingerprints[side]);
  }
  if (good) return d;
  diff_free(d);
  return NULL;
}

static void measure_free(struct diff_measure *m) {
  free(m->changes);
  free(m->functions);
}

void diff_free(struct diff *d) {
  if (!d) return;
  measure_free(&d->live);
  measure_free(&d->peak);
  free(d);
}
