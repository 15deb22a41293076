#include "answers/models.h"

#include <stdlib.h>

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
      process_unused(&context->processes[0]))
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
  for (size_t i = 0; i < of[0]->count; i++)
    if (!process_unused(&of[0]->processes[i])) return NULL;
  return of[0];
}

void *diff_model(struct context *const of[]) {
  struct diff_look look[DIFF_LOOKS];
  for (unsigned side = 0; side < DIFF_LOOKS; side++)
    look[side] = (struct diff_look){of[side]->processes, of[side]->at};
  return diff_load(look, of[0]->options.force);
}

void diff_forget(void *diff) {
  diff_free(diff);
}

void *dump_model(struct context *const of[]) {
  return of[0];
}
