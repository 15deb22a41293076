/* holder.h - the functions that hold, or held, most: the call sites of a recording by the
 * function that is to blame for them (cause.h), at the peak, or at the end if that is as
 * high. */
#ifndef ULLAGE_HOLDER_H
#define ULLAGE_HOLDER_H

#include "answers/cause.h"

struct holder {
  size_t cause;             /* index in causes */
  struct ul_amount at_peak; /* blocks, requested bytes */
  struct ul_amount live;
  uint64_t allocations, temporary; /* over the whole run */
};
struct holders {
  struct holder *at; /* most bytes first */
  size_t count;
  struct functions *functions;
  struct causes *causes;
};
/* NULL: no memory. Both must outlive it. */
struct holders *holders_load(const struct sites *sites, struct functions *functions);
void holders_free(struct holders *);
#endif
