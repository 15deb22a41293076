#include "answers/tree.h"

#include <stdlib.h>
#include <string.h>

static void add(struct tree_sums *to, const struct tree_sums *more) {
  to->recordings += more->recordings;
  to->lines += more->lines;
  to->allocations += more->allocations;
  to->allocated_bytes += more->allocated_bytes;
  to->frees += more->frees;
  if (more->peak_bytes > to->peak_bytes) to->peak_bytes = more->peak_bytes;
  ul_amount_add(&to->live, more->live);
  ul_amount_add(&to->leak, more->leak);
  ul_amount_add(&to->growth, more->growth);
  ul_amount_add(&to->lost, more->lost);
  ul_amount_add(&to->possible, more->possible);
  to->losers += more->losers;
  to->unscanned += more->unscanned;
  to->misuses += more->misuses;
}

static void add_scan(struct tree_sums *sums, const struct recording *r) {
  const struct ul_scan *scan = &recording_header(r)->scan;
  if (!leaks_known(r)) {
    sums->unscanned++;
    return;
  }
  ul_amount_add(&sums->lost, scan->totals[UL_DEFINITE]);
  sums->losers = sums->lost.blocks > 0;
  ul_amount_add(&sums->lost, scan->totals[UL_INDIRECT]);
  ul_amount_add(&sums->possible, scan->totals[UL_POSSIBLE]);
}

static void add_findings(struct tree_sums *sums, const struct findings *f) {
  for (size_t i = 0; f && i < f->count; i++) {
    if (f->at[i].kind == FINDING_LEAK) ul_amount_add(&sums->leak, f->at[i].live);
    if (f->at[i].kind == FINDING_GROWTH) ul_amount_add(&sums->growth, f->at[i].live);
  }
}

struct tree_sums tree_of(const struct process *p) {
  const struct sites *s = p->sites;
  struct tree_sums sums = {.recordings = 1, .peak_bytes = process_peak_bytes(p)};
  add_scan(&sums, p->recording);
  add_findings(&sums, p->findings);
  for (int kind = 0; kind < UL_MISUSES; kind++)
    sums.misuses += misuses_of(p->recording, kind).count;
  if (!s) return sums;
  sums.allocations = s->total.allocations;
  sums.allocated_bytes = s->total.allocated_bytes;
  sums.frees = s->total.frees;
  sums.live = (struct ul_amount){s->blocks, s->bytes};
  return sums;
}

/* One of the first `known`, or a new one. */
static struct tree_program *program(struct tree *t, size_t known, const char *name) {
  for (size_t i = 0; i < known; i++)
    if (strcmp(t->programs[i].name, name) == 0) return &t->programs[i];
  t->programs[t->count].name = name;
  return &t->programs[t->count++];
}

struct tree_sums tree_of_lines(const struct children_program *p) {
  return (struct tree_sums){.lines = p->count,
                            .allocations = p->allocations,
                            .peak_bytes = p->peak,
                            .lost.bytes = p->lost,
                            .losers = p->losers,
                            .unscanned = p->unscanned,
                            .misuses = p->misuses};
}

/* As many as there may be. */
static size_t most(const struct context *context) {
  return context->count + HASH_COUNT(context->children->programs) + 1;
}

struct tree *tree_load(const struct context *context) {
  struct tree *t = calloc(1, sizeof *t);
  if (t) t->programs = calloc(most(context), sizeof *t->programs);
  if (!t || !t->programs) {
    free(t);
    return NULL;
  }
  for (size_t i = 0; i < context->count; i++) {
    const struct process *p = &context->processes[i];
    struct tree_program *to = program(t, t->count, process_name(p));
    struct tree_sums sums = tree_of(p);
    if (!to->first) to->first = p;
    add(&to->sums, &sums);
    add(&t->all, &sums);
  }
  bool chosen = context->options.process; /* one with a recording */
  size_t recorded = t->count;             /* those of lines differ from each other */
  struct children_program *p = chosen ? NULL : context->children->programs;
  for (; p; p = p->hh.next) {
    struct tree_program *to = program(t, recorded, p->name);
    struct tree_sums sums = tree_of_lines(p);
    to->lines = p;
    add(&to->sums, &sums);
    add(&t->all, &sums);
  }
  return t;
}

void tree_free(struct tree *t) {
  if (!t) return;
  free(t->programs);
  free(t);
}
