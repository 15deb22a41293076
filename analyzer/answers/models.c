#include "answers/models.h"

#include <stdlib.h>
#include <string.h>

/* ---- report -------------------------------------------------------------------- */

void report_forget(void *model) {
  struct overview *all = model;
  if (!all) return;
  rising_free(all->rising);
  lost_free(all->lost);
  held_free(all->held);
  free(all);
}

struct overview *overview_load(struct context *context) {
  struct overview *all = calloc(1, sizeof *all);
  if (all) all->context = context;
  if (all && (all->rising = rising_load(context)) && (all->lost = lost_load(context)) &&
      process_unused(&context->processes[0]) && process_unused(context->named))
    return all;
  report_forget(all);
  return NULL;
}

static struct overview *overview_of_moment(struct context *context) {
  struct overview *all = calloc(1, sizeof *all);
  if (all) all->context = context;
  if (all && (all->held = held_load(context))) return all;
  report_forget(all);
  return NULL;
}

void *report_model(struct context *const of[]) {
  if (of[0]->at) return overview_of_moment(of[0]);
  for (size_t i = 0; i < of[0]->count; i++) {
    struct process *p = &of[0]->processes[i];
    if (process_matters(p) && !process_findings(p)) return NULL;
  }
  return process_holders(&of[0]->processes[0]) ? overview_load(of[0]) : NULL;
}

/* ---- the others ---------------------------------------------------------------- */

void *growth_model(struct context *const of[]) {
  return rising_load(of[0]);
}

void growth_forget(void *model) {
  rising_free(model);
}

/* What still lives is told where it is not known what of it is lost. */
void *leaks_model(struct context *const of[]) {
  for (size_t i = 0; i < of[0]->count; i++) {
    struct process *p = &of[0]->processes[i];
    bool known = leaks_known(p->recording) || process_sites(p);
    if (!known || !process_drags(p) || !process_fingerprints(p)) return NULL;
  }
  return lost_load(of[0]);
}

void leaks_forget(void *model) {
  lost_free(model);
}

void *unused_model(struct context *const of[]) {
  for (size_t i = 0; i < of[0]->count; i++) {
    if (!process_unused(&of[0]->processes[i])) return NULL;
    unused_sort(of[0]->processes[i].unused);
  }
  return of[0];
}

static bool is_same_process(const struct process *a, const struct process *b) {
  const struct ul_header *x = recording_header(a->recording);
  const struct ul_header *y = recording_header(b->recording);
  return x->pid == y->pid && x->pid_start == y->pid_start && x->program && y->program &&
         strcmp(process_name(a), process_name(b)) == 0;
}

/* The same process, or one of the same program, or the one that matters most. */
static struct process *counterpart(struct context *in, const struct process *of) {
  for (size_t i = 0; i < in->count; i++)
    if (is_same_process(&in->processes[i], of)) return &in->processes[i];
  for (size_t i = 0; i < in->count; i++)
    if (strcmp(process_name(&in->processes[i]), process_name(of)) == 0)
      return &in->processes[i];
  return in->processes;
}

/* Where one side has been chosen, the other follows it. */
void *diff_model(struct context *const of[]) {
  unsigned leads =
      of[DIFF_BEFORE]->count > 1 && of[DIFF_AFTER]->count == 1 ? DIFF_AFTER : DIFF_BEFORE;
  struct diff_look look[DIFF_LOOKS];
  for (unsigned side = 0; side < DIFF_LOOKS; side++) {
    struct process *p =
        side == leads ? of[side]->processes : counterpart(of[side], of[leads]->processes);
    look[side] = (struct diff_look){p, of[side]->at, of[side]->count};
  }
  return diff_load(look, of[0]->options.force);
}

void diff_forget(void *diff) {
  diff_free(diff);
}

void *dump_model(struct context *const of[]) {
  return of[0];
}
