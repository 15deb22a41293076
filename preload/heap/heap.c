#include "heap/heap.h"

#include "base/lock.h"
#include "base/meta.h"
#include "base/os.h"
#include "base/say.h"
#include "heap/arena.h"
#include "heap/class.h"
#include "process/process.h"
#include "recording/recording.h"
#include "recording/table.h"

#include <string.h>

enum { ADOPTION_TRIES = 4 };
/* Before every so many new pools, what lies free in the heaps of ended threads is taken
 * in, so that a program whose workers come and go does not grow by what they left. */
enum { ORPHANS_EVERY = 64 };
static _Atomic unsigned refills;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the list, and owners */
static struct heap *_Atomic heaps;
static struct heap *next_candidate; /* for adoption: round robin */

/* ---- used pools ---------------------------------------------------------------- */

static void link_used(struct heap *h, struct pool *p) {
  p->prev = NULL;
  p->next = h->used[p->class];
  if (p->next) p->next->prev = p;
  h->used[p->class] = p;
}

static void unlink_used(struct heap *h, struct pool *p) {
  if (p->next) p->next->prev = p->prev;
  if (p->prev)
    p->prev->next = p->next;
  else
    h->used[p->class] = p->next;
}

void heap_pool_full(struct heap *h, struct pool *p) {
  unlink_used(h, p);
}
void heap_pool_has_room(struct heap *h, struct pool *p) {
  link_used(h, p);
}

/* The only pool of its class is kept while its arena is in use anyway, so that a
 * block allocated and freed in turn does not cost a pool each time. */
void heap_pool_empty(struct heap *h, struct pool *p) {
  bool only = h->used[p->class] == p && !p->next;
  if (only && arena_busy(h, p)) return;
  unlink_used(h, p);
  arena_give(h, p, unlink_used);
}

static void drain(struct heap *h) {
  if (!atomic_load_explicit(&h->remote, memory_order_relaxed)) return;
  struct block *b = atomic_exchange_explicit(&h->remote, NULL, memory_order_acquire);
  while (b) {
    struct block *next = b->next;
    heap_put(h, arena_pool(map_arena(map_lookup(b)), b), b);
    b = next;
  }
}

struct pool *heap_refill(struct heap *h, unsigned class) {
  process_check_fork();
  drain(h);
  if (h->used[class]) return h->used[class];
  if (++refills % ORPHANS_EVERY == 0) heap_trim_orphans();
  struct pool *p = arena_take(h, class, class_units(class));
  if (p) link_used(h, p);
  return p;
}

void *heap_take_span(struct heap *h, size_t bytes, struct spot *s) {
  process_check_fork();
  struct pool *p =
      arena_take(h, UL_SPAN, (unsigned)((bytes + UL_UNIT_BYTES - 1) / UL_UNIT_BYTES));
  if (!p) return NULL;
  p->live = 1;
  p->virgin = p->end;
  s->pool = p;
  return p->base;
}

void heap_put_span(struct heap *h, struct pool *p) {
  arena_give(h, p, unlink_used);
}

void heap_put_remote(struct pool *p, void *block) {
  struct block *b = block;
  _Atomic(struct block *) *remote = &p->heap->remote;
  b->next = atomic_load_explicit(remote, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(remote, &b->next, b, memory_order_release,
                                                memory_order_relaxed)) {
  }
}

void heap_trim(struct heap *h) {
  drain(h);
  for (unsigned class = 1; class < UL_CLASSES; class ++) {
    struct pool *p = h->used[class];
    while (p) {
      struct pool *next = p->next;
      if (p->live == 0) {
        unlink_used(h, p);
        arena_give(h, p, unlink_used);
        p = h->used[class]; /* the arena may have taken more along */
      } else {
        p = next;
      }
    }
  }
}

/* ---- owners -------------------------------------------------------------------- */

static struct heap *adopt(struct heap *h, int tid) {
  atomic_store_explicit(&h->tid, tid, memory_order_relaxed);
  memset(h->recent, 0, sizeof h->recent);
  recording_heap_owner(h, tid);
  return h;
}

/* A heap with the caller's own tid has lost its owner for certain: thread ids
 * are unique among the living. */
static struct heap *find_own(int tid) {
  for (struct heap *h = heaps; h; h = h->next)
    if (h->tid == tid && !h->quarantined) return h;
  return NULL;
}

static struct heap *find_orphan(void) {
  for (int tries = 0; tries < ADOPTION_TRIES; tries++) {
    struct heap *h = next_candidate ? next_candidate : heaps;
    if (!h) return NULL;
    next_candidate = h->next;
    if (!h->quarantined && !os_thread_alive(h->tid)) return h;
  }
  return NULL;
}

