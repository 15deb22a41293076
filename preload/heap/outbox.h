/* outbox.h - blocks of other heaps that a thread has freed, on their way home. Each would
 * cost a compare-and-swap on a line that its owner and all who free such blocks want; so
 * they go as a chain, of one heap's blocks, by one.
 *
 * A block in there is free for everybody but its pool, as one in a magazine. It goes when
 * the chain has OUTBOX_BLOCKS blocks or OUTBOX_BYTES, or a block of another heap comes,
 * or the thread needs a pool or trims. So while it sleeps less than OUTBOX_BYTES wait,
 * and where it has ended, for who adopts its heap, or trims.
 *
 * It is its owner's alone. A signal handler that has interrupted its work finds it at
 * work and sends its blocks by themselves; one that never comes back from there leaves it
 * so, and a chain of a few blocks with it. */
#ifndef ULLAGE_OUTBOX_H
#define ULLAGE_OUTBOX_H

#include "heap/types.h"

enum { OUTBOX_BLOCKS = 16, OUTBOX_BYTES = 8 << 10 };

/* A block of p, which is not h's; h is the calling thread's. */
void outbox_put(struct heap *h, struct pool *p, void *block);
/* By the owner; or under the lock of heaps, when it is dead. */
void outbox_empty(struct heap *h);
/* Aborts with a line if an invariant does not hold. As heap_check(). */
void outbox_check(const struct heap *h);
#endif
