/* large.c - see large.h.
 *
 * A program that allocates and frees a big buffer in turn would pay for the kernel's
 * zeroing of every page each time. So freed blocks are kept for reuse (the cache, its
 * bytes counted as `cached` in the accounting identity) as long as retain.h lets them. A
 * block from the cache that is larger than what is asked for keeps the rest behind it, as
 * its reserve, which is cached memory all the same; one that is smaller is extended. Its
 * content is not zero.
 *
 * Map and mapping: an address range is entered in the map after it was mapped and cleared
 * before it is unmapped or moved away, for as soon as it is free the kernel may give it
 * to another thread, whose entry must not be lost.
 *
 * Mappings are few in a process (65,530 by default). Two blocks share one only if the
 * whole megabytes between them are mapped, which costs address space; so from MANY blocks
 * on that is what new ones do. */
#include "heap/large.h"

#include "base/count.h"
#include "base/meta.h"
#include "base/os.h"
#include "heap/arena.h"
#include "heap/map.h"
#include "heap/retain.h"
#include "heap/watch.h"

enum { CACHE_BLOCKS = 8, MANY = 16384 };

static struct large *all;     /* in use */
static struct large *retired; /* descriptors without a mapping */
static struct large *cache[CACHE_BLOCKS];
static _Atomic uint64_t count;

/* ---- descriptors (under the arena lock) ---------------------------------------- */

static struct large *descriptor_take(void) {
  struct large *l = retired;
  if (!l) return meta_alloc(sizeof *l);
  retired = l->next;
  return l;
}

static void descriptor_retire(struct large *l) {
  l->base = NULL;
  l->next = retired;
  retired = l;
}

static void link_in(struct large *l) {
  l->prev = NULL;
  l->next = all;
  if (all) all->prev = l;
  all = l;
  l->in_use = true;
  count++;
  WATCH(large_in(l));
}

static void link_out(struct large *l) {
  WATCH(large_out(l));
  if (l->next) l->next->prev = l->prev;
  if (l->prev)
    l->prev->next = l->next;
  else
    all = l->next;
  l->in_use = false;
  count--;
}

static void destroy(struct large *l) {
  char *base = l->base;
  size_t bytes = l->mapped;
  arena_lock();
  map_enter(base, bytes, 0);
  descriptor_retire(l);
  arena_unlock();
  os_unmap(base, bytes, OS_LARGE);
}

/* ---- the cache (under the arena lock) ------------------------------------------ */

static struct large *cache_take(int i) {
  struct large *l = cache[i];
  cache[i] = NULL;
  if (l) retain_take(l->mapped);
  return l;
}

/* The smallest that is large enough and at most twice as large; else the largest that is
 * smaller, to be extended: its pages need not be fetched again. */
static struct large *cache_find(size_t bytes) {
  int best = -1, below = -1;
  for (int i = 0; i < CACHE_BLOCKS; i++) {
    if (!cache[i]) continue;
    size_t size = cache[i]->mapped;
    if (size < bytes && (below < 0 || size > cache[below]->mapped)) below = i;
    if (size < bytes || size / 2 > bytes) continue;
    if (best < 0 || size < cache[best]->mapped) best = i;
  }
  if (best < 0 && below >= 0 && cache[below]->mapped >= bytes / 4) best = below;
  return best < 0 ? NULL : cache_take(best);
}

static int cache_smallest(void) {
  int smallest = -1;
  for (int i = 0; i < CACHE_BLOCKS; i++)
    if (cache[i] && (smallest < 0 || cache[i]->mapped < cache[smallest]->mapped))
      smallest = i;
  return smallest;
}

static int cache_slot(void) {
  for (int i = 0; i < CACHE_BLOCKS; i++)
    if (!cache[i]) return i;
  return -1;
}

static void cache_evict(int i, struct large **leave) {
  struct large *l = cache[i];
  cache[i] = NULL;
  retain_gave(l->mapped);
  l->next = *leave;
  *leave = l;
}

/* The smallest make room for l if it is larger: it can serve more. What has to leave, l
 * too perhaps, linked by `next`. */
static struct large *cache_insert(struct large *l) {
  struct large *leave = NULL;
  l->next = NULL;
  if (l->mapped > RETAIN_MOST) return l;
  int slot = cache_slot();
  if (slot < 0) cache_evict(slot = cache_smallest(), &leave);
  cache[slot] = l;
  retain_add(l->mapped);
  while (cache[slot] && retain_too_much(0))
    cache_evict(cache_smallest(), &leave);
  return leave;
}

/* ---- blocks -------------------------------------------------------------------- */

/* Under the arena lock: only the first `size` bytes are the block from now on. */
static void set_reserve(struct large *l, size_t size) {
  l->reserve = l->mapped - size;
  l->mapped = size;
  retain_add(l->reserve);
}

static void drop_reserve(struct large *l) {
  retain_take(l->reserve);
  l->mapped += l->reserve;
  l->reserve = 0;
}

static struct large *from_cache(size_t bytes) {
  arena_lock();
  struct large *l = cache_find(bytes);
  arena_unlock();
  if (!l) return NULL;
  if (l->mapped < bytes && !large_resize(l, bytes)) {
    destroy(l);
    return NULL;
  }
  arena_lock();
  l->zeroed = false;
  if (l->mapped > bytes) set_reserve(l, bytes);
  link_in(l);
  arena_unlock();
  return l;
}

/* A hint: no lock. */
static size_t mapping_size(size_t bytes) {
  size_t grain = count < MANY ? OS_PAGE : UL_ARENA_BYTES;
  return ((bytes ? bytes : 1) + grain - 1) & ~(grain - 1);
}

