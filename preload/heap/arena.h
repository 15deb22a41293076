/* arena.h - arenas: from the OS, cut into units, given to heaps as pools.
 *
 * The arena lock guards all arenas, the map of addresses, the list of large
 * blocks and what the watcher does. Pools themselves belong to their heaps. */
#ifndef ULLAGE_ARENA_H
#define ULLAGE_ARENA_H

#include "base/thread.h"
#include "heap/types.h"

void arena_lock(void);
void arena_unlock(void);
/* Called by a signal handler that has interrupted this thread in there? It would wait for
 * itself, so it does without all that takes the lock: NULL, false, or nothing is done. */
static inline bool arena_is_interrupted(void) {
  return thread_state.in_arena != 0;
}

/* A pool of the class for heap h, all of it virgin, on no list; NULL when there is no
 * memory. Takes the lock, as all that follow. */
struct pool *arena_take(struct heap *h, unsigned class);
/* A span of at least `bytes` (up to UL_SPAN_MAX), aligned to `align` (up to
 * UL_SPAN_MAX; a power of two), its block live. */
struct pool *arena_take_span(struct heap *h, size_t bytes, size_t align);
/* Back from its heap, which has unlinked it; no block of it is live but a span's, which
 * is thereby freed. Memory goes back to the OS as far as retain.h wants it; false: of the
 * arenas all has gone, and that is not enough. */
bool arena_give(struct pool *p);
/* Make the span p longer or shorter where it lies; false: the units behind it are not
 * free. The caller holds its block. */
bool arena_resize_span(struct pool *p, size_t bytes);

static inline struct pool *arena_pool_of_unit(struct arena *a, unsigned unit) {
  return (struct pool *)((char *)a + a->pool_at[unit]);
}
static inline struct pool *arena_pool(struct arena *a, const void *p) {
  return arena_pool_of_unit(a, (uintptr_t)p / UL_UNIT_BYTES % UL_UNITS);
}
/* The same if the pool has one unit, or p lies in its first; else one that has no carved
 * block. Without a look at pool_at, so the pool's line is asked for sooner. */
static inline struct pool *arena_pool_headed(struct arena *a, const void *p) {
  return &a->pools[(uintptr_t)p / UL_UNIT_BYTES % UL_UNITS];
}
struct arena *arena_of(const struct pool *p);

/* Give free memory back to the OS; bytes given back. */
size_t arena_trim(void);

/* Descriptors in use, newest first. Under the lock, or when nothing else runs. */
struct arena *arena_first(void);
struct arena *arena_next(struct arena *a);
/* The pool in use at or behind unit *unit, which becomes the unit behind it; NULL: none.
 * As above. */
struct pool *arena_next_pool(struct arena *a, unsigned *unit);

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
