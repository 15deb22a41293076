/* lay.c - see lay.h. */
#include "answers/lay.h"

#include "names/blame.h"
#include "names/through.h"
#include "read/array.h"

#include <stdlib.h>
#include <string.h>

#define PER_CENT 100
#define NEARLY_ALL 90 /* per cent */

/* ---- one stack's choice -------------------------------------------------------- */

static bool may_be_blamed(const struct search *s, const struct function_call *stack,
                          size_t i) {
  enum function_kind kind = functions_kind(s->functions, stack[i].function);
  return kind == FUNCTION_OWN || kind == FUNCTION_START;
}

static void mark_function(struct search *s, uint32_t function) {
  struct mark *m = &s->marks[function];
  const struct frame *frame = functions_frame(s->functions, function);
  enum function_kind kind = functions_kind(s->functions, function);
  m->retention = flow_retention(&s->rest, function);
  m->may_be_blamed = kind == FUNCTION_OWN || kind == FUNCTION_START;
  m->wrapper = kind == FUNCTION_WRAPPER;
  m->named_own = kind == FUNCTION_OWN && frame->function;
  m->makes_little = flow_makes_little(&s->rest, function);
  s->machines = s->machines || blame_is_machine(frame);
  s->made = s->made || blame_is_made(frame);
}

/* By what is left of the flow. */
static void mark_all(struct search *s) {
  for (uint32_t i = 0, n = functions_count(s->functions); i < n; i++)
    mark_function(s, i);
}

/* What a wrapper calls is its own business, also where that has no name. */
static size_t behind_wrappers(const struct mark *marks, const struct function_call *stack,
                              size_t n) {
  size_t first = 0;
  for (size_t i = 0; i < n && !marks[stack[i].function].named_own; i++)
    if (marks[stack[i].function].wrapper) first = i + 1;
  return first;
}

static const struct frame *frame_at(const void *stack, size_t i) {
  return ((const struct function_call *)stack)[i].frame;
}

/* May it be blamed, and if it hands work on, are there only such? */
static bool is_in_question(const struct mark *marks, const struct function_call *call,
                           bool dispatchers) {
  const struct mark *m = &marks[call->function];
  return m->may_be_blamed && (dispatchers || !call->by_pointer || !m->makes_little);
}

/* The highest retention of those that may be blamed. */
static double highest(const struct mark *marks, const struct function_call *stack,
                      size_t from, size_t n, bool dispatchers) {
  double best = -1;
  for (size_t i = from; i < n; i++) {
    double r = marks[stack[i].function].retention;
    if (r > best && is_in_question(marks, &stack[i], dispatchers)) best = r;
  }
  return best;
}

/* Where an interpreter works for an extension that keeps as much, it is the extension's.
 */
static size_t of_guest(const struct search *s, const struct function_call *stack,
                       size_t i, size_t n, double best) {
  size_t guest = s->machines ? blame_guest(stack, i, n, frame_at) : n;
  bool keeps = guest < n && s->marks[stack[guest].function].retention >= best * NEARLY;
  return keeps ? guest : i;
}

/* Index in the stack; n: everybody is innocent. */
static size_t choose(const struct search *s, const struct function_call *stack,
                     size_t n) {
  size_t from = behind_wrappers(s->marks, stack, n),
         made = s->made ? blame_behind_machine(stack, n, frame_at) : 0;
  if (made > from) from = made;
  bool dispatchers = false;
  double best = highest(s->marks, stack, from, n, false);
  if (best < 0) {
    dispatchers = true;
    best = highest(s->marks, stack, from, n, true);
  }
  for (size_t i = from; i < n; i++)
    if (s->marks[stack[i].function].retention >= best * NEARLY &&
        is_in_question(s->marks, &stack[i], dispatchers))
      return of_guest(s, stack, i, n, best);
  return n;
}

/* ---- causes -------------------------------------------------------------------- */

static struct cause *cause_of(struct search *s, uint32_t function) {
  struct causes *c = s->causes;
  if (s->cause_of[function]) return &c->at[s->cause_of[function] - 1];
  if (!ARRAY_GROW(c->at, c->count, s->causes_room)) return NULL;
  struct cause *made = &c->at[c->count++];
  *made = (struct cause){.function = function,
                         .retention = flow_retention(&s->flow, function)};
  s->cause_of[function] = (uint32_t)c->count;
  return made;
}

static void add_site(struct search *s, struct cause *c, uint32_t site, size_t depth) {
  const struct ul_amount *amount = &s->measure->amount[site];
  if (!c->stacks || amount->bytes > s->measure->amount[c->site].bytes) {
    c->site = site;
    c->depth = depth;
  }
  c->stacks++;
  c->of.blocks += amount->blocks;
  c->of.bytes += amount->bytes;
  s->causes->of_site[site] = (uint32_t)(c - s->causes->at);
}

