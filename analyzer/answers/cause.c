/* cause.c - see cause.h.
 *
 * Two rounds over the stacks: what goes through each function (flow.h); then each stack
 * of the finding chooses its function (lay.h). What was made together is joined. */
#include "answers/spread.h"

#include "names/blame.h"
#include "names/through.h"

#include <stdlib.h>
#include <string.h>

/* Blocks of causes that are one: fewer may be equal by chance. */
#define COUNT_LEAST 16u
#define RATIO_MOST 8u

/* ---- order --------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b, void *causes) {
  const struct cause *x = (const struct cause *)causes + *(const uint32_t *)a;
  const struct cause *y = (const struct cause *)causes + *(const uint32_t *)b;
  if (x->of.bytes != y->of.bytes) return x->of.bytes > y->of.bytes ? -1 : 1;
  if (x->of.blocks != y->of.blocks) return x->of.blocks > y->of.blocks ? -1 : 1;
  return x->site < y->site ? -1 : x->site > y->site;
}

static bool sort(struct search *s) {
  struct causes *c = s->causes;
  uint32_t *order = malloc((c->count + 1) * sizeof *order);
  uint32_t *place = malloc((c->count + 1) * sizeof *place);
  struct cause *sorted = malloc((c->count + 1) * sizeof *sorted);
  bool good = order && place && sorted;
  size_t kept = 0;
  for (size_t i = 0; good && i < c->count; i++)
    if (c->at[i].stacks) order[kept++] = (uint32_t)i;
  if (good && kept) qsort_r(order, kept, sizeof *order, by_bytes, c->at);
  for (size_t i = 0; good && i < kept; i++) {
    sorted[i] = c->at[order[i]];
    place[order[i]] = (uint32_t)i;
  }
  for (size_t i = 0; good && i < s->measure->count; i++)
    if (c->of_site[i] != UINT32_MAX) c->of_site[i] = place[c->of_site[i]];
  if (good) {
    free(c->at);
    c->at = sorted;
    c->count = kept;
  } else {
    free(sorted);
  }
  free(order);
  free(place);
  return good;
}

/* What goes through each of a cause's calls. */
struct commons {
  const struct causes *causes;
  size_t cause;
  uint64_t *through;
};

static void add_common(void *to, uint32_t site, struct through_set set) {
  struct commons *commons = to;
  const struct causes *c = commons->causes;
  if (site >= c->sites || c->of_site[site] != commons->cause) return;
  for (size_t i; through_next(&set, &i);)
    commons->through[i] += c->amount[site].bytes;
}

/* The calls of `stack`, that is n long, through whose functions nearly all of the cause
 * goes; how many are left. */
static size_t keep_common(struct functions *f, const struct causes *c, size_t cause,
                          struct function_call *calls, size_t n) {
  enum { STRAY = 100 }; /* one in so many bytes may come another way */
  struct commons commons = {c, cause, calloc(n + 1, sizeof *commons.through)};
  uint64_t *through = commons.through, all = c->at[cause].of.bytes;
  size_t left = 0;
  if (through && through_each(f, THROUGH_ANY, calls, n, add_common, &commons))
    for (size_t i = 0; i < n; i++)
      if (through[i] >= all - all / STRAY) calls[left++] = calls[i];
  free(through);
  return left;
}

/* From the cause's own function outwards; to be freed. NULL: no memory. */
static struct function_call *common_calls(struct functions *f, const struct causes *c,
                                          size_t cause, size_t *n) {
  const struct function_call *stack;
  const struct cause *it = &c->at[cause];
  size_t m = functions_stack(f, it->site, &stack);
  size_t from = it->depth < m ? it->depth : m;
  struct function_call *calls = malloc((m - from + 1) * sizeof *calls);
  if (!calls) return NULL;
  if (m > from) memcpy(calls, stack + from, (m - from) * sizeof *calls);
  *n = keep_common(f, c, cause, calls, m - from);
  return calls;
}

/* ---- equal counts -------------------------------------------------------------- */

