/* stacks.h - the stacks of the process's threads, and which part of each holds nothing of
 * the program any more.
 *
 * Only in the scan's own process, after roots_load (roots.h): module state, no locks. */
#ifndef ULLAGE_STACKS_H
#define ULLAGE_STACKS_H

#include "account/mapping.h"
#include "reach/roots.h"

/* The dead parts, not rounded to pages. Where a stack is not known, or its thread is not
 * on it, it has none; *known: of the stacks but the main thread's something is known.
 * false: no memory. */
bool stacks_dead(const struct roots_self *self, struct range_list *dead, bool *known);
/* The dead part of the thread's stack for signals, where that has stopped it; or empty.
 */
struct range stacks_signal(const struct frozen_thread *t);
#endif
