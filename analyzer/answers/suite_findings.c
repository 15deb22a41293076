#include "answers/suite_findings.h"

#include "answers/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* A call stack, by what happened, and where: its key. */
struct entry {
  struct suite_finding finding;
  const char *cause; /* those of one finding have the same */
  UT_hash_handle hh;
};

/* What was made in a function, or further in, in processes that have lost something. */
struct suite_maker {
  uint64_t made;       /* blocks */
  uint64_t where_lost; /* of them, at call stacks of which some were lost */
  const char *cause; /* of what is lost of it: one of those that are blamed; NULL: none */
  bool disputed;     /* there are others */
  UT_hash_handle hh;
  char name[];
};

struct suite_found {
  struct entry *entries;
  struct suite_maker *makers;
};

/* ---- stacks are gathered ---------------------------------------------------------- */

static void grow_stack(struct obstack *memory, const struct suite_stack *stack) {
  char line[1024];
  for (size_t i = 0; i < stack->count; i++) {
    frame_text(&stack->frames[i], line, sizeof line);
    obstack_printf(memory, "%s\n", line);
  }
  obstack_1grow(memory, '\n');
}

static char *key_of(struct suite *s, const struct suite_finding *f) {
  obstack_printf(s->memory, "%d %d %d %s\n", f->kind, f->misuse, f->measure,
                 basename(s->processes[f->process].program));
  if (f->kind != SUITE_BUDGET) grow_stack(s->memory, &f->at);
  grow_stack(s->memory, &f->allocated);
  grow_stack(s->memory, &f->freed);
  obstack_1grow(s->memory, 0);
  return obstack_finish(s->memory);
}

/* The processes come one after the other. */
static void see(struct suite *s, struct suite_finding *f,
                const struct suite_finding *here) {
  struct suite_sighting *seen = f->seen;
  if (!seen || seen->process != here->process) {
    seen = obstack_alloc(s->memory, sizeof *seen);
    *seen = (struct suite_sighting){.process = here->process, .before = f->seen};
    f->seen = seen;
    f->processes++;
  }
  seen->of.blocks += here->of.blocks;
  seen->of.bytes += here->of.bytes;
  seen->dragged.blocks += here->dragged.blocks;
  seen->dragged.bytes += here->dragged.bytes;
  seen->times += here->times;
  seen->value = here->value;
}

/* Two processes may blame two functions for one stack: where most is lost tells. */
static void choose_cause(struct suite_finding *f, const struct suite_finding *here) {
  const struct suite_sighting *most = f->seen;
  for (const struct suite_sighting *seen = f->seen->before; seen; seen = seen->before)
    if (seen->of.bytes >= most->of.bytes) most = seen;
  if (most->process != here->process) return;
  f->cause = here->cause;
  f->makers = here->makers;
  f->maker_count = here->maker_count;
  f->at.guilty = here->at.guilty;
}

void suite_found_add(struct suite *s, const struct suite_finding *f) {
  struct suite_found *w = s->found;
  struct entry *e;
  char *key = key_of(s, f);
  HASH_FIND_STR(w->entries, key, e);
  if (!e) {
    e = obstack_alloc(s->memory, sizeof *e);
    *e = (struct entry){.finding = *f};
    e->finding.key = key;
    see(s, &e->finding, f);
    HASH_ADD_KEYPTR(hh, w->entries, key, strlen(key), e);
    s->count++;
    return;
  }
  see(s, &e->finding, f);
  choose_cause(&e->finding, f);
  if (f->kind == SUITE_BUDGET) { /* the worst tells */
    if (f->value <= e->finding.value) return;
    struct suite_sighting *seen = e->finding.seen;
    size_t processes = e->finding.processes;
    e->finding = *f;
    e->finding.key = key;
    e->finding.processes = processes;
    e->finding.seen = seen;
    return;
  }
  e->finding.of.blocks += f->of.blocks;
  e->finding.of.bytes += f->of.bytes;
  e->finding.dragged.blocks += f->dragged.blocks;
  e->finding.dragged.bytes += f->dragged.bytes;
  e->finding.times += f->times;
}

struct suite_maker *suite_maker_of(struct suite *s, const char *name, bool make) {
  struct suite_maker *m;
  size_t n = strlen(name);
  HASH_FIND_STR(s->found->makers, name, m);
  if (!m && make) {
    m = obstack_alloc(s->memory, sizeof *m + n + 1);
    *m = (struct suite_maker){.made = 0};
    memcpy(m->name, name, n + 1);
    HASH_ADD_STR(s->found->makers, name, m);
  }
  return m;
}

void suite_maker_add(struct suite_maker *m, uint64_t made, bool lost) {
  m->made += made;
  m->where_lost += lost ? made : 0;
}

static bool is_lost(const struct suite_finding *f) {
  return f->kind < SUITE_GROWTH;
}

