/* models.h - the model of each verb, made of the contexts of as many recordings as it
 * takes (command/verbs.c). NULL: no memory. */
#ifndef ULLAGE_MODELS_H
#define ULLAGE_MODELS_H

#include "answers/diff.h"
#include "answers/held.h"
#include "answers/lost.h"
#include "answers/rising.h"
#include "answers/tree.h"

struct overview { /* of `report` */
  struct context *context;
  struct lost *lost; /* its tree: with all sums */
  struct rising *rising;
  struct held *held; /* of a moment: then there is nothing else */
};
void *report_model(struct context *const of[]); /* struct overview */
void report_forget(void *);
void *growth_model(struct context *const of[]); /* struct rising */
void growth_forget(void *);
void *leaks_model(struct context *const of[]); /* struct lost */
void leaks_forget(void *);
void *unused_model(struct context *const of[]); /* struct context */
void *diff_model(struct context *const of[]);   /* struct diff */
void diff_forget(void *);
void *dump_model(struct context *const of[]); /* struct context */

/* What report says without names, for the end of `run`. */
struct overview *overview_load(struct context *);
#endif
