/* stale.h - words of lost blocks that nobody has written since the memory was another
 * block's.
 *
 * Only in the scan's own process, while it marks (mark.h): module state, no locks. */
#ifndef ULLAGE_STALE_H
#define ULLAGE_STALE_H

#include "reach/census.h"

/* In this order: begin, count each lost block, then look at each. sites: in UL_SITES.
 * false: no memory. */
bool stale_begin(uint32_t sites);
void stale_count(const struct found *f);
bool stale_counted(void);
void stale_look(const struct found *f);
void stale_looked(void);
/* Is the word `offset` bytes from the start of the lost block such a one? If there are
 * any. */
extern bool stale_any;
bool stale_word(const struct found *f, uintptr_t offset);
#endif
