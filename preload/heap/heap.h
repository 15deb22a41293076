/* heap.h - a thread's heap: allocation and freeing of blocks in pools.
 *
 * Only the owner works on a heap, without atomics. Another thread's free pushes the block
 * on the heap's remote stack (one CAS); the owner drains it when it runs out of blocks of
 * a class. When much lies there and the owner does not come, somebody else takes the heap
 * over for a moment and drains it (heap.c). A heap whose owner has died is adopted,
 * whole, by the next thread that needs one. In a forked child the heaps of the threads
 * that are not there are quarantined: never drained, never adopted. */
#ifndef ULLAGE_HEAP_H
#define ULLAGE_HEAP_H

#include "base/hidden.h"
#include "base/thread.h"
#include "heap/magazine.h"
#include "heap/map.h"
#include "heap/outbox.h"
#include "heap/types.h"

/* The calling thread's heap, made or adopted if need be; NULL: no memory. */
struct heap *heap_acquire(void);
static inline struct heap *heap_mine(void) {
  struct heap *h = thread_state.heap;
  return LIKELY(h) ? h : heap_acquire();
}

/* A used pool that serves the class, after draining, or a new one; its blocks may be
 * larger (class_shared). NULL: no memory. Inside. */
struct pool *heap_refill(struct heap *h, unsigned class);
void heap_pool_full(struct heap *h, struct pool *p);     /* leaves used[] */
void heap_pool_has_room(struct heap *h, struct pool *p); /* was full: joins used[] */
void heap_pool_empty(struct heap *h, struct pool *p);    /* live became 0 */

/* The owner's work on its pools lies between these two: while `inside` nobody takes the
 * heap over. They nest, for a signal handler may come between. */
void heap_wait(void);
static inline uint32_t heap_enter(struct heap *h) {
  uint32_t was = atomic_load_explicit(&h->inside, memory_order_relaxed);
  atomic_store_explicit(&h->inside, 1, memory_order_relaxed);
  atomic_signal_fence(memory_order_seq_cst); /* whoever takes over makes the real one */
  if (UNLIKELY(atomic_load_explicit(&h->taken, memory_order_acquire))) heap_wait();
  return was;
}
/* The same for who can do without, and calls nothing: false, if somebody has. */
static inline bool heap_try_enter(struct heap *h, uint32_t *was) {
  *was = atomic_load_explicit(&h->inside, memory_order_relaxed);
  atomic_store_explicit(&h->inside, 1, memory_order_relaxed);
  atomic_signal_fence(memory_order_seq_cst);
  if (LIKELY(!atomic_load_explicit(&h->taken, memory_order_acquire))) return true;
  atomic_store_explicit(&h->inside, *was, memory_order_release);
  return false;
}
static inline void heap_leave(struct heap *h, uint32_t was) {
  atomic_store_explicit(&h->inside, was, memory_order_release);
}

/* The number of the block there; its start is at pool base + number * size. */
static inline uint32_t pool_index(const struct pool *p, const void *block) {
  uint64_t offset = (uint64_t)((const char *)block - p->base);
  return (uint32_t)(offset * p->recip >> 32);
}
static inline bool pool_is_full(const struct pool *p) {
  return !p->free && p->carved == p->capacity;
}

/* A block of a pool that is not full; it may be now. Inside. */
static inline void *heap_take_inside(struct pool *p, bool *zeroed) {
  struct block *b = p->free;
  if (LIKELY(b)) {
    p->free = b->next;
    b->next = NULL; /* or it would be a pointer in a block that nobody writes */
    *zeroed = false;
  } else {
    b = (struct block *)(p->base + (size_t)p->carved * p->size);
    __atomic_store_n(&p->carved, p->carved + 1, __ATOMIC_RELAXED); /* heap_spot */
    *zeroed = p->zeroed;
    if (UNLIKELY(!p->zeroed)) b->next = NULL;
  }
  p->live++;
  return b;
}

/* A block of the class (not UL_SPAN). *zeroed: it reads as zeros. */
static inline void *heap_take(struct heap *h, unsigned class, struct spot *s,
                              bool *zeroed);
