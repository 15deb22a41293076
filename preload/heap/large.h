/* large.h - blocks with a mapping of their own: above UL_SPAN_MAX, or aligned to
 * more than that. They start at a multiple of an arena's size, so that the map
 * of addresses finds them. The list is guarded by the arena lock, which is never
 * held over a system call here. */
#ifndef ULLAGE_LARGE_H
#define ULLAGE_LARGE_H

#include "heap/types.h"

/* A block of at least `bytes`; NULL: no memory. */
struct large *large_take(size_t bytes, size_t align);
void large_put(struct large *l);
/* Give up freed blocks that were kept, as far as retain.h wants it. */
void large_relieve(void);
/* The block may move; its content moves along, what is new is undefined. l itself may be
 * another one afterwards. NULL: no memory, nothing changed. */
struct large *large_resize(struct large *l, size_t bytes);

struct large *large_first(void); /* under the arena lock, or when nothing else runs */
static inline struct large *large_next(const struct large *l) {
  return l->next;
}

struct large_totals {
  uint64_t larges, mapped_bytes, requested_bytes;
};
struct large_totals large_totals(void); /* under the arena lock */
size_t large_trim(void);                /* empties the cache; bytes given back */
/* After arena_raw_fork_child() said that the lists may be in the middle of an update. */
void large_raw_fork_child(void);
#endif
