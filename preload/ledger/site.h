/* site.h - call sites: interned stacks. A site's number is in the ledger entry
 * of every block that was allocated there. */
#ifndef ULLAGE_SITE_H
#define ULLAGE_SITE_H

#include <stdint.h>

struct heap;

extern uint32_t
    site_depth_limit; /* innermost frames told of a stack; 1..WALK_DEPTH_MAX */

/* The site of the allocation whose exported entry point has this frame address; never
 * UL_SITE_NONE. h: the calling thread's heap. No lock of ours held. Keeps errno. */
uint32_t site_capture(struct heap *h, const void *frame_address);
#endif
