/* rising.h - what grows, of all processes of a context. */
#ifndef ULLAGE_RISING_H
#define ULLAGE_RISING_H

#include "answers/context.h"

struct rising_site {
  struct process *process;
  const struct growth_site *site;
};
struct rising {
  struct context *context;
  struct rising_site *sites; /* as in struct growth, whichever process they are of */
  size_t count;
  size_t verdicts[4];
  size_t growing;               /* processes of which a call site grows */
  const struct process *unseen; /* all that lives in it grows, but no site; NULL: none */
  bool unsure_matter;           /* in one of them */
  bool growing_matter;          /* all that grow in one of them, beside its peak */
  size_t saturating;            /* sites that come to a level, which matters there */
  const struct rising_site *highest; /* of them, by that; NULL: there are none */
};
/* It comes to a level, and that is worth a word beside the peak. */
bool rising_saturates(const struct rising_site *);
/* The context must outlive it. NULL: no memory. */
struct rising *rising_load(struct context *);
void rising_free(struct rising *);
#endif
