/* stale.h - words of lost blocks that nobody has written since the memory was another
 * block's.
 *
 * Only in the scan's own process, while it marks (mark.h): module state, no locks. */
#ifndef ULLAGE_STALE_H
#define ULLAGE_STALE_H

#include "reach/found.h"

/* Look at the lost blocks, by their addresses. sites: in UL_SITES. false: no memory. */
bool stale_learn(const uintptr_t *lost, uint64_t count, uint32_t sites);
/* Is the word `offset` bytes from the start of the lost block such a one? Never before
 * stale_learn. */
bool stale_word(const struct found *f, uintptr_t offset);
#endif