static uint64_t gcd(uint64_t a, uint64_t b) {
  while (b) {
    uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* How often was it done, if these counts came from doing one thing? 0: they did not. A
 * few of the last time may be missing, as a register still held them. */
static uint64_t times_of(uint64_t a, uint64_t b) {
  uint64_t least = a < b ? a : b, most = a < b ? b : a;
  uint64_t ratio = (most + least / 2) / (least ? least : 1);
  if (least < COUNT_LEAST || ratio > RATIO_MOST) return 0;
  uint64_t n = gcd(a, b);
  if (most / n <= RATIO_MOST) return n;
  uint64_t off = most > ratio * least ? most - ratio * least : ratio * least - most;
  return off * 100 <= most ? least : 0;
}

/* If all of a cause's stacks that matter have such counts: how often was it done? */
static void count_calls(struct search *s, size_t cause) {
  enum { SHARE = 100, STACKS = 64 };
  struct cause *c = &s->causes->at[cause];
  uint64_t calls = 0, rest = 0;
  if (c->stacks < 2 || c->stacks > STACKS) return;
  for (uint32_t site = 0; site < s->measure->count; site++) {
    const struct ul_amount *a = &s->measure->amount[site];
    if (s->causes->of_site[site] != cause) continue;
    if (a->bytes < c->of.bytes / SHARE && a->blocks < c->of.blocks / SHARE) {
      rest += a->blocks;
      continue;
    }
    calls = calls ? times_of(calls, a->blocks) : a->blocks;
    if (!calls) return;
  }
  if (calls < COUNT_LEAST || calls == c->of.blocks) return;
  c->times = calls;
  c->each = (c->of.blocks - rest + calls / 2) / calls;
}

/* ---- equal counts under one function ------------------------------------------- */

static uint64_t count_of(const struct cause *c) {
  return c->times ? c->times : c->of.blocks;
}

static void move_out(struct search *s, struct cause *c, size_t depth, uint32_t function) {
  c->function = function;
  c->helper = 0;
  c->depth = depth;
  c->retention = flow_retention(&s->flow, function);
}

/* Do the two come from doing one thing, in that function? The larger one is a; what is
 * nothing beside it may have such a count by chance. */
static bool are_equal(struct search *s, const struct cause *a, const struct cause *b,
                      uint32_t function) {
  const struct function_call *stack;
  bool matters = b->of.bytes >= a->of.bytes / 50 || b->of.blocks >= a->of.blocks / 4;
  if (!b->stacks || b->of.bytes > a->of.bytes || !matters ||
      !times_of(count_of(a), count_of(b)))
    return false;
  size_t n = functions_stack(s->functions, b->site, &stack);
  return lay_is_in(stack, n, function);
}

/* Does that function, in whose call a cause and `other` are made, only hand both on, from
 * one place? */
static bool only_hands_on(struct search *s, const struct function_call *call,
                          const struct cause *other) {
  const struct function_call *stack;
  if (blame_is_machine(call->frame)) return true;
  if (!flow_hands_on(&s->flow, call)) return false;
  uint32_t place = call->frame->number;
  size_t n = functions_stack(s->functions, other->site, &stack), i = 0;
  while (i < n && stack[i].function != call->function)
    i++;
  return i < n && stack[i].frame->number == place;
}

/* Exactly so often, and so often that it is no chance? */
static bool is_as_often(const struct cause *a, const struct cause *b) {
  enum { OFTEN = 64, MISSING = 2 };
  uint64_t x = count_of(a), y = count_of(b);
  return x >= OFTEN && (x > y ? x - y : y - x) <= MISSING;
}

struct equals {
  uint64_t bytes; /* with its own */
  size_t others, as_often, handed_on;
};

/* Of equal count with cause a, in that function. */
static struct equals equals_of(struct search *s, size_t a,
                               const struct function_call *call) {
  const struct causes *c = s->causes;
  struct equals e = {.bytes = c->at[a].of.bytes};
  for (size_t b = 0; b < c->count && b < LOOKED_AT; b++) {
    if (b == a || !are_equal(s, &c->at[a], &c->at[b], call->function)) continue;
    e.handed_on += only_hands_on(s, call, &c->at[b]);
    e.bytes += c->at[b].of.bytes;
    e.others++;
    e.as_often += is_as_often(&c->at[a], &c->at[b]);
  }
  return e;
}

/* Where in its stack a cause may move to: what runs an interpreter makes nothing. */
static size_t up_to_machine(const struct cause *c, const struct function_call *calls,
                            size_t n) {
  for (size_t i = c->depth + 1; i < n; i++)
    if (blame_is_machine(calls[i].frame)) return i;
  return n;
}

/* Does calls[i] use the library that the cause is in? What that makes for it is its own,
 * however much else the library makes and frees on the way. */
static bool is_user(struct search *s, const struct cause *c,
                    const struct function_call *calls, size_t i) {
  uint32_t of = functions_module(s->functions, c->function);
  return i > c->depth && !calls[i].by_pointer &&
         functions_module(s->functions, calls[i].function) != of &&
         functions_module(s->functions, calls[i - 1].function) == of;
}

/* Does the function keep what they have, or only them to keep? What it makes and frees on
 * the way says little where several others came as often, to the block. */
static bool keeps_equals(struct search *s, const struct cause *c,
                         const struct function_call *calls, size_t i,
                         const struct equals *e) {
  enum { SEVERAL = 2, NOTHING = 50 };
  bool matters = e->bytes - c->of.bytes >= c->of.bytes / NOTHING;
  return flow_retention(&s->flow, calls[i].function) >= NEARLY * c->retention ||
         (matters && is_user(s, c, calls, i)) ||
         (s->measure->together && e->as_often >= SEVERAL);
}

/* The innermost function that nearly all others of equal count go through, too, and
 * hardly anything else does. SIZE_MAX: there is none, or it only hands work on. */
static size_t common_doer(struct search *s, size_t a, struct function_call *calls,
                          size_t n) {
  enum { PER_CENT = 100, NEARLY_ALL = 90 };
  const struct cause *c = &s->causes->at[a];
  size_t best = SIZE_MAX;
  uint64_t most = 0;
  bool does = false;
  for (size_t i = up_to_machine(c, calls, n); i-- > c->depth;) {
    uint32_t function = calls[i].function;
    if (functions_kind(s->functions, function) != FUNCTION_OWN) continue;
    struct equals e = equals_of(s, a, &calls[i]);
    if (!e.others || !keeps_equals(s, c, calls, i, &e) ||
        e.bytes < s->flow.at[function].bytes / PER_CENT * NEARLY_ALL ||
        e.bytes < most / PER_CENT * NEARLY_ALL)
      continue;
    best = i;
    does = e.handed_on < e.others;
    if (does && e.bytes > most) most = e.bytes;
  }
  return does ? best : SIZE_MAX;
}

static bool join_equal(struct search *s) {
  struct causes *c = s->causes;
  for (size_t a = 0; a < c->count && a < LOOKED_AT; a++) {
    const struct function_call *stack;
    if (!c->at[a].stacks) continue;
    size_t n = functions_stack(s->functions, c->at[a].site, &stack);
    struct function_call *calls = malloc((n + 1) * sizeof *calls);
    if (!calls) return false;
    memcpy(calls, stack, n * sizeof *calls);
    size_t doer = common_doer(s, a, calls, n);
    uint32_t function = doer != SIZE_MAX ? calls[doer].function : 0;
    free(calls);
    if (doer == SIZE_MAX) continue;
    uint64_t count = count_of(&c->at[a]);
    for (size_t b = 0; b < c->count && b < LOOKED_AT; b++)
      if (b != a && are_equal(s, &c->at[a], &c->at[b], function)) {
        if (count_of(&c->at[b]) < count) count = count_of(&c->at[b]);
        lay_merge(s, a, b);
      }
    move_out(s, &c->at[a], doer, function);
    c->at[a].times = count;
    c->at[a].each = (c->at[a].of.blocks + count / 2) / count;
  }
  return true;
}

/* Estimates are no counts: each sampled block of one size stands for as many of them. */
static bool join_by_counts(struct search *s) {
  if (s->sites->estimated) return true;
  for (size_t i = 0; i < s->causes->count && i < LOOKED_AT; i++)
    count_calls(s, i);
  return join_equal(s);
}

/* ---- what is dragged along ----------------------------------------------------- */

/* The cause that drags along nearly all of b; its index, or b. */
static size_t leader_of(const struct search *s, size_t b, uint64_t *dragged) {
  enum { PER_CENT = 100, NEARLY_ALL = 90 };
  const struct causes *c = s->causes;
  memset(dragged, 0, c->count * sizeof *dragged);
  for (size_t i = 0; i < s->measure->drag_count; i++) {
    const struct ul_drag *d = &s->measure->drags[i];
    if (c->of_site[d->dragged] == b && c->of_site[d->leader] != UINT32_MAX)
      dragged[c->of_site[d->leader]] += d->bytes;
  }
  size_t most = b;
  for (size_t a = 0; a < c->count; a++)
    if (a != b && c->at[a].stacks && (most == b || dragged[a] > dragged[most])) most = a;
  return most != b && dragged[most] >= c->at[b].of.bytes / PER_CENT * NEARLY_ALL ? most
                                                                                 : b;
}

/* The innermost function, from a's own outwards, that b's stack goes through as well, if
 * it keeps nearly as much, and does not only hand work on: there the two are made.
 * SIZE_MAX: there is none. */
static size_t meeting(struct search *s, const struct cause *a, const struct cause *b) {
  const struct function_call *stack;
  size_t n = functions_stack(s->functions, b->site, &stack), found = SIZE_MAX;
  struct function_call *other = malloc((n + 1) * sizeof *other), met = {0};
  if (!other) return SIZE_MAX;
  memcpy(other, stack, n * sizeof *other);
  size_t m = functions_stack(s->functions, a->site, &stack);
  size_t i = a->depth;
  while (i < m && !lay_is_in(other, n, stack[i].function))
    i++;
  if (i < m) met = stack[i];
  if (i < m && functions_kind(s->functions, met.function) == FUNCTION_OWN &&
      !only_hands_on(s, &met, b) &&
      flow_retention(&s->flow, met.function) >= NEARLY * a->retention)
    found = i;
  free(other);
  return found;
}

static void join(struct search *s, size_t a, size_t b) {
  enum { NOTHING = 50 }; /* times as much */
  const struct function_call *stack;
  const struct cause *to = &s->causes->at[a], *from = &s->causes->at[b];
  bool matters = from->of.bytes >= to->of.bytes / NOTHING;
  size_t depth = matters ? meeting(s, to, from) : SIZE_MAX;
  lay_merge(s, a, b);
  if (depth == SIZE_MAX) return;
  functions_stack(s->functions, s->causes->at[a].site, &stack);
  move_out(s, &s->causes->at[a], depth, stack[depth].function);
}

static bool join_dragged(struct search *s) {
  struct causes *c = s->causes;
  uint64_t *dragged = malloc((c->count + 1) * sizeof *dragged);
  if (!dragged) return false;
  for (size_t b = 0; b < c->count && s->measure->drag_count; b++) {
    size_t a = c->at[b].stacks ? leader_of(s, b, dragged) : b;
    if (a != b) join(s, a, b);
  }
  free(dragged);
  return true;
}

/* Who was moved out may be where another is. */
static void join_same(struct search *s) {
  struct causes *c = s->causes;
  for (size_t a = 0; a < c->count && a < LOOKED_AT; a++)
    for (size_t b = a + 1; b < c->count && b < LOOKED_AT; b++)
      if (c->at[a].stacks && c->at[b].stacks && c->at[a].function == c->at[b].function) {
        bool larger = c->at[b].of.bytes > c->at[a].of.bytes;
        lay_merge(s, larger ? b : a, larger ? a : b);
      }
}

/* ---- helpers ------------------------------------------------------------------- */

static bool has_many_callers(const struct search *s, uint32_t function) {
  return s->flow.at[function].callers[FLOW_CALLERS - 1];
}

/* Of what goes through a function: what each cause has. */
struct shares {
  uint64_t of[LOOKED_AT];
};

struct share_sums {
  const struct search *search;
  struct shares *at;
};

static void add_share(void *to, uint32_t site, struct through_set set) {
  struct share_sums *sums = to;
  const struct search *s = sums->search;
  uint32_t cause = site < s->measure->count ? s->causes->of_site[site] : UINT32_MAX;
  if (cause >= LOOKED_AT) return;
  for (size_t i; through_next(&set, &i);)
    sums->at[i].of[cause] += s->measure->amount[site].bytes;
}

/* Of `calls`, n of them; to be freed. NULL: no memory. */
static struct shares *shares_of(struct search *s, const struct function_call *calls,
                                size_t n) {
  struct share_sums sums = {s, calloc(n + 1, sizeof *sums.at)};
  if (sums.at && through_each(s->functions, THROUGH_ANY, calls, n, add_share, &sums))
    return sums.at;
  free(sums.at);
  return NULL;
}

/* Does the cause belong to that function, all but a little of it? */
static bool is_helper(const struct search *s, size_t cause, const struct shares *shares) {
  enum { PER_CENT = 100, NEARLY_ALL = 90 };
  const struct cause *c = &s->causes->at[cause];
  return c->stacks && shares->of[cause] >= c->of.bytes / PER_CENT * NEARLY_ALL;
}

/* One that keeps nearly all, and is not nearly the whole program. */
static bool keeps_what_it_makes(struct search *s, const struct cause *c,
                                const struct function_call *call) {
  return functions_kind(s->functions, call->function) == FUNCTION_OWN &&
         !flow_hands_on(&s->flow, call) && !has_many_callers(s, call->function) &&
         s->flow.at[call->function].allocated < s->allocated / 2 &&
         flow_retention(&s->flow, call->function) >= NEARLY * c->retention;
}

/* Whether it is worth a walk along all stacks. */
static bool any_keeps(struct search *s, const struct cause *c,
                      const struct function_call *calls, size_t n) {
  for (size_t i = n; i-- > c->depth + 1;)
    if (keeps_what_it_makes(s, c, &calls[i])) return true;
  return false;
}

/* And several helpers work for it. */
static bool is_maker(struct search *s, const struct cause *c,
                     const struct function_call *call, const struct shares *shares,
                     uint64_t *bytes) {
  enum { FEWEST = 3, MATTERS = 50 };
  const struct flow_function *f = &s->flow.at[call->function];
  size_t helpers = 0;
  *bytes = 0;
  for (size_t b = 0; b < s->causes->count && b < LOOKED_AT; b++) {
    if (!is_helper(s, b, shares)) continue;
    *bytes += shares->of[b];
    helpers += shares->of[b] >= f->bytes / MATTERS &&
               has_many_callers(s, s->causes->at[b].function);
  }
  return helpers >= FEWEST && keeps_what_it_makes(s, c, call);
}

/* What is made of many pieces by helpers that all the world calls is the work of the
 * function further out that keeps it all: the innermost that has nearly as much as any.
 */
static bool join_helpers(struct search *s) {
  enum { PER_CENT = 100, NEARLY_ALL = 90 };
  struct causes *c = s->causes;
  for (size_t a = 0; a < c->count && a < LOOKED_AT; a++) {
    const struct function_call *stack;
    if (!c->at[a].stacks || !has_many_callers(s, c->at[a].function)) continue;
    size_t n = functions_stack(s->functions, c->at[a].site, &stack), best = SIZE_MAX;
    n = up_to_machine(&c->at[a], stack, n);
    if (!any_keeps(s, &c->at[a], stack, n)) continue;
    struct function_call *calls = malloc((n + 1) * sizeof *calls);
    if (!calls) return false;
    memcpy(calls, stack, n * sizeof *calls);
    struct shares *shares = shares_of(s, calls, n);
    uint64_t bytes, most = 0;
    for (size_t i = n; shares && i-- > c->at[a].depth + 1;)
      if (is_helper(s, a, &shares[i]) &&
          is_maker(s, &c->at[a], &calls[i], &shares[i], &bytes) &&
          bytes >= most / PER_CENT * NEARLY_ALL) {
        best = i;
        if (bytes > most) most = bytes;
      }
    for (size_t b = 0; best != SIZE_MAX && b < c->count && b < LOOKED_AT; b++)
      if (b != a && is_helper(s, b, &shares[best])) lay_merge(s, a, b);
    if (best != SIZE_MAX) move_out(s, &c->at[a], best, calls[best].function);
    if (best != SIZE_MAX) c->at[a].times = 0;
    bool good = shares;
    free(shares);
    free(calls);
    if (!good) return false;
  }
  return true;
}

/* ---- what has no name ---------------------------------------------------------- */

/* The outermost with a name, unless all the world asks it for memory or for work. */
static uint32_t named_of(struct functions *f, const struct function_call *calls,
                         size_t n) {
  while (n && !calls[n - 1].frame->function)
    n--;
  bool says = n && !blame_is_machine(calls[n - 1].frame) &&
              functions_kind(f, calls[n - 1].function) == FUNCTION_OWN;
  return says ? calls[n - 1].function + 1 : 0;
}

/* What a cause without a name calls says more than its address, if nearly all of it goes
 * that way. */
static bool name_inside(struct search *s, size_t cause) {
  const struct function_call *stack;
  struct cause *c = &s->causes->at[cause];
  size_t n = functions_stack(s->functions, c->site, &stack);
  if (c->helper || c->depth >= n || stack[c->depth].frame->function) return true;
  struct function_call *calls = malloc((c->depth + 1) * sizeof *calls);
  if (!calls) return false;
  n = c->depth;
  if (n) memcpy(calls, stack, n * sizeof *calls);
  n = keep_common(s->functions, s->causes, cause, calls, n);
  c->helper = named_of(s->functions, calls, n);
  free(calls);
  return true;
}

static bool name_all(struct search *s) {
  for (size_t i = 0; i < s->causes->count && i < LOOKED_AT; i++)
    if (!name_inside(s, i)) return false;
  return true;
}

/* ---- all of it ----------------------------------------------------------------- */

static bool is_nothing(const struct cause_measure *m) {
  for (size_t i = 0; i < m->count; i++)
    if (m->amount[i].blocks || m->amount[i].bytes) return false;
  return true;
}

static bool add_allocated(struct search *s) {
  if (!(s->allocated_by = malloc(s->measure->count * sizeof *s->allocated_by)))
    return false;
  for (uint32_t i = 0; i < s->measure->count; i++) {
    s->allocated_by[i] = flow_allocated(s->sites, s->measure, i);
    s->allocated += s->allocated_by[i];
  }
  return true;
}

static bool find(struct search *s) {
  if (is_nothing(s->measure)) return true;
  if (!add_allocated(s)) return false;
  if (!flow_load(&s->flow, s->functions, s->sites, s->measure)) return false;
  s->cause_of = calloc(functions_count(s->functions) + 1, sizeof *s->cause_of);
  s->marks = calloc(functions_count(s->functions) + 1, sizeof *s->marks);
  if (!s->cause_of || !s->marks) return false;
  if (!flow_copy(&s->rest, &s->flow) || !lay_all(s) || !sort(s)) return false;
  if (!join_dragged(s) || !sort(s)) return false;
  if (!join_by_counts(s) || !join_helpers(s)) return false;
  join_same(s);
  if (!sort(s) || !spread_join(s)) return false;
  return sort(s) && name_all(s);
}

struct causes *causes_load(struct functions *f, const struct sites *sites,
                           const struct cause_measure *measure) {
  struct causes *c = calloc(1, sizeof *c);
  struct search s = {.functions = f, .sites = sites, .measure = measure, .causes = c};
  bool good = c && (c->of_site = malloc((measure->count + 1) * sizeof *c->of_site));
  if (good) memset(c->of_site, 0xff, measure->count * sizeof *c->of_site);
  good = good && (c->amount = calloc(measure->count + 1, sizeof *c->amount));
  for (size_t i = 0; good && i < measure->count; i++) /* most are of nothing */
    if (measure->amount[i].blocks || measure->amount[i].bytes)
      c->amount[i] = measure->amount[i];
  if (good) c->sites = measure->count;
  good = good && find(&s);
  good = good && (c->common = calloc(c->count + 1, sizeof *c->common));
  flow_free(&s.flow);
  flow_free(&s.rest);
  free(s.cause_of);
  free(s.marks);
  free(s.allocated_by);
  if (good) return c;
  causes_free(c);
  return NULL;
}

/* NULL: no memory. */
static const struct cause_common *common_of(struct functions *f, const struct causes *c,
                                            size_t cause) {
  struct cause_common *common = &c->common[cause];
  if (common->known) return common;
  size_t n = 0;
  struct function_call *calls = common_calls(f, c, cause, &n);
  common->frames = calls ? malloc((n + 1) * sizeof *common->frames) : NULL;
  for (size_t i = 0; common->frames && i < n; i++) {
    bool own = calls[i].function == c->at[cause].function && !common->count;
    if (own || functions_kind(f, calls[i].function) == FUNCTION_RUNTIME) continue;
    common->frames[common->count++] = calls[i].frame;
  }
  free(calls);
  common->known = common->frames;
  return common->known ? common : NULL;
}

size_t causes_common(struct functions *f, const struct causes *c, size_t cause,
                     const struct frame **frames, size_t max) {
  const struct cause_common *common = common_of(f, c, cause);
  if (!common) return 0;
  size_t n = common->count < max ? common->count : max;
  if (n) memcpy(frames, common->frames, n * sizeof(*frames));
  return common->count;
}

const struct frame *causes_frame(struct functions *f, const struct cause *c) {
  const struct function_call *stack;
  size_t n = functions_stack(f, c->site, &stack);
  return c->depth < n ? stack[c->depth].frame : NULL;
}

const struct frame *causes_helper(struct functions *f, const struct cause *c) {
  return c->helper ? functions_frame(f, c->helper - 1) : NULL;
}

void causes_free(struct causes *c) {
  if (!c) return;
  for (size_t i = 0; c->common && i < c->count; i++)
    free(c->common[i].frames);
  free(c->common);
  free(c->at);
  free(c->of_site);
  free(c->amount);
  free(c);
}