struct large *large_take(size_t bytes, size_t align) {
  size_t size = mapping_size(bytes);
  if (size < bytes || UNLIKELY(arena_is_interrupted())) return NULL;
  if (align < UL_ARENA_BYTES) align = UL_ARENA_BYTES;
  struct large *l = align == UL_ARENA_BYTES ? from_cache(size) : NULL;
  if (l) return l;
  char *base = os_map(size, align, OS_LARGE);
  if (!base) return NULL;
  arena_lock();
  l = descriptor_take();
  if (l && !map_enter(base, size, map_slot_of_large(l))) {
    descriptor_retire(l);
    l = NULL;
  }
  if (l) {
    l->base = base;
    l->mapped = size;
    l->zeroed = true;
    link_in(l);
    retain_fetched(size);
  }
  arena_unlock();
  if (!l) os_unmap(base, size, OS_LARGE);
  return l;
}

static void destroy_all(struct large *leave) {
  while (leave) {
    struct large *next = leave->next;
    destroy(leave);
    leave = next;
  }
}

void large_relieve(void) {
  struct large *leave = NULL;
  arena_lock();
  for (int i = 0; i < CACHE_BLOCKS && retain_too_much(0); i++)
    if (cache[i]) cache_evict(i, &leave);
  arena_unlock();
  destroy_all(leave);
}

void large_put(struct large *l) {
  if (UNLIKELY(arena_is_interrupted())) {
    fallback(UL_FB_LEFT);
    return;
  }
  arena_lock();
  link_out(l);
  drop_reserve(l);
  struct large *leave = cache_insert(l);
  arena_unlock();
  destroy_all(leave);
}

/* A block that is in the list, or just out of the cache. */
static void set_extent(struct large *l, size_t mapped) {
  l->mapped = mapped;
  if (l->in_use) WATCH(large_resized(l));
}

static bool clear_map(struct large *l, size_t from) {
  size_t kept = (from + UL_ARENA_BYTES - 1) & ~(size_t)(UL_ARENA_BYTES - 1);
  return l->mapped <= kept || map_enter(l->base + kept, l->mapped - kept, 0);
}

/* The reserve serves, or becomes part of the block. */
static void use_reserve(struct large *l, size_t size) {
  arena_lock();
  size_t old = l->mapped;
  drop_reserve(l);
  if (size > old && size < l->mapped) set_reserve(l, size);
  set_extent(l, l->mapped);
  arena_unlock();
}

/* Without memory for the map it stays as large as it is. */
static struct large *shrink(struct large *l, size_t size) {
  arena_lock();
  size_t old = l->mapped;
  bool cleared = clear_map(l, size);
  if (cleared) set_extent(l, size);
  arena_unlock();
  if (cleared) os_unmap(l->base + size, old - size, OS_LARGE);
  return l;
}

static bool grow_in_place(struct large *l, size_t size) {
  if (os_resize(l->base, l->mapped, size, OS_LARGE)) return false;
  arena_lock();
  bool entered = map_enter(l->base, size, map_slot_of_large(l));
  if (entered) set_extent(l, size);
  arena_unlock();
  if (!entered) os_unmap(l->base + l->mapped, size - l->mapped, OS_LARGE);
  return entered;
}

/* The whole mapping moves, into address space taken for it, and stays one mapping. Under
 * the lock, for map, descriptor and memory must agree whenever nobody holds it: the
 * kernel lets nobody else change the address space meanwhile anyway. */
static bool move_to(struct large *l, char *to, size_t size) {
  if (!map_enter(to, size, map_slot_of_large(l))) return false;
  map_enter(l->base, l->mapped, 0);
  if (os_move_over(l->base, l->mapped, to, size, OS_LARGE) == 0) {
    l->base = to;
    set_extent(l, size);
    return true;
  }
  map_enter(to, size, 0);
  map_enter(l->base, l->mapped, map_slot_of_large(l));
  return false;
}

static struct large *grow_elsewhere(struct large *l, size_t size) {
  char *to = os_map(size, UL_ARENA_BYTES, OS_LARGE);
  if (!to) return NULL;
  arena_lock();
  bool moved = move_to(l, to, size);
  arena_unlock();
  if (!moved) os_unmap(to, size, OS_LARGE);
  return moved ? l : NULL;
}

struct large *large_resize(struct large *l, size_t bytes) {
  size_t size = mapping_size(bytes);
  if (size < bytes) return NULL;
  if (size == l->mapped) return l;
  if (UNLIKELY(arena_is_interrupted())) return NULL;
  if (l->reserve) use_reserve(l, size);
  if (size == l->mapped) return l;
  if (size < l->mapped) return shrink(l, size);
  if (grow_in_place(l, size)) return l;
  return grow_elsewhere(l, size);
}

struct large *large_first(void) {
  return all;
}

struct large_totals large_totals(void) {
  struct large_totals t = {.larges = count};
  for (struct large *l = all; l; l = l->next) {
    t.mapped_bytes += l->mapped;
    /* A block that is just being resized may say more than it has. */
    t.requested_bytes += l->requested < l->mapped ? l->requested : l->mapped;
  }
  return t;
}

size_t large_trim(void) {
  size_t given = 0;
  for (int i = 0; i < CACHE_BLOCKS; i++) {
    arena_lock();
    struct large *l = cache_take(i);
    arena_unlock();
    if (!l) continue;
    given += l->mapped;
    destroy(l);
  }
  return given;
}

void large_raw_fork_child(void) {
  all = retired = NULL;
  for (int i = 0; i < CACHE_BLOCKS; i++)
    cache[i] = NULL;
}
