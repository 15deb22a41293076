#include "show/tale.h"

#include "read/array.h"
#include "read/timeline.h"
#include "show/causes.h"

#include <stdlib.h>
#include <string.h>

static void told_free(struct told *t) {
  free(t->function);
  free(t->callers);
  free(t->pids);
}

static void keep(struct tale *tale, struct told t) {
  if (t.function && t.callers && ARRAY_GROW(tale->at, tale->count, tale->room))
    tale->at[tale->count++] = t;
  else
    told_free(&t);
}

/* ---- of recordings --------------------------------------------------------------- */

static struct told *same(const struct tale *tale, const struct told *wanted) {
  for (size_t i = 0; wanted->function && wanted->callers && i < tale->count; i++) {
    struct told *t = &tale->at[i];
    if (t->finding.kind == wanted->finding.kind &&
        t->cause.spread == wanted->cause.spread && !strcmp(t->program, wanted->program) &&
        !strcmp(t->function, wanted->function) && !strcmp(t->callers, wanted->callers))
      return t;
  }
  return NULL;
}

static void add(struct told *to, const struct told *t) {
  struct finding *f = &to->finding;
  to->processes++;
  ul_amount_add(&f->of, t->finding.of);
  ul_amount_add(&f->estimated, t->finding.estimated);
  ul_amount_add(&f->live, t->finding.live);
  f->rss_bytes += t->finding.rss_bytes;
  f->rate += t->finding.rate;
  f->temporary += t->finding.temporary;
  f->gain += t->finding.gain;
  if (t->finding.chance < f->chance) f->chance = t->finding.chance;
  if (f->kind == FINDING_UNUSED) to->since_ms = UINT64_MAX; /* of each */
  to->cause.times = 0;
  to->allocations += t->allocations;
  to->live += t->live;
  to->peak += t->peak;
}

static struct told told_of(const struct process *p, const struct finding *f,
                           size_t columns) {
  const struct recording *r = p->recording;
  const struct findings *all = p->findings;
  const struct cause *c = &f->causes->at[f->cause];
  uint64_t start = timeline_start_ms(r), end = recording_duration_ms(r);
  uint64_t run = end > start ? end - start : 0, since = UINT64_MAX;
  if (f->since_ms != UINT64_MAX) since = f->since_ms > start ? f->since_ms - start : 0;
  return (struct told){
      .finding = *f,
      .origin = f,
      .cause = *c,
      .processes = 1,
      .first = p,
      .program = process_name(p),
      .function = strdup(c->spread ? causes_loop(all->functions, c)
                                   : causes_function(all->functions, c)),
      .callers = strdup(causes_callers(all->functions, f->causes, f->cause, columns)),
      .of = causes_frame(all->functions, c),
      .live = p->sites->bytes,
      .peak = process_peak_bytes(p),
      .allocations = p->sites->total.allocations,
      .since_ms = since,
      .from_start = since == UINT64_MAX || since * 20 <= run};
}

static void tell_findings(struct tale *tale, const struct process *p, size_t columns) {
  for (size_t i = 0; p->findings && i < p->findings->count; i++) {
    struct told t = told_of(p, &p->findings->at[i], columns), *known = same(tale, &t);
    if (!known) {
      keep(tale, t);
      continue;
    }
    add(known, &t);
    told_free(&t);
  }
}

/* ---- of lines -------------------------------------------------------------------- */

/* The frames of a place, out from the one to blame. */
struct way {
  const struct folded_place *place;
  const struct frame *frames[TOLD_CALLERS];
  size_t count;
};

static struct way way_of(const struct folded_place *p) {
  const struct told_stack *s = &p->stack;
  struct way w = {.place = p};
  for (size_t i = s->guilty; i < s->count && w.count < TOLD_CALLERS; i++)
    if (!s->frames[i].hidden) w.frames[w.count++] = &s->frames[i];
  return w;
}

/* Of another recording, or of none. */
static bool is_same_function(const struct frame *a, const struct frame *b) {
  if (!frame_same_module(a, b) || !a->function != !b->function) return false;
  if (a->function) return strcmp(a->function, b->function) == 0;
  return a->start || b->start ? a->start == b->start : a->offset == b->offset;
}

/* How many of the way lead to the function; its count: none do. */
static size_t way_to(const struct way *w, const struct frame *function) {
  size_t i = 0;
  while (i < w->count && !(function && is_same_function(w->frames[i], function)))
    i++;
  return i;
}

