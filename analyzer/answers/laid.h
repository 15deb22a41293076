/* laid.h - whom a call site is laid at: the function to change, by what is lost or grows
 * there, or is held (cause.h), and not by names alone. */
#ifndef ULLAGE_LAID_H
#define ULLAGE_LAID_H

#include "answers/context.h"

/* Most first; NULL: nothing is known, or there is no memory. */
const struct causes *laid_by(struct process *, enum laid);
/* Which of them a call site is laid at. */
#define LAID_NOWHERE SIZE_MAX
size_t laid_at(const struct causes *, uint32_t site);
/* Who holds what has most that is unused in it and beside it, and how much that is; NULL:
 * nobody. */
const struct causes *laid_waste(struct process *, size_t *most, uint64_t *bytes);
#endif
