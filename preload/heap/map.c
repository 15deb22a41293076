/* map.c - see map.h.
 *
 * A leaf covers 16 GiB. Where one large block covers all of it, the root leads to a leaf
 * that the block's whole length shares (solid: each slot says the same), so that 16 TiB
 * cost 128 KiB of map and not 128 MiB. A solid leaf becomes one of its own (split) when
 * a part of it is to say something else, and is kept for the next huge block when no
 * root leads to it any more: never unmapped, for a lookup takes no lock. */
#include "heap/map.h"

#include "base/meta.h"

enum { LEAF_SLOTS = 1 << MAP_LEAF_BITS, ROOT_SLOTS = 1 << MAP_ROOT_BITS };
#define SLOTS ((uintptr_t)LEAF_SLOTS * ROOT_SLOTS)

typedef _Atomic(map_slot) *map_leaf;
_Atomic(map_leaf) map_root[ROOT_SLOTS];

struct solid {
  _Atomic(map_slot) leaf[LEAF_SLOTS];
  unsigned roots; /* that lead here */
  struct solid *next;
};
static bool is_solid[ROOT_SLOTS];
static struct solid *spare;
/* There was never anything in a slot but [low, high). */
static _Atomic uintptr_t low, high;

static map_leaf leaf_at(uintptr_t root) {
  return atomic_load_explicit(&map_root[root], memory_order_acquire);
}

static void set_root(uintptr_t root, map_leaf leaf, bool solid) {
  is_solid[root] = solid;
  atomic_store_explicit(&map_root[root], leaf, memory_order_release);
}

static void set_slots(map_leaf leaf, uintptr_t from, uintptr_t to, map_slot value) {
  for (uintptr_t i = from; i < to; i++)
    atomic_store_explicit(&leaf[i], value, memory_order_release);
}

/* ---- solid leaves -------------------------------------------------------------- */

static struct solid *solid_take(map_slot value) {
  struct solid *s = spare;
  if (s)
    spare = s->next;
  else
    s = meta_alloc(sizeof *s);
  if (s) set_slots(s->leaf, 0, LEAF_SLOTS, value);
  return s;
}

static void solid_leave(uintptr_t root, map_leaf instead, bool solid) {
  struct solid *s = (struct solid *)leaf_at(root);
  set_root(root, instead, solid);
  if (--s->roots > 0) return;
  s->next = spare;
  spare = s;
}

static bool solid_split(uintptr_t root) {
  map_leaf own = meta_alloc(sizeof(*own) * LEAF_SLOTS);
  if (!own) return false;
  set_slots(own, 0, LEAF_SLOTS, leaf_at(root)[0]);
  solid_leave(root, own, false);
  return true;
}

/* ---- entering ------------------------------------------------------------------ */

/* What of a leaf lies in the slots [first, last] of the map. */
struct part {
  uintptr_t root, from, to;
};

static struct part part_of(uintptr_t root, uintptr_t first, uintptr_t last) {
  uintptr_t start = root << MAP_LEAF_BITS;
  return (struct part){root, first > start ? first - start : 0,
                       last - start < LEAF_SLOTS ? last - start + 1 : LEAF_SLOTS};
}

static bool whole(struct part p) {
  return p.from == 0 && p.to == LEAF_SLOTS;
}

/* A leaf of its own, unless it can be solid or needs none. */
static bool prepare(struct part p, map_slot value) {
  map_leaf leaf = leaf_at(p.root);
  if (is_solid[p.root]) return whole(p) || solid_split(p.root);
  if (leaf || whole(p) || !value) return true;
  leaf = meta_alloc(sizeof(*leaf) * LEAF_SLOTS);
  if (leaf) set_root(p.root, leaf, false);
  return leaf;
}

static void enter(struct part p, map_slot value, struct solid *s) {
  map_leaf leaf = leaf_at(p.root);
  if (leaf && !is_solid[p.root]) {
    set_slots(leaf, p.from, p.to, value);
    return;
  }
  if (value) s->roots++;
  map_leaf now = value ? s->leaf : NULL;
  if (leaf)
    solid_leave(p.root, now, value);
  else
    set_root(p.root, now, value);
}

static void widen(uintptr_t first, uintptr_t last) {
  if (!high || first < low) low = first;
  if (last >= high) high = last + 1;
}

bool map_enter(const void *base, size_t bytes, map_slot value) {
  uintptr_t first = (uintptr_t)base >> MAP_SHIFT;
  uintptr_t last = ((uintptr_t)base + bytes - 1) >> MAP_SHIFT;
  if (last >= SLOTS) return false;
  if (value) widen(first, last);
  uintptr_t begin = first >> MAP_LEAF_BITS, end = last >> MAP_LEAF_BITS;
  bool any_whole = false;
  for (uintptr_t root = begin; root <= end; root++) {
    struct part p = part_of(root, first, last);
    if (!prepare(p, value)) return false;
    any_whole |= whole(p);
  }
  struct solid *s = value && any_whole ? solid_take(value) : NULL;
  if (value && any_whole && !s) return false;
  for (uintptr_t root = begin; root <= end; root++)
    enter(part_of(root, first, last), value, s);
  if (s && s->roots == 0) { /* each had a leaf of its own */
    s->next = spare;
    spare = s;
  }
  return true;
}

map_slot map_next_slot(uintptr_t *address) {
  uintptr_t i = *address >> MAP_SHIFT, end = high;
  if (i < low) i = low;
  while (i < end) {
    map_leaf leaf = leaf_at(i >> MAP_LEAF_BITS);
    if (!leaf) {
      i = (i | (LEAF_SLOTS - 1)) + 1;
      continue;
    }
    map_slot s = atomic_load_explicit(&leaf[i & (LEAF_SLOTS - 1)], memory_order_acquire);
    if (s) {
      *address = i << MAP_SHIFT;
      return s;
    }
    i++;
  }
  return 0;
}
