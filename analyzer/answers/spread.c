#include "answers/spread.h"

#include "names/blame.h"
#include "names/through.h"

#include <stdlib.h>
#include <string.h>

#define PER_CENT 100
#define NEARLY_ALL 90 /* per cent */
#define FEWEST 4      /* causes, or stacks of one outside of the loop */
#define MUCH 4        /* a part of so many is */
#define CAUSES 1024u  /* as many are looked at */
#define LOOPS 16u

/* ---- loops --------------------------------------------------------------------- */

/* Those on the way out from a cause, innermost first. */
struct loops {
  const struct search *search;
  struct function_call calls[LOOPS];
  size_t depth[LOOPS]; /* in the cause's stack */
  size_t count;
  size_t causes;   /* as many are looked at */
  uint64_t *bytes; /* by loop, by cause: what goes through both */
};

/* Where all is kept, each is a cause. */
static bool is_loop(const struct search *s, const struct function_call *call) {
  if (functions_kind(s->functions, call->function) != FUNCTION_OWN) return false;
  return blame_is_machine(call->frame) ||
         (flow_hands_on(&s->rest, call) &&
          flow_retention(&s->rest, call->function) < NEARLY);
}

static void find_loops(struct loops *l, size_t cause) {
  const struct search *s = l->search;
  const struct function_call *stack;
  size_t n = functions_stack(s->functions, s->causes->at[cause].site, &stack);
  for (size_t i = 0; i < n && l->count < LOOPS; i++) {
    if (!is_loop(s, &stack[i]) || lay_is_in(l->calls, l->count, stack[i].function))
      continue;
    l->depth[l->count] = i;
    l->calls[l->count++] = stack[i];
  }
}

static void add_bytes(void *to, uint32_t site, struct through_set set) {
  struct loops *l = to;
  const struct search *s = l->search;
  uint32_t cause = site < s->measure->count ? s->causes->of_site[site] : UINT32_MAX;
  if (cause >= l->causes) return;
  for (size_t i; through_next(&set, &i);)
    l->bytes[i * l->causes + cause] += s->measure->amount[site].bytes;
}

static bool load(struct loops *l, size_t cause) {
  size_t count = l->search->causes->count;
  find_loops(l, cause);
  if (!l->count) return true;
  l->causes = count < CAUSES ? count : CAUSES;
  l->bytes = calloc(l->count * l->causes, sizeof *l->bytes);
  return l->bytes && through_each(l->search->functions, THROUGH_ANY, l->calls, l->count,
                                  add_bytes, l);
}

/* ---- what meets there ---------------------------------------------------------- */

/* Does the loop lie further in than the cause's own function? */
static bool is_outside(const struct search *s, const struct cause *c, uint32_t loop) {
  const struct function_call *stack;
  size_t n = functions_stack(s->functions, c->site, &stack);
  return lay_is_in(stack, c->depth < n ? c->depth : n, loop);
}

static bool is_alike(double a, double b) {
  return a >= NEARLY * b && b >= NEARLY * a;
}

/* Does it say nothing that it is this cause rather than the loop? */
static bool is_part(const struct loops *l, size_t loop, size_t cause, bool *outside) {
  const struct search *s = l->search;
  const struct cause *c = &s->causes->at[cause];
  uint32_t function = l->calls[loop].function;
  uint64_t inside = l->bytes[loop * l->causes + cause];
  if (!c->stacks || c->spread || !inside || c->function == function ||
      inside < c->of.bytes / PER_CENT * NEARLY_ALL)
    return false;
  *outside = is_outside(s, c, function);
  double kept = flow_retention(&s->rest, function),
         own = flow_retention(&s->rest, c->function);
  if (*outside) return kept >= NEARLY * own;
  if (!blame_is_machine(l->calls[loop].frame)) return is_alike(kept, own);
  return functions_module(s->functions, c->function) ==
         functions_module(s->functions, function);
}

struct meeting {
  size_t loop;
  uint64_t alike; /* bytes of all parts */
  uint64_t bytes; /* of those that do not have much of it; 0: they do not meet */
};

/* One that has much stands out, be it like the others. */
static bool is_joined(const struct loops *l, const struct meeting *m, size_t cause,
                      bool *outside) {
  return is_part(l, m->loop, cause, outside) &&
         (*outside || l->search->causes->at[cause].of.bytes <= m->alike / MUCH);
}