/* The finding that it belongs to: that at the innermost of its functions. `at`: which. */
static struct told *told_on(const struct tale *tale, const struct way *w, size_t *at) {
  struct told *found = NULL;
  *at = w->count;
  for (size_t i = 0; i < tale->count; i++) {
    struct told *t = &tale->at[i];
    if (t->finding.kind != FINDING_LEAK || strcmp(t->program, w->place->program) != 0)
      continue;
    size_t to = way_to(w, t->of);
    if (to >= *at || (to && !t->first)) continue;
    *at = to;
    found = t;
  }
  return found;
}

static void add_pids(struct told *t, const struct folded_place *p) {
  size_t count = t->pid_count + p->processes;
  uint64_t *more = realloc(t->pids, (count + 1) * sizeof *more);
  if (!more) return;
  if (p->processes) memcpy(more + t->pid_count, p->pids, p->processes * sizeof *more);
  t->pids = more;
  t->pid_count = count;
}

/* Of a finding of recordings the callers are not known before lines are added. */
static void find_common(struct told *t) {
  const struct finding *f = &t->finding;
  if (!t->first || t->pid_count) return;
  struct functions *functions = t->first->findings->functions;
  size_t n = causes_common(functions, f->causes, f->cause, t->common, TOLD_CALLERS);
  t->common_count = n < TOLD_CALLERS ? n : TOLD_CALLERS;
}

/* Only callers stay that the way has as well, behind its function `at`. */
static void keep_common(struct told *t, const struct way *w, size_t at) {
  size_t kept = 0;
  for (size_t i = 0; i < t->common_count; i++) {
    size_t to = way_to(w, t->common[i]);
    if (to > at && to < w->count) t->common[kept++] = t->common[i];
  }
  t->common_count = kept;
}

static struct told told_at(const struct way *w) {
  const struct folded_place *p = w->place;
  struct told t = {
      .finding = {.kind = FINDING_LEAK, .of = {p->blocks, p->bytes}, .gain = p->bytes},
      .cause = {.stacks = 1},
      .program = p->program,
      .function = strdup(causes_frame_in(TEXT_LONG, w->count ? w->frames[0] : NULL)),
      .callers = strdup(""),
      .of = w->count ? w->frames[0] : NULL,
      .since_ms = UINT64_MAX,
      .from_start = true};
  for (size_t i = 1; i < w->count; i++)
    t.common[t.common_count++] = w->frames[i];
  add_pids(&t, p);
  return t;
}

static void tell_place(struct tale *tale, const struct folded_place *p) {
  struct way w = way_of(p);
  size_t at;
  struct told *known = told_on(tale, &w, &at);
  if (known) {
    find_common(known);
    keep_common(known, &w, at);
    add_pids(known, p);
    ul_amount_add(&known->finding.of, (struct ul_amount){p->blocks, p->bytes});
    known->finding.gain += p->bytes;
    known->cause.times = 0;
    if (!known->first) known->cause.stacks++;
  } else {
    keep(tale, told_at(&w));
  }
}

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* A process may have lost something at several of the places. */
static void count_lines(struct told *t) {
  if (t->pid_count) qsort(t->pids, t->pid_count, sizeof *t->pids, by_number);
  for (size_t i = 0; i < t->pid_count; i++)
    t->lines += !i || t->pids[i] != t->pids[i - 1];
}

/* ---- all of them ----------------------------------------------------------------- */

int tale_order(const struct process *p, const struct finding *x, const struct process *q,
               const struct finding *y) {
  int order = finding_order(x, y);
  return order ? order : (p > q) - (p < q);
}

static int by_gain(const void *a, const void *b) {
  const struct told *x = a, *y = b;
  int order = tale_order(x->first, &x->finding, y->first, &y->finding);
  return order ? order : (x->origin > y->origin) - (x->origin < y->origin);
}

struct tale tale_load(const struct context *context, const struct folded *folded,
                      size_t columns) {
  struct tale tale = {0};
  for (size_t i = 0; i < context->count; i++)
    tell_findings(&tale, &context->processes[i], columns);
  for (const struct folded_place *p = folded->places; p && p->misuse < 0; p = p->hh.next)
    tell_place(&tale, p);
  for (size_t i = 0; i < tale.count; i++)
    count_lines(&tale.at[i]);
  if (tale.count) qsort(tale.at, tale.count, sizeof *tale.at, by_gain);
  return tale;
}

void tale_free(struct tale *tale) {
  for (size_t i = 0; i < tale->count; i++)
    told_free(&tale->at[i]);
  free(tale->at);
}
