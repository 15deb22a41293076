/* arena.h - arenas: from the OS, cut into units, given to heaps as pools.
 *
 * The arena lock guards all arenas, the map of addresses, the list of large
 * blocks and the ledger's free strips. Pools themselves belong to their heaps. */
#ifndef ULLAGE_ARENA_H
#define ULLAGE_ARENA_H

#include "heap/types.h"

void arena_lock(void);
void arena_unlock(void);

/* A pool of the class (UL_SPAN: one block of `units` units) for heap h, all of it virgin,
 * on no list; NULL when there is no memory. Takes the lock. */
struct pool *arena_take(struct heap *h, unsigned class, unsigned units);
/* Back from its heap, which has unlinked it; no block of it is live but a span's, which
 * is thereby freed. The arena goes back to the OS when nothing in it is live any more:
 * the spare pools in it of h, the calling thread's heap, are then taken along, unlinked
 * by `unlink`. Takes the lock. */
void arena_give(struct heap *h, struct pool *p,
                void (*unlink)(struct heap *, struct pool *));
/* Make the span p longer or shorter where it lies; false: the units behind it are not
 * free. The caller holds its block. Takes the lock. */
bool arena_resize_span(struct pool *p, unsigned units);
/* Is a pool other than p in use in p's arena, as far as h can tell? No lock: a hint. */
bool arena_busy(const struct heap *h, const struct pool *p);

static inline struct pool *arena_pool(struct arena *a, const void *p) {
  return &a->pools[a->head[((uintptr_t)p & (UL_ARENA_BYTES - 1)) / UL_UNIT_BYTES]];
}
struct arena *arena_of(const struct pool *p);

/* Give free memory back to the OS; bytes given back. */
size_t arena_trim(void);

/* Descriptors in use, newest first. Under the lock, or when nothing else runs. */
struct arena *arena_first(void);
struct arena *arena_next(struct arena *a);

struct arena_totals {
  uint64_t arenas, arena_bytes, empty_bytes, pool_bytes;
};
struct arena_totals arena_totals(void); /* under the lock */
/* Free bytes of all pools in use, tails included: walks them all. Under the lock; not
 * exact while other threads allocate. */
uint64_t arena_free_bytes(void);
/* Aborts with one line if an invariant of types.h does not hold. Under the lock. */
void arena_check(void);

void arena_fork_prepare(void);
void arena_fork_parent(void);
void arena_fork_child(void);
/* In the child of a raw clone or fork: the lock may have been held by a thread that is
 * not here, in the middle of an update. If so (true),
 * nothing of the old arenas is used again.
 */
bool arena_raw_fork_child(void);
#endif