/* All that goes through the loop, but what one cause has more than half of. */
static uint64_t through(const struct loops *l, size_t loop) {
  const uint64_t *bytes = l->bytes + loop * l->causes;
  uint64_t all = 0, most = 0;
  for (size_t i = 0; i < l->causes; i++) {
    all += bytes[i];
    if (bytes[i] > most) most = bytes[i];
  }
  return most > all / 2 ? all - most : all;
}

static struct meeting meet(const struct loops *l, size_t loop) {
  const struct search *s = l->search;
  struct meeting m = {.loop = loop};
  size_t inside = 0, stacks_outside = 0;
  bool outside, machine = blame_is_machine(l->calls[loop].frame);
  for (size_t i = 0; i < l->causes; i++)
    if (is_part(l, loop, i, &outside)) m.alike += s->causes->at[i].of.bytes;
  for (size_t i = 0; i < l->causes; i++) {
    const struct cause *c = &s->causes->at[i];
    if (!is_joined(l, &m, i, &outside)) continue;
    m.bytes += c->of.bytes;
    inside += !outside;
    stacks_outside += outside ? c->stacks : 0;
  }
  bool few = inside < FEWEST && (!machine || stacks_outside < FEWEST);
  if (few || (!machine && m.alike < through(l, loop) / PER_CENT * NEARLY_ALL))
    m.bytes = 0;
  return m;
}

/* The innermost of those where most meets. */
static struct meeting best_of(const struct loops *l) {
  struct meeting best = {0};
  for (size_t i = l->count; i-- > 0;) {
    struct meeting m = meet(l, i);
    if (m.bytes && m.bytes >= best.bytes / PER_CENT * NEARLY_ALL) best = m;
  }
  return best;
}

/* ---- one of them ---------------------------------------------------------------- */

static void join(struct search *s, const struct loops *l, size_t cause,
                 const struct meeting *m) {
  struct cause *c = &s->causes->at[cause];
  for (size_t i = 0; i < l->causes; i++) {
    bool outside;
    if (i == cause || !is_joined(l, m, i, &outside)) continue;
    lay_merge(s, cause, i);
    c->times = c->each = 0;
  }
  c->function = l->calls[m->loop].function;
  c->depth = l->depth[m->loop];
  c->retention = flow_retention(&s->flow, c->function);
  c->helper = 0;
  c->spread = true;
}

bool spread_join(struct search *s) {
  if (!s->measure->together) return true;
  for (size_t i = 0; i < s->causes->count && i < LOOKED_AT; i++) {
    bool outside;
    struct loops l = {.search = s};
    if (!s->causes->at[i].stacks || s->causes->at[i].spread) continue;
    bool good = load(&l, i);
    struct meeting m = good ? best_of(&l) : (struct meeting){0};
    if (m.bytes && is_joined(&l, &m, i, &outside)) join(s, &l, i, &m);
    free(l.bytes);
    if (!good) return false;
  }
  return true;
}

/* ---- what it calls -------------------------------------------------------------- */

/* Of a stack of the cause: where what the innermost loop calls is. */
static const struct function_call *called(const struct function_call *stack, size_t n,
                                          uint32_t loop) {
  size_t i = 0;
  while (i < n && stack[i].function != loop)
    i++;
  while (i && i < n && (stack[i].function == loop || blame_is_machine(stack[i].frame)))
    i--;
  return i < n ? &stack[i] : NULL;
}

static int by_bytes(const void *a, const void *b) {
  const struct spread_part *x = a, *y = b;
  if (x->of.bytes != y->of.bytes) return x->of.bytes > y->of.bytes ? -1 : 1;
  return (x->frame->number > y->frame->number) - (x->frame->number < y->frame->number);
}

size_t spread_parts(struct functions *f, const struct causes *c, size_t cause,
                    struct spread_part *parts, size_t max) {
  size_t room = functions_count(f), count = 0;
  struct spread_part *all = calloc(room + 1, sizeof *all);
  for (uint32_t site = 0; all && site < c->sites; site++) {
    const struct function_call *stack;
    if (c->of_site[site] != cause) continue;
    size_t n = functions_stack(f, site, &stack);
    const struct function_call *call = called(stack, n, c->at[cause].function);
    if (!call || call->function >= room) continue;
    if (!all[call->function].frame) all[call->function].frame = call->frame;
    ul_amount_add(&all[call->function].of, c->amount[site]);
  }
  for (size_t i = 0; all && i < room; i++)
    if (all[i].frame) all[count++] = all[i];
  if (count) qsort(all, count, sizeof *all, by_bytes);
  if (count) memcpy(parts, all, (count < max ? count : max) * sizeof *parts);
  free(all);
  return count;
}
