/* spread.h - what no function stands out of: it is laid at the loop that all of it goes
 * through.
 *
 * An interpreter's handlers keep what the program that they run keeps, each a little, and
 * none is to blame. The loop hands work on by a pointer, or is known by its name, and is
 * no cause either; but it is what all that has in common, so it is said once, as what is
 * spread over so many stacks.
 *
 * Causes are one if they meet in such a loop, nearly all that the loop keeps is theirs,
 * and none has much of it; and, as different causes may meet there as well,
 *   - by a pointer: all keep about as much of what they make as the loop does, and a good
 *     part of it is freed again. A cause would keep more than the others.
 *   - of an interpreter known by its name: all are of its own module, what it works with;
 *     or lie outside of it, where only the average of all is found. */
#ifndef ULLAGE_SPREAD_H
#define ULLAGE_SPREAD_H

#include "answers/lay.h"

/* Of causes in order of their bytes. false: no memory. */
bool spread_join(struct search *);

/* What such a loop calls: whatever is behind those of them that hand on as well. */
struct spread_part {
  const struct frame *frame;
  struct ul_amount of;
};
/* Most bytes first, at most `max`; how many there are. */
size_t spread_parts(struct functions *f, const struct causes *c, size_t cause,
                    struct spread_part *parts, size_t max);
#endif