/* The same past its magazine. */
static inline void *heap_take_pooled(struct heap *h, unsigned class, struct spot *s,
                                     bool *zeroed) {
  uint32_t was = heap_enter(h);
  struct pool *p = h->used[class];
  if (UNLIKELY(!p)) {
    p = heap_refill(h, class);
    if (!p) {
      heap_leave(h, was);
      return NULL;
    }
  }
  hidden block = hide(heap_take_inside(p, zeroed));
  if (UNLIKELY(pool_is_full(p))) heap_pool_full(h, p);
  heap_leave(h, was);
  s->pool = p;
  return reveal(block);
}

static inline void pool_push(struct pool *p, void *block) {
  struct block *b = block;
  b->next = p->free;
  p->free = b;
  p->live--;
}

/* Inside, or by who has taken the heap over. */
static inline void heap_put_inside(struct heap *h, struct pool *p, void *block) {
  bool was_full = pool_is_full(p);
  pool_push(p, block);
  if (UNLIKELY(was_full)) heap_pool_has_room(h, p);
  if (UNLIKELY(p->live == 0)) heap_pool_empty(h, p);
}

/* Back to a pool of h, the calling thread's own. */
static inline void heap_put(struct heap *h, struct pool *p, void *block) {
  uint32_t was = heap_enter(h);
  heap_put_inside(h, p, block);
  heap_leave(h, was);
}

/* A pool that its heap has unlinked, or a span: back to its arena. */
void heap_give(struct pool *p);
/* Give blocks back to the heap that owns their pools: linked from the first to the last,
 * `bytes` together. */
void heap_send(struct heap *h, struct block *first, struct block *last, uint64_t bytes);

/* ---- any block, by its size: the one place that knows class, span and large ------- */

/* A block of at least `bytes` bytes, aligned to `align` (a power of two, or 0) and to 16;
 * NULL: no memory. *zeroed: it reads as zeros. */
void *heap_take_wide(struct heap *h, size_t bytes, size_t align, struct spot *s,
                     bool *zeroed);
static inline void *heap_take_any(struct heap *h, size_t bytes, size_t align,
                                  struct spot *s, bool *zeroed);
/* Where the block lies; {NULL, NULL}: not the start of a block that can be in use. */
static inline struct spot heap_spot(const void *p, map_slot slot);
/* Of what heap_spot does not know, and map_lookup perhaps not either: is it memory that
 * was given back, so that a block may have been there? */
bool heap_gave_back(const void *p, map_slot slot);
static inline void heap_put_any(struct heap *h, struct spot s, void *p);
/* The same of one in a pool, for the magazine if it can be; where its entry is, or NULL.
 */
static inline void heap_keep(struct heap *h, struct pool *p, hidden block,
                             uint64_t *entry);
/* Bytes that the block can hold. */
static inline size_t heap_usable(struct spot s);

/* What realloc to `bytes` does with a block. */
enum heap_resizing {
  HEAP_STAYS,   /* it is large enough, and not much too large */
  HEAP_RESIZES, /* heap_resize can change it */
  HEAP_MOVES    /* another block must be taken */
};
enum heap_resizing heap_resizing(struct spot s, size_t bytes);
/* Change the extent of a span or a large block without copying; a large block may move,
 * with its content. *s and the result say where it is then. NULL: cannot be done, nothing
 * has changed. */
void *heap_resize(struct spot *s, size_t bytes);

/* Free memory of all heaps that nobody is inside of goes back to their arenas; first the
 * calling thread's. */
void heap_trim_all(struct heap *mine);

/* How many magazines a heap may have. */
unsigned heap_magazines_most(void);

struct heap *heap_first(void); /* all heaps, newest first; the list only grows */
/* Aborts with a line if an invariant of h (the calling thread's) does not hold. Inside,
 * and under the arena lock. */
void heap_check(struct heap *h);

void heap_fork_prepare(void);
void heap_fork_parent(void);
void heap_fork_child(void); /* also for the child of a raw clone */

#include "heap/heap_inline.h"
#endif