static bool lay(struct search *s, uint32_t site) {
  const struct function_call *stack;
  const struct ul_amount *amount = &s->measure->amount[site];
  if (!amount->blocks && !amount->bytes) return true;
  size_t n = functions_stack(s->functions, site, &stack);
  if (!n) {
    s->causes->stackless.blocks += amount->blocks;
    s->causes->stackless.bytes += amount->bytes;
    return true;
  }
  size_t chosen = choose(s, stack, n);
  if (chosen == n) chosen = 0;
  struct cause *c = cause_of(s, stack[chosen].function);
  if (c) add_site(s, c, site, chosen);
  return c;
}

/* Those that are not settled choose, again. */
static bool lay_rest(struct search *s) {
  struct causes *c = s->causes;
  for (size_t i = s->settled; i < c->count; i++)
    s->cause_of[c->at[i].function] = 0;
  c->count = s->settled;
  c->stackless = (struct ul_amount){0, 0};
  mark_all(s);
  for (uint32_t i = 0; i < s->measure->count; i++) {
    if (c->of_site[i] < s->settled || s->sites->sum[i].of_others) continue;
    c->of_site[i] = UINT32_MAX;
    if (!lay(s, i)) return false;
  }
  return true;
}

/* ---- further out --------------------------------------------------------------- */

/* A function further out in the stack of a cause: what goes through both. */
struct passage {
  uint64_t of_cause; /* bytes of its stacks */
  uint64_t allocated, bytes;
};
struct passages {
  const struct search *search;
  size_t cause;
  struct passage *at;
};

bool lay_is_in(const struct function_call *stack, size_t n, uint32_t function) {
  for (size_t i = 0; i < n; i++)
    if (stack[i].function == function) return true;
  return false;
}

static void pass(void *to, uint32_t site, struct through_set set) {
  struct passages *passages = to;
  const struct search *s = passages->search;
  if (site >= s->measure->count || s->causes->of_site[site] < s->taken) return;
  uint64_t bytes = s->measure->amount[site].bytes;
  uint64_t allocated = s->allocated_by[site];
  uint64_t of_cause = s->causes->of_site[site] == passages->cause ? bytes : 0;
  for (size_t i; through_next(&set, &i);) {
    struct passage *p = &passages->at[i];
    p->allocated += allocated;
    p->bytes += bytes;
    p->of_cause += of_cause;
  }
}

/* Of `calls`, n of them; to be freed. NULL: no memory. */
static struct passage *passages_of(const struct search *s, size_t cause,
                                   const struct function_call *calls, size_t n) {
  struct passages p = {s, cause, calloc(n + 1, sizeof *p.at)};
  uint32_t within = s->causes->at[cause].function;
  if (p.at && through_each(s->functions, within, calls, n, pass, &p)) return p.at;
  free(p.at);
  return NULL;
}

/* Does all its file call it, whoever of them ran? */
static bool serves_all(const struct search *s, uint32_t function) {
  enum { MANY = 8 };
  return functions_callers(s->functions, function) >= MANY;
}

static bool is_outer(const struct search *s, const struct cause *c,
                     const struct function_call *call, const struct passage *p) {
  return functions_kind(s->functions, call->function) == FUNCTION_OWN &&
         call->function != c->function && !flow_hands_on(&s->rest, call) &&
         p->of_cause >= c->of.bytes / PER_CENT * NEARLY_ALL &&
         flow_retention(&s->rest, call->function) >=
             NEARLY * flow_retention(&s->rest, c->function) &&
         flow_serves_others(&s->rest, c->function, p->allocated, p->bytes);
}

/* Is it for the first of `calls`, who takes it, that the cause's function made all this?
 * What is inlined into callers is not one caller. */
static bool is_served(const struct search *s, const struct cause *c,
                      const struct function_call *calls, size_t n,
                      const struct passage *passages) {
  size_t whole = 0;
  while (whole + 1 < n && calls[whole].frame->inlined)
    whole++;
  return calls->frame->takes_result && !flow_hands_on(&s->rest, calls) &&
         passages[whole].of_cause >= c->of.bytes / PER_CENT * NEARLY_ALL;
}

/* The cause is that function, further out. What does not go through it chooses anew, or
 * stays with the inner one. */
static bool move_out(struct search *s, size_t cause, size_t depth, uint32_t outer) {
  const struct function_call *stack;
  struct causes *causes = s->causes;
  uint32_t inner = causes->at[cause].function;
  causes->at[cause].function = outer;
  causes->at[cause].depth = depth;
  causes->at[cause].retention = flow_retention(&s->flow, outer);
  s->cause_of[inner] = 0;
  for (uint32_t i = 0; i < s->measure->count; i++) {
    const struct ul_amount *a = &s->measure->amount[i];
    if (causes->of_site[i] != cause) continue;
    size_t n = functions_stack(s->functions, i, &stack), at = 0;
    if (lay_is_in(stack, n, outer)) continue;
    while (at < n && stack[at].function != inner)
      at++;
    struct cause *left = cause_of(s, inner);
    if (!left) return false;
    add_site(s, left, i, at);
    causes->at[cause].of.blocks -= a->blocks;
    causes->at[cause].of.bytes -= a->bytes;
    causes->at[cause].stacks--;
  }
  return true;
}

