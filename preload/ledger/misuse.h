/* misuse.h - what the program hands to free and realloc and is no live block: how many of
 * each kind, and at which places. */
#ifndef ULLAGE_MISUSE_H
#define ULLAGE_MISUSE_H

#include "format.h"

#include <stdbool.h>

/* Count one. `site` is where it was called (site.h), or UL_SITE_NONE: not recorded;
 * `allocated` where the block was allocated, or UL_SITE_NONE: not known. Any thread, no
 * lock. */
void misuse_note(enum ul_misuse_kind kind, const void *p, uint32_t site,
                 uint32_t allocated);
/* Has there been any, in this process? */
bool misuse_any(void);
#endif
