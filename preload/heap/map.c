#include "heap/map.h"

#include "base/meta.h"

_Atomic(_Atomic(map_slot) *) map_root[1 << MAP_ROOT_BITS];

static _Atomic(map_slot) *leaf_for(uintptr_t i) {
  _Atomic(_Atomic(map_slot) *) *root = &map_root[i >> MAP_LEAF_BITS];
  _Atomic(map_slot) *leaf = atomic_load_explicit(root, memory_order_relaxed);
  if (leaf) return leaf;
  leaf = meta_alloc(sizeof(*leaf) << MAP_LEAF_BITS);
  atomic_store_explicit(root, leaf, memory_order_release);
  return leaf;
}

bool map_enter(const void *base, size_t bytes, map_slot value) {
  uintptr_t first = (uintptr_t)base >> MAP_SHIFT;
  uintptr_t last = ((uintptr_t)base + bytes - 1) >> MAP_SHIFT;
  if (last >> (MAP_LEAF_BITS + MAP_ROOT_BITS)) return false;
  for (uintptr_t i = first; i <= last; i++)
    if (!leaf_for(i)) return false;
  for (uintptr_t i = first; i <= last; i++)
    atomic_store_explicit(&leaf_for(i)[i & ((1 << MAP_LEAF_BITS) - 1)], value,
                          memory_order_release);
  return true;
}

map_slot map_next_slot(uintptr_t *address) {
  const uintptr_t leaf_slots = 1 << MAP_LEAF_BITS;
  const uintptr_t slots = (uintptr_t)1 << (MAP_LEAF_BITS + MAP_ROOT_BITS);
  uintptr_t i = *address >> MAP_SHIFT;
  while (i < slots) {
    _Atomic(map_slot) *leaf =
        atomic_load_explicit(&map_root[i >> MAP_LEAF_BITS], memory_order_acquire);
    if (!leaf) {
      i = (i | (leaf_slots - 1)) + 1;
      continue;
    }
    map_slot s = atomic_load_explicit(&leaf[i & (leaf_slots - 1)], memory_order_acquire);
    if (s) {
      *address = i << MAP_SHIFT;
      return s;
    }
    i++;
  }
  return 0;
}
