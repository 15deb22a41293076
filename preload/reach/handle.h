/* handle.h - the offset at which a program holds the blocks of one place, in place of
 * their start: behind a header that it hides from itself. There may be a few, for headers
 * of different sizes.
 *
 * Only in the scan's own process, while it marks (mark.h): module state, no locks. */
#ifndef ULLAGE_HANDLE_H
#define ULLAGE_HANDLE_H

#include "reach/census.h"

enum { HANDLE_OFFSET_MAX = 1024 };

/* Before the first pointer is met. sites: in UL_SITES. false: no memory. */
bool handle_prepare(uint32_t sites);
/* A pointer `offset` bytes into the block (more than 0), from outside of it; `strong`:
 * from a root or a block that is reachable. */
void handle_met(const struct found *f, uintptr_t offset, bool strong);
/* All pointers have been met, and `reached` tells the blocks they led to: find the
 * handles. *any: there are some. false: no memory. */
bool handle_choose(bool reached(const struct found *f), bool *any);
/* Is the offset a handle of the block's site? Never before they were chosen. */
bool handle_is(const struct found *f, uintptr_t offset);
/* Has a strong pointer to a handle been met? */
bool handle_holds(const struct found *f);
#endif
