/* large.c - see large.h.
 *
 * A program that allocates and frees a big buffer in turn would pay for the
 * kernel's zeroing of every page each time. glibc avoids it by raising its mmap
 * threshold; we keep the last few freed blocks of moderate size (the cache, its
 * bytes counted as `cached` in the accounting identity). A block from the cache
 * is cut or extended to the size asked for, and its content is not zero. */
#include "heap/large.h"

#include "base/meta.h"
#include "base/os.h"
#include "heap/arena.h"
#include "heap/map.h"
#include "ledger/ledger.h"
#include "recording/recording.h"

enum { PAGE = 4096, CACHE_BLOCKS = 4 };
#define CACHE_BLOCK_MAX ((size_t)8 << 20)

static struct large *all;     /* in use */
static struct large *retired; /* descriptors without a mapping */
static struct large *cache[CACHE_BLOCKS];
static unsigned cache_next; /* the slot that is evicted next */
static uint64_t count;

static size_t whole_pages(size_t bytes) {
  return (bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
}

/* ---- descriptors (under the arena lock) ---------------------------------------- */

static struct large *descriptor_take(void) {
  struct large *l = retired;
  if (l) {
    retired = l->next;
    return l;
  }
  l = meta_alloc(sizeof *l);
  if (l) l->record = ledger_large_record();
  return l;
}

static void descriptor_retire(struct large *l) {
  l->base = NULL;
  l->next = retired;
  retired = l;
}

/* After its stop the recording shows the heap of that moment. */
static struct ul_large *record_of(const struct large *l) {
  return recording_stopped() ? NULL : l->record;
}

static void publish(struct large *l) {
  struct ul_large *r = record_of(l);
  if (!r) return;
  r->entry = 0;
  r->mapped_bytes = l->mapped;
  r->requested_bytes = 0;
  __atomic_store_n(&r->base, (uint64_t)(uintptr_t)l->base, __ATOMIC_RELEASE);
}

static void link_in(struct large *l) {
  l->prev = NULL;
  l->next = all;
  if (all) all->prev = l;
  all = l;
  l->in_use = true;
  count++;
  publish(l);
}

static void link_out(struct large *l) {
  if (l->next) l->next->prev = l->prev;
  if (l->prev)
    l->prev->next = l->next;
  else
    all = l->next;
  l->in_use = false;
  count--;
  if (record_of(l)) l->record->base = 0;
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

/* ---- the cache ----------------------------------------------------------------- */

/* Best fit; never more than twice what is asked for. */
static struct large *cache_find(size_t bytes) {
  int best = -1;
  for (int i = 0; i < CACHE_BLOCKS; i++) {
    if (!cache[i] || cache[i]->mapped < bytes || cache[i]->mapped / 2 > bytes) continue;
    if (best < 0 || cache[i]->mapped < cache[best]->mapped) best = i;
  }
  if (best < 0) return NULL;
  struct large *l = cache[best];
  cache[best] = NULL;
  return l;
}

/* The block that has to leave for l, NULL if there was room. */
static struct large *cache_insert(struct large *l) {
  for (int i = 0; i < CACHE_BLOCKS; i++) {
    if (cache[i]) continue;
    cache[i] = l;
    return NULL;
  }
  unsigned slot = cache_next++ % CACHE_BLOCKS;
  struct large *evicted = cache[slot];
  cache[slot] = l;
  return evicted;
}

/* ---- blocks -------------------------------------------------------------------- */

static struct large *from_cache(size_t bytes) {
  arena_lock();
  struct large *l = cache_find(bytes);
  if (l) link_in(l);
  arena_unlock();
  if (!l) return NULL;
  l->zeroed = false;
  if (l->mapped == bytes) return l;
  struct large *cut = large_resize(l, bytes);
  return cut ? cut : l;
}

struct large *large_take(size_t bytes, size_t align) {
  size_t size = whole_pages(bytes ? bytes : 1);
  if (size < bytes) return NULL;
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
  }
  arena_unlock();
  if (!l) os_unmap(base, size, OS_LARGE);
  return l;
}

void large_put(struct large *l) {
  struct large *evicted = l;
  arena_lock();
  link_out(l);
  if (l->mapped <= CACHE_BLOCK_MAX) evicted = cache_insert(l);
  arena_unlock();
  if (evicted) destroy(evicted);
}

static void set_extent(struct large *l, size_t mapped) {
  l->mapped = mapped;
  if (record_of(l)) l->record->mapped_bytes = mapped;
}

static struct large *shrink(struct large *l, size_t size) {
  arena_lock();
  size_t kept = (size + UL_ARENA_BYTES - 1) & ~(size_t)(UL_ARENA_BYTES - 1);
  if (l->mapped > kept) map_enter(l->base + kept, l->mapped - kept, 0);
  size_t old = l->mapped;
  set_extent(l, size);
  arena_unlock();
  os_unmap(l->base + size, old - size, OS_LARGE);
  return l;
}

static bool grow_in_place(struct large *l, size_t size) {
  if (!os_resize(l->base, l->mapped, size, OS_LARGE)) return false;
  arena_lock();
  bool entered = map_enter(l->base, size, map_slot_of_large(l));
  if (entered) set_extent(l, size);
  arena_unlock();
  if (!entered) os_unmap(l->base + l->mapped, size - l->mapped, OS_LARGE);
  return entered;
}

static struct large *grow_elsewhere(struct large *l, size_t size) {
  struct large *fresh = large_take(size, UL_ARENA_BYTES);
  if (!fresh) return NULL;
  if (!os_move_over(l->base, fresh->base, l->mapped, OS_LARGE)) {
    large_put(fresh);
    return NULL;
  }
  arena_lock();
  map_enter(l->base, l->mapped, 0);
  link_out(l);
  descriptor_retire(l);
  arena_unlock();
  return fresh;
}

struct large *large_resize(struct large *l, size_t bytes) {
  size_t size = whole_pages(bytes);
  if (size < bytes) return NULL;
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
    uint64_t requested = l->record ? l->record->requested_bytes : 0;
    t.requested_bytes += requested < l->mapped ? requested : l->mapped;
  }
  return t;
}

size_t large_trim(void) {
  size_t given = 0;
  for (int i = 0; i < CACHE_BLOCKS; i++) {
    arena_lock();
    struct large *l = cache[i];
    cache[i] = NULL;
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
