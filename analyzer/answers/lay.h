/* lay.h - what a finding's call stacks hold, laid at one function each.
 *
 * Of a stack's functions the innermost is taken whose retention is nearly the highest.
 * Three things deceive it, and are looked for:
 *
 *   - Nearly all that goes through a wrapper may be one caller's, and then the wrapper
 *     keeps nearly as much. So if nearly all of a cause's bytes go through one function
 *     further out, and of what others ask of the inner one much less is kept, it is the
 *     outer one's.
 *   - A helper that the whole program calls may have been asked by one function alone
 *     while it was watched. So if nearly all comes from one caller, who takes what it is
 *     given, it is that one's, if many more of the helper's file call it (callers.h).
 *   - To all other stacks, too, that wrapper looks like their cause. So a cause that has
 *     half of everything is settled, taken out, and the others choose again. */
#ifndef ULLAGE_LAY_H
#define ULLAGE_LAY_H

#include "answers/cause.h"

/* Of the highest retention in a stack: so much is nearly the highest. */
#define NEARLY 0.8
/* Causes that are looked at closer: what a reader would see side by side. */
#define LOOKED_AT 16u

/* What is asked of a function for each stack that it is in. */
struct mark {
  double retention; /* of the rest's flow */
  bool may_be_blamed, wrapper, named_own;
  bool makes_little; /* by itself, of what it hands on */
};
struct search {
  struct functions *functions;
  const struct sites *sites;
  const struct cause_measure *measure;
  struct flow flow, rest; /* of all; without the causes that were taken out */
  uint64_t allocated;     /* by all sites */
  uint64_t *allocated_by; /* each: sums of sites are far apart in memory */
  uint32_t *cause_of;     /* by function: index in causes + 1 */
  struct mark *marks;     /* by function */
  bool machines, made;    /* is any function an interpreter's, or made while it ran? */
  struct causes *causes;
  size_t causes_room;
  size_t settled, taken; /* the first of the causes */
};

/* Fills the causes, in no order. false: no memory. */
bool lay_all(struct search *);

/* One cause takes all that another has, which then has no stacks. */
void lay_merge(struct search *, size_t to, size_t from);
bool lay_is_in(const struct function_call *stack, size_t n, uint32_t function);
#endif