static bool is_too_little(const struct suite *s, const struct suite_finding *f) {
  return is_lost(f) &&
         (f->of.bytes < s->rules.least.bytes || f->of.blocks < s->rules.least.blocks);
}

/* Misuses before leaks: a test that writes or frees wrongly may do anything afterwards.
 */
static int rank(const struct suite_finding *f) {
  static const int ranks[SUITE_KINDS] = {
      [SUITE_WRITTEN_FREED] = 0, [SUITE_OVERRUN] = 1,   [SUITE_BAD_FREE] = 2,
      [SUITE_MISMATCH] = 3,      [SUITE_DEFINITE] = 4,  [SUITE_INDIRECT] = 5,
      [SUITE_POSSIBLE] = 6,      [SUITE_GROWTH] = 7,    [SUITE_BUDGET] = 8,
      [SUITE_REACHABLE] = 9,     [SUITE_UNCHECKED] = 10};
  return ranks[f->kind];
}

/* ---- who loses wherever it is called ---------------------------------------------- */

/* For what it has made, is there somebody else to blame than for another stack? */
static void note_blame(const struct suite_finding *f) {
  for (size_t i = 0; i < f->maker_count; i++) {
    struct suite_maker *m = f->makers[i].maker;
    m->disputed |= m->cause && strcmp(m->cause, f->cause.key) != 0;
    m->cause = f->cause.key;
  }
}

#define NEARLY_WHEREVER 0.7
#define NEARLY_MOST 0.9

/* 0..1: of what it has made, the part where some was lost. */
static double loses(const struct suite_maker *m) {
  return m->made ? (double)m->where_lost / (double)m->made : 0;
}

/* Further out than the cause it must lose more generally than that. */
static double loses_beside(const struct suite_finding *f, size_t i, double by_cause) {
  const struct suite_maker *m = f->makers[i].maker;
  double part = loses(m);
  bool outer = f->makers[i].frame > f->at.guilty;
  if (!m->disputed || part < NEARLY_WHEREVER) return 0;
  return outer && by_cause >= NEARLY_MOST * part ? 0 : part;
}

/* The innermost of those that lose most, if that is nearly wherever they are called. */
static void settle(struct suite_finding *f) {
  double most = 0, by_cause = 0;
  for (size_t i = 0; i < f->maker_count; i++)
    if (f->makers[i].frame == f->at.guilty) by_cause = loses(f->makers[i].maker);
  for (size_t i = 0; i < f->maker_count; i++)
    if (loses_beside(f, i, by_cause) > most) most = loses_beside(f, i, by_cause);
  for (size_t i = 0; most > 0 && i < f->maker_count; i++) {
    if (loses_beside(f, i, by_cause) < NEARLY_MOST * most) continue;
    f->cause = f->makers[i].cause;
    f->at.guilty = f->makers[i].frame;
    return;
  }
}

static void settle_all(struct suite *s) {
  struct entry *e, *entries = s->found->entries;
  for (e = entries; e; e = e->hh.next)
    note_blame(&e->finding);
  for (e = entries; e; e = e->hh.next)
    settle(&e->finding);
}

/* ---- stacks become findings ------------------------------------------------------- */

/* What is suppressed, and by what, is one finding for itself. */
static const char *cause_of_entry(struct suite *s, const struct entry *e) {
  const struct suite_finding *f = &e->finding;
  const struct suppression *by = f->accepted;
  if (!f->cause.key) return f->key;
  obstack_printf(s->memory, "%d %d %s", f->kind, f->state, f->cause.key);
  if (by)
    obstack_printf(s->memory, " %s:%u %s", by->file ? by->file : "", by->line, by->name);
  obstack_1grow(s->memory, 0);
  return obstack_finish(s->memory);
}

/* Those of one cause beside each other, most bytes first. */
static int by_cause(const struct entry *a, const struct entry *b) {
  const struct suite_finding *x = &a->finding, *y = &b->finding;
  int order = strcmp(a->cause, b->cause);
  if (order) return order;
  if (x->of.bytes != y->of.bytes) return x->of.bytes > y->of.bytes ? -1 : 1;
  return strcmp(x->key, y->key);
}

/* Its stacks' sightings become those of the finding, one a process. `at` is NULL for each
 * process. */
static void see_stacks(struct suite *s, struct suite_finding *f,
                       struct suite_sighting **at) {
  f->seen = NULL;
  f->processes = 0;
  for (size_t i = 0; i < f->stack_count; i++)
    for (const struct suite_sighting *seen = f->stacks[i].seen; seen;
         seen = seen->before) {
      struct suite_sighting **sum = &at[seen->process];
      if (!*sum) {
        *sum = obstack_alloc(s->memory, sizeof **sum);
        **sum = (struct suite_sighting){.process = seen->process, .before = f->seen};
        f->seen = *sum;
        f->processes++;
      }
      ul_amount_add(&(*sum)->of, seen->of);
      ul_amount_add(&(*sum)->dragged, seen->dragged);
      (*sum)->times += seen->times;
      (*sum)->value = seen->value;
    }
  for (const struct suite_sighting *seen = f->seen; seen; seen = seen->before)
    at[seen->process] = NULL;
}

