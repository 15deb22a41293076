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