static struct heap *make(int tid) {
  struct heap *h = meta_alloc(sizeof *h);
  if (!h) return NULL;
  h->index = recording_heap_new(tid);
  h->floor = INT64_MIN;
  atomic_store_explicit(&h->tid, tid, memory_order_relaxed);
  h->next = heaps;
  atomic_store_explicit(&heaps, h, memory_order_release);
  return h;
}

struct heap *heap_acquire(void) {
  process_begin();
  process_check_fork();
  if (thread_state.heap) return thread_state.heap;
  int tid = os_tid();
  lock_take(&lock);
  struct heap *h = find_own(tid);
  if (!h) h = find_orphan();
  h = h ? adopt(h, tid) : make(tid);
  lock_give(&lock);
  thread_state.heap = h;
  return h;
}

void heap_trim_orphans(void) {
  lock_take(&lock);
  for (struct heap *h = heaps; h; h = h->next)
    if (!h->quarantined && h != thread_state.heap && !os_thread_alive(h->tid))
      heap_trim(h);
  lock_give(&lock);
}

struct heap *heap_first(void) {
  return atomic_load_explicit(&heaps, memory_order_acquire);
}

struct heap_totals heap_totals(void) {
  struct heap_totals t = {0};
  for (struct heap *h = heap_first(); h; h = h->next) {
    t.live_bytes += atomic_load_explicit(&h->live_bytes, memory_order_relaxed);
    t.live_blocks += atomic_load_explicit(&h->live_blocks, memory_order_relaxed);
    t.usable_bytes += atomic_load_explicit(&h->usable_bytes, memory_order_relaxed);
    t.tail_bytes += h->tail_bytes;
    t.heaps++;
  }
  return t;
}

/* ---- invariants ---------------------------------------------------------------- */

static uint32_t list_length(const struct pool *p) {
  uint32_t n = 0;
  for (const struct block *b = p->free; b; b = b->next) {
    size_t offset = (size_t)((const char *)b - p->base);
    invariant(offset < p->virgin && offset % p->size == 0, "free block lies in its pool");
    invariant(++n <= p->end / p->size, "free list is not a cycle");
    if (p->entries)
      invariant(!p->entries[offset / p->size], "free block has no ledger entry");
  }
  return n;
}

static uint32_t entries_in(const struct pool *p) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->end / p->size; i++)
    n += p->entries[i] != 0;
  return n;
}

static void check_pool(struct heap *h, struct pool *p) {
  uint32_t free_blocks = list_length(p), capacity = p->end / p->size;
  uint32_t virgin = (p->end - p->virgin) / p->size;
  invariant(p->live + free_blocks + virgin == capacity,
            "live + free + virgin == capacity");
  if (p->entries && process_recording())
    invariant(entries_in(p) <= p->live, "ledger entries <= live blocks");
  bool linked = false;
  for (struct pool *q = h->used[p->class]; q; q = q->next)
    linked |= q == p;
  invariant(linked == (p->class != UL_SPAN && free_blocks + virgin > 0),
            "used pools are those with free blocks");
}

void heap_check(struct heap *h) {
  uint64_t bytes = 0, tail = 0;
  for (struct arena *a = arena_first(); a; a = arena_next(a)) {
    for (unsigned unit = 0; unit < UL_UNITS; unit++) {
      struct pool *p = &a->pools[unit];
      if (a->free_units >> unit & 1 || a->head[unit] != unit || p->heap != h) continue;
      check_pool(h, p);
      bytes += p->units * UL_UNIT_BYTES;
      tail += p->units * UL_UNIT_BYTES - p->end;
    }
  }
  invariant(bytes == h->pool_bytes, "a heap's pool bytes");
  invariant(tail == h->tail_bytes, "a heap's tail bytes");
}

/* ---- fork ---------------------------------------------------------------------- */

void heap_fork_prepare(void) {
  lock_take(&lock);
}
void heap_fork_parent(void) {
  lock_give(&lock);
}

void heap_fork_child(void) {
  lock_renew(&lock);
  next_candidate = NULL;
  struct heap *mine = thread_state.heap;
  for (struct heap *h = heaps; h; h = h->next) {
    if (h == mine || h->quarantined) continue;
    atomic_store(&h->quarantined, true);
    recording_heap_quarantined(h);
    fallback(UL_FB_QUARANTINED);
  }
  if (mine) atomic_store(&mine->tid, os_tid());
}
