/* heap.h - a thread's heap: allocation and freeing of blocks in pools.
 *
 * Only the owner works on a heap. Another thread's free pushes the block on the
 * heap's remote stack (one CAS); the owner drains it when it runs out of blocks
 * of a class. A heap whose owner has died is adopted, whole, by the next thread
 * that needs one. In a forked child the heaps of the threads that are not there
 * are quarantined: never drained, never adopted. */
#ifndef ULLAGE_HEAP_H
#define ULLAGE_HEAP_H

#include "base/thread.h"
#include "heap/map.h"
#include "heap/types.h"
#include "ledger/ledger.h"

/* The calling thread's heap, made or adopted if need be; NULL: no memory. */
struct heap *heap_acquire(void);
static inline struct heap *heap_mine(void) {
  struct heap *h = thread_state.heap;
  return LIKELY(h) ? h : heap_acquire();
}

/* A used pool of the class, after draining, or a new one; NULL: no memory. */
struct pool *heap_refill(struct heap *h, unsigned class);
void heap_pool_full(struct heap *h, struct pool *p);     /* leaves used[] */
void heap_pool_has_room(struct heap *h, struct pool *p); /* was full: joins used[] */
void heap_pool_empty(struct heap *h, struct pool *p);    /* live became 0 */

/* A block of the class (not UL_SPAN). */
static inline void *heap_take(struct heap *h, unsigned class, struct spot *s) {
  struct pool *p = h->used[class];
  if (UNLIKELY(!p)) {
    p = heap_refill(h, class);
    if (!p) return NULL;
  }
  struct block *b = p->free;
  if (LIKELY(b)) {
    p->free = b->next;
  } else {
    b = (struct block *)(p->base + p->virgin);
    p->virgin += p->size;
  }
  p->live++;
  if (UNLIKELY(!p->free && p->virgin == p->end)) heap_pool_full(h, p);
  s->pool = p;
  return b;
}

/* Back to a pool of h, the calling thread's own. */
static inline void heap_put(struct heap *h, struct pool *p, void *block) {
  struct block *b = block;
  bool was_full = !p->free && p->virgin == p->end;
  b->next = p->free;
  p->free = b;
  p->live--;
  if (UNLIKELY(was_full)) heap_pool_has_room(h, p);
  if (UNLIKELY(p->live == 0)) heap_pool_empty(h, p);
}

void *heap_take_span(struct heap *h, size_t bytes, struct spot *s);
/* A span has one block, so whoever frees it holds the whole pool: there is no need to
 * send it home. h is the calling thread's heap. */
void heap_put_span(struct heap *h, struct pool *p);

/* Give a block back to the heap that owns its pool. */
void heap_put_remote(struct pool *p, void *block);

/* Empty spare pools of the calling thread's heap go back to their arenas. */
void heap_trim(struct heap *h);

/* The same for the heaps whose threads have ended; first takes in what others have freed
 * there. */
void heap_trim_orphans(void);

struct heap *heap_first(void); /* all heaps, newest first; the list only grows */
/* Sums over all heaps; exact when no other thread is allocating. */
struct heap_totals {
  int64_t live_bytes, live_blocks, usable_bytes;
  uint64_t tail_bytes;
  unsigned heaps;
};
struct heap_totals heap_totals(void);
/* Aborts with a line if an invariant of h (the calling thread's) does not hold. */
void heap_check(struct heap *h);

void heap_fork_prepare(void);
void heap_fork_parent(void);
void heap_fork_child(void); /* also for the child of a raw clone */
#endif
