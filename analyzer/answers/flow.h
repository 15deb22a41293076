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
};

/* Who is called by so many functions serves everybody. */
#define FLOW_CALLERS 4
struct flow_function {
  uint64_t allocated, bytes;      /* through it; of them, the finding's */
  uint32_t stamp;                 /* the last site in whose stack it was seen + 1 */
  uint32_t callers[FLOW_CALLERS]; /* + 1: different ones, as many as matter */
};
struct flow {
  struct flow_function *at; /* by function, all of them */
  uint32_t room;
};

/* false: no memory. Free it in any case. */
bool flow_load(struct flow *, struct functions *, const struct sites *,
               const struct cause_measure *);
void flow_free(struct flow *);

/* 0..1: of what goes through a function, the finding's part. */
double flow_retention(const struct flow *, uint32_t function);
/* Less goes through `outer`, and `inner` serves others as well: it has many callers, or
 * two and keeps little of what it is asked for, or two and much more goes through it. */
bool flow_serves_others(const struct flow *, uint32_t inner, uint32_t outer);
#endif
