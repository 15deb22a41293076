/* strip.h - the ledger's places for what the heap has: strips of entries for pools,
 * records of arenas and large blocks, and of heaps. */
#ifndef ULLAGE_STRIP_H
#define ULLAGE_STRIP_H

/* Watch the heap from now on; before its first arena. */
void strip_watch(void);
/* Nothing is recorded any more, and nothing of the recording touched (in a child that
 * must not write into its parent's). */
void strip_unwatch(void);
#endif
