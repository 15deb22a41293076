/* flow.h - how much goes through each function: of what was allocated in it or further
 * in, the finding's part. A stack's function counts once, however often it is in it. */
#ifndef ULLAGE_FLOW_H
#define ULLAGE_FLOW_H

#include "answers/sites.h"
#include "names/function.h"

/* What is to be explained: by site, `count` of them. */
struct cause_measure {
  const struct ul_amount *amount; /* blocks, requested bytes */
  size_t count;
  const struct ul_drag *drags; /* what is only held by what was allocated elsewhere */
  size_t drag_count;
  bool together; /* what all came as often, to the block, came from doing one thing */
};

/* Who is called by so many functions serves everybody. */
#define FLOW_CALLERS 4
struct flow_function {
  uint64_t allocated, bytes;      /* through it; of them, the finding's */
  uint64_t blocks, direct;        /* the finding's; where it made no call by pointer */
  uint32_t stamp;                 /* the last stack in which it was seen */
  uint32_t callers[FLOW_CALLERS]; /* + 1: different ones, as many as matter */
};
struct flow {
  struct flow_function *at; /* by function, all of them */
  uint32_t room, walks;
};

/* false: no memory. Free it in any case. */
bool flow_load(struct flow *, struct functions *, const struct sites *,
               const struct cause_measure *);
bool flow_copy(struct flow *, const struct flow *of);
void flow_free(struct flow *);

/* All that was allocated at a site; what is made larger may be more than was asked for.
 */
uint64_t flow_allocated(const struct sites *, const struct cause_measure *,
                        uint32_t site);
/* Takes out what goes through a site's stack. */
void flow_take(struct flow *, struct functions *, const struct sites *,
               const struct cause_measure *, uint32_t site);

/* 0..1: of what goes through a function, the finding's part. */
double flow_retention(const struct flow *, uint32_t function);
/* Was next to nothing of the finding made by the function itself, without a pointer? */
bool flow_makes_little(const struct flow *, uint32_t function);
/* Does the call hand work on? It is made by way of a pointer, and next to nothing of the
 * finding was made by the function itself. */
bool flow_hands_on(const struct flow *, const struct function_call *);
/* Of what goes through `inner` so much goes through one caller as well: does it serve
 * others, too, and keep less of what they ask for? It has many callers, or two and keeps
 * little of what it is asked for, or two and much more goes through it. */
bool flow_serves_others(const struct flow *, uint32_t inner, uint64_t allocated,
                        uint64_t bytes);
#endif
