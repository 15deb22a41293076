#include "answers/models.h"

bool model_of_summary(struct context *of) {
  struct process *p = &of->process;
  return process_growth(p) && process_unused(p);
}

void *report_model(struct context *const of[]) {
  struct process *p = &of[0]->process;
  return model_of_summary(of[0]) && process_findings(p) && process_holders(p) ? of[0]
                                                                              : NULL;
}

void *growth_model(struct context *const of[]) {
  return process_growth(&of[0]->process) ? of[0] : NULL;
}

/* What still lives is told where it is not known what of it is lost. */
void *leaks_model(struct context *const of[]) {
  struct process *p = &of[0]->process;
  bool known = leaks_known(p->recording) || process_sites(p);
  return process_drags(p) && known ? of[0] : NULL;
}

void *unused_model(struct context *const of[]) {
  return process_unused(&of[0]->process) ? of[0] : NULL;
}

void *diff_model(struct context *const of[]) {
  struct diff_look look[DIFF_LOOKS];
  for (unsigned side = 0; side < DIFF_LOOKS; side++)
    look[side] = (struct diff_look){&of[side]->process, of[side]->at};
  return diff_load(look, of[0]->options.force);
}

void diff_forget(void *diff) {
  diff_free(diff);
}

void *dump_model(struct context *const of[]) {
  return of[0];
}
