/* map.h - which megabyte of the address space is ours: a radix tree of two
 * levels over the 47 bits of a user address. Reading takes no lock and is safe
 * at any moment, also in a signal handler. */
#ifndef ULLAGE_MAP_H
#define ULLAGE_MAP_H

#include "heap/types.h"

enum { MAP_SHIFT = 20, MAP_LEAF_BITS = 14, MAP_ROOT_BITS = 13 };

extern _Atomic(_Atomic(map_slot) *) map_root[1 << MAP_ROOT_BITS]
    __attribute__((visibility("hidden")));

static inline map_slot map_lookup(const void *p) {
  uintptr_t i = (uintptr_t)p >> MAP_SHIFT, root = i >> MAP_LEAF_BITS;
  if (UNLIKELY(root >= 1 << MAP_ROOT_BITS)) return 0;
  _Atomic(map_slot) *leaf = atomic_load_explicit(&map_root[root], memory_order_acquire);
  if (UNLIKELY(!leaf)) return 0;
  return atomic_load_explicit(&leaf[i & ((1 << MAP_LEAF_BITS) - 1)],
                              memory_order_acquire);
}

/* Has anything within the same 16 GiB ever been ours? */
static inline bool map_has_held(const void *p) {
  uintptr_t root = (uintptr_t)p >> MAP_SHIFT >> MAP_LEAF_BITS;
  return root < 1 << MAP_ROOT_BITS &&
         atomic_load_explicit(&map_root[root], memory_order_relaxed);
}

static inline bool map_is_arena(map_slot s) {
  return s & 1;
}
static inline bool map_is_large(map_slot s) {
  return s && !map_is_arena(s);
}
static inline struct large *map_large(map_slot s) {
  return (struct large *)s;
}
static inline struct arena *map_arena(map_slot s) {
  return (struct arena *)(s - 1);
}
static inline map_slot map_slot_of_large(struct large *l) {
  return (map_slot)l;
}
static inline map_slot map_slot_of_arena(struct arena *a) {
  return (map_slot)a + 1;
}

/* Enter `value` for [base, base + bytes); base is megabyte-aligned. Under the arena lock.
 * false: no memory for the tree, nothing entered. To clear (value 0) all that one value
 * was entered for cannot fail; a part of it can, if it is longer than 16 GiB. */
bool map_enter(const void *base, size_t bytes, map_slot value);

/* The first slot of the map of addresses at or above *address, which becomes the start
 * of its megabyte; 0 if there is none. A large block has a slot for each megabyte. */
map_slot map_next_slot(uintptr_t *address);
#endif