/* Of the stacks from this entry on that have its cause; the entry behind them. */
static const struct entry *unite(struct suite *s, const struct entry *first,
                                 struct suite_finding *f, struct suite_sighting **at) {
  const struct entry *e = first, *end;
  size_t n = 0;
  for (end = first; end && strcmp(end->cause, first->cause) == 0; end = end->hh.next)
    n++;
  struct suite_finding *stacks = obstack_alloc(s->memory, n * sizeof *stacks);
  for (size_t i = 0; i < n; i++, e = e->hh.next)
    stacks[i] = e->finding;
  *f = stacks[0];
  f->stacks = stacks;
  f->stack_count = n;
  if (f->cause.key) f->exact = f->cause.print;
  for (size_t i = 1; i < n; i++) {
    ul_amount_add(&f->of, stacks[i].of);
    ul_amount_add(&f->dragged, stacks[i].dragged);
    f->times += stacks[i].times;
  }
  see_stacks(s, f, at);
  return end;
}

static int by_gravity(const void *a, const void *b) {
  const struct suite_finding *x = a, *y = b;
  if (rank(x) != rank(y)) return rank(x) - rank(y);
  if (x->of.bytes != y->of.bytes) return x->of.bytes > y->of.bytes ? -1 : 1;
  return strcmp(x->key, y->key); /* whatever the order of the processes */
}

/* false: no memory. */
bool suite_found_unite(struct suite *s) {
  struct suite_found *w = s->found;
  struct suite_sighting **at = calloc(s->process_count + 1, sizeof(*at));
  if (!at) return false;
  settle_all(s);
  for (struct entry *e = w->entries; e; e = e->hh.next)
    e->cause = cause_of_entry(s, e);
  HASH_SORT(w->entries, by_cause);
  s->findings = obstack_alloc(s->memory, (s->count + 1) * sizeof *s->findings);
  s->count = 0;
  for (const struct entry *e = w->entries; e;) {
    struct suite_finding *f = &s->findings[s->count];
    e = unite(s, e, f, at);
    s->count += !is_too_little(s, f);
  }
  free(at);
  if (s->count) qsort(s->findings, s->count, sizeof *s->findings, by_gravity);
  return true;
}

/* ---- the verdict ------------------------------------------------------------------ */

bool suite_counts(const struct suite_finding *f) {
  return f->state == SUITE_NEW || f->state == SUITE_GREW;
}

size_t suite_in_state(const struct suite *s, enum suite_state state) {
  size_t n = 0;
  for (size_t i = 0; i < s->count; i++)
    n += s->findings[i].state == state;
  return n;
}

void suite_accept(struct suite *s) {
  for (size_t i = 0; i < s->count; i++)
    if (suite_counts(&s->findings[i])) s->findings[i].state = SUITE_KNOWN;
}

bool suite_fails(const struct suite *s) {
  struct ul_amount lost = {0, 0};
  for (size_t i = 0; i < s->count; i++) {
    const struct suite_finding *f = &s->findings[i];
    if (!suite_counts(f)) continue;
    if (!is_lost(f)) return true;
    lost.blocks += f->of.blocks;
    lost.bytes += f->of.bytes;
  }
  return lost.blocks > s->rules.allowed.blocks || lost.bytes > s->rules.allowed.bytes;
}

static const struct suite_sighting *sighting(const struct suite_finding *f,
                                             size_t process) {
  const struct suite_sighting *seen = f->seen;
  while (seen && seen->process != process)
    seen = seen->before;
  return seen;
}

bool suite_part(const struct suite_finding *f, size_t process,
                struct suite_finding *part) {
  const struct suite_sighting *seen = sighting(f, process);
  const struct suite_finding *stacks;
  *part = *f;
  if (!seen) return false;
  size_t n = suite_stacks(f, &stacks), i = 0;
  while (i + 1 < n && !sighting(&stacks[i], process))
    i++;
  part->at = stacks[i].at;
  part->of = seen->of;
  part->dragged = seen->dragged;
  part->times = seen->times;
  part->value = seen->value;
  return true;
}

/* ---- life ------------------------------------------------------------------------- */

struct suite_found *suite_found_new(void) {
  return calloc(1, sizeof(struct suite_found));
}

void suite_found_free(struct suite_found *found) {
  if (!found) return;
  HASH_CLEAR(hh, found->entries);
  HASH_CLEAR(hh, found->makers);
  free(found);
}
