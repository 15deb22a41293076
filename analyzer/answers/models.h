/* models.h - the model of each verb: the context with all that its views show. Takes the
 * contexts of as many recordings as the verb does (command/verbs.c). NULL: no memory. */
#ifndef ULLAGE_MODELS_H
#define ULLAGE_MODELS_H

#include "answers/context.h"
#include "answers/diff.h"

void *report_model(struct context *const of[]);
void *growth_model(struct context *const of[]);
void *leaks_model(struct context *const of[]);
void *unused_model(struct context *const of[]);
void *diff_model(struct context *const of[]); /* struct diff */
void diff_forget(void *);
void *dump_model(struct context *const of[]);
/* For the end of `run`: without names. */
bool model_of_summary(struct context *);
#endif
