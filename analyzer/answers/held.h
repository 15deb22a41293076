/* held.h - who held what at a moment (moment.h), by the function to change. */
#ifndef ULLAGE_HELD_H
#define ULLAGE_HELD_H

#include "answers/context.h"

struct held {
  struct process *process;
  const struct moment *at;
  struct causes *causes; /* most bytes first */
  uint32_t *sites;       /* with rows, most bytes first */
  size_t count;
  struct ul_amount untold; /* of call sites too small for a row */
};
/* Of a context with a moment, which must outlive it. NULL: no memory. */
struct held *held_load(struct context *);
void held_free(struct held *);
#endif