/* The first of `calls` that is another function, and no wrapper nor of the runtime; n. */
static size_t nearest(const struct search *s, const struct cause *c,
                      const struct function_call *calls, size_t n) {
  size_t i = 0;
  while (i < n && (calls[i].function == c->function || !may_be_blamed(s, calls, i)))
    i++;
  return i;
}

/* Which of `calls` the cause is laid at instead; n: none. What runs an interpreter asks
 * for nothing. */
static size_t outer_of(const struct search *s, const struct cause *c,
                       const struct function_call *calls, size_t n,
                       const struct passage *passages, bool *served) {
  size_t caller = serves_all(s, c->function) ? nearest(s, c, calls, n) : n;
  *served = caller < n && is_served(s, c, calls + caller, n - caller, passages + caller);
  if (*served) return caller;
  for (size_t i = 0; i < n && !blame_is_machine(calls[i].frame); i++)
    if (is_outer(s, c, &calls[i], &passages[i])) return i;
  return n;
}

/* Who serves others as well is not the cause if nearly all goes through a function
 * further out that does not. */
static bool refine(struct search *s, size_t cause, uint64_t all) {
  for (bool moved = true; moved;) {
    const struct function_call *stack;
    struct cause *c = &s->causes->at[cause];
    moved = false;
    bool several = s->rest.at[c->function].callers[1];
    if (c->of.bytes < all / PER_CENT || (!several && !serves_all(s, c->function))) break;
    size_t n = functions_stack(s->functions, c->site, &stack), from = c->depth + 1;
    struct function_call *calls = malloc((n + 1) * sizeof *calls);
    if (!calls) return false;
    memcpy(calls, stack, n * sizeof *calls);
    n = n > from ? n - from : 0;
    struct passage *passages = passages_of(s, cause, calls + from, n);
    bool good = passages, served = false;
    size_t outer = good ? outer_of(s, c, calls + from, n, passages, &served) : n;
    if (outer < n) {
      uint32_t helper = served ? c->function + 1 : 0;
      good = move_out(s, cause, from + outer, calls[from + outer].function);
      s->causes->at[cause].helper = helper;
      moved = true;
    }
    free(passages);
    free(calls);
    if (!good) return false;
  }
  return true;
}

/* ---- one after the other ------------------------------------------------------- */

/* Index of the largest one that is not settled; `rest`: what those have. */
static size_t largest(const struct search *s, uint64_t *rest) {
  const struct causes *c = s->causes;
  size_t most = s->settled;
  *rest = 0;
  for (size_t i = s->settled; i < c->count; i++) {
    *rest += c->at[i].of.bytes;
    if (c->at[i].of.bytes > c->at[most].of.bytes) most = i;
  }
  return most;
}

static void settle(struct search *s, size_t cause) {
  struct causes *c = s->causes;
  uint32_t to = (uint32_t)s->settled++;
  struct cause other = c->at[to];
  c->at[to] = c->at[cause];
  c->at[cause] = other;
  s->cause_of[c->at[cause].function] = (uint32_t)cause + 1;
  s->cause_of[c->at[to].function] = to + 1;
  for (size_t i = 0; i < s->measure->count; i++)
    if (c->of_site[i] == cause)
      c->of_site[i] = to;
    else if (c->of_site[i] == to)
      c->of_site[i] = (uint32_t)cause;
}

static void take_out(struct search *s) {
  for (uint32_t i = 0; i < s->measure->count; i++)
    if (s->causes->of_site[i] == s->taken)
      flow_take(&s->rest, s->functions, s->sites, s->measure, i);
  s->taken++;
}

/* Each takes a walk along all stacks: of very many, those that a page shows. */
static size_t looked_at(const struct search *s) {
  enum { MANY = 200000, ON_A_PAGE = 5 };
  return s->measure->count > MANY ? ON_A_PAGE : LOOKED_AT;
}

bool lay_all(struct search *s) {
  enum { ROUNDS = 4 };
  uint64_t all = 0, rest;
  if (!lay_rest(s)) return false;
  largest(s, &all);
  while (s->settled < s->causes->count && s->settled < looked_at(s)) {
    size_t most = largest(s, &rest);
    if (!refine(s, most, all)) return false;
    bool rules = s->taken == s->settled && s->taken < ROUNDS &&
                 s->causes->at[most].of.bytes >= rest / 2;
    settle(s, most);
    if (!rules) continue;
    take_out(s);
    if (!lay_rest(s)) return false;
  }
  return true;
}

void lay_merge(struct search *s, size_t to, size_t from) {
  struct causes *c = s->causes;
  c->at[to].of.blocks += c->at[from].of.blocks;
  c->at[to].of.bytes += c->at[from].of.bytes;
  c->at[to].stacks += c->at[from].stacks;
  if (c->at[to].helper != c->at[from].helper) c->at[to].helper = 0;
  uint64_t times = c->at[to].times;
  if (times) c->at[to].each = (c->at[to].of.blocks + times / 2) / times;
  c->at[from] = (struct cause){.site = UINT32_MAX};
  for (size_t i = 0; i < s->measure->count; i++)
    if (c->of_site[i] == from) c->of_site[i] = (uint32_t)to;
}
