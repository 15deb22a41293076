/* cause.h - the functions to change: what many call stacks hold, laid at few doors.
 *
 * Names decide little: a wrapper that nobody knows allocates for all, and the frame to
 * blame may have no name. *Retention* decides: of the bytes that went through a function
 * (allocated there or further in), how many are the finding's? A wrapper has the average
 * of its callers; a cause stands out. Of a stack's functions that may be blamed (not of
 * the runtime, no well-known wrapper, nor inside one) the innermost is taken whose
 * retention is nearly the highest; one that calls through a pointer and makes nothing
 * itself hands work on, and is taken last (lay.h).
 *
 * What another cause's blocks drag along (they alone point to it) belongs to that one,
 * and to the function in which both are made. Equal counts (n, n, 2n blocks) are said as
 * so many blocks each time. What helpers with many callers make for one function is its.
 */
#ifndef ULLAGE_CAUSE_H
#define ULLAGE_CAUSE_H

#include "answers/flow.h"

struct cause {
  uint32_t function;
  uint32_t site;       /* of its stacks the one with most bytes */
  size_t depth;        /* there: index of the function in functions_stack() */
  struct ul_amount of; /* the finding's */
  size_t stacks;
  double retention; /* 0..1: of what went through the function */
  uint32_t helper;  /* + 1: made it for the function, and serves all (lay.h), or is named
                       where that is not; 0: none */
  uint64_t times;   /* 0, or so often `each` blocks of its stacks were made */
  uint64_t each;
  bool spread; /* nobody is to blame: the function is what all stacks go through */
};
struct cause_common { /* the callers that nearly all of a cause goes through */
  const struct frame **frames;
  size_t count;
  bool known;
};
struct causes {
  struct cause *at;            /* most bytes first */
  struct cause_common *common; /* of each, as far as it was asked for */
  size_t count;
  size_t sites;
  uint32_t *of_site;          /* by site: index of its cause, or UINT32_MAX */
  struct ul_amount *amount;   /* by site: what was to be explained */
  struct ul_amount stackless; /* what has no stack, and no cause */
};
/* NULL: no memory. */
struct causes *causes_load(struct functions *f, const struct sites *sites,
                           const struct cause_measure *measure);
void causes_free(struct causes *);
/* What made all that for the cause's function, of helpers that serve all its file; or, if
 * that has no name, what it calls that has one. NULL: it did so itself. */
const struct frame *causes_helper(struct functions *f, const struct cause *c);
/* The callers that nearly all of a cause goes through, innermost first, without those of
 * the runtime: where each calls, at most `max` of them; how many there are. */
size_t causes_common(struct functions *f, const struct causes *c, size_t cause,
                     const struct frame **frames, size_t max);
/* Where the cause's function allocates, or calls what does; NULL: there is no stack. */
const struct frame *causes_frame(struct functions *f, const struct cause *c);
#endif
