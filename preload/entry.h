/* entry.h - what the exported functions share: a block comes from a heap or goes back to
 * one, and the ledger is told.
 *
 * One way does all of it and is the rule. Most mallocs and frees take a shorter one, on
 * which the block comes from a pool or goes to one, and nothing else is due; what is
 * not so goes on by a jump to the long one. They do nothing that it would not do, save no
 * errno and call nothing, so they need no frame:
 *
 *     full      the stack is the one that was walked last (this one calls the clock);
 *               an allocation from another stack joins it when its site is known
 *     sampled   the block needs no stack, and its bytes were granted (sample.h)
 *     off       nothing is recorded: no instruction of the profiler but the question
 *
 * With guarded blocks (guard.h) all go the long way: no walk that is kept leads to a
 * counter, and each free is watched.
 *
 * Every entry point is built with a frame pointer and hands on where it was entered: that
 * is where the walk of the stack begins. */
#ifndef ULLAGE_ENTRY_H
#define ULLAGE_ENTRY_H

#include "account/snapshot.h"
#include "base/hidden.h"
#include "base/next.h"
#include "heap/heap.h"
#include "heap/map.h"
#include "ledger/guard.h"
#include "ledger/ledger.h"
#include "ledger/misuse.h"
#include "ledger/sample.h"
#include "ledger/site.h"
#include "process/fork.h"
#include "process/process.h"
#include "recording/recording.h"
#include "recording/table.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
INLINE struct entrance entry_entrance(const uint64_t *frame) {
  return (struct entrance){(uint64_t)(frame + 2), frame[0]};
}
#define FRAME ((const uint64_t *)__builtin_frame_address(0))
#define HERE entry_entrance(FRAME)

/* ---- the calling thread's heap ------------------------------------------------- */

/* A thread's first call. */
struct heap *entry_first(void);

/* Before any lock: the child of a raw clone learns here what it is. Its guard page reads
 * 0, so it does not look as if it recorded. NULL: no memory. */
INLINE struct heap *entry_heap(void) {
  if (UNLIKELY(process_epoch() == EPOCH_UNKNOWN)) fork_check();
  struct heap *h = thread_state.heap;
  return LIKELY(h) ? h : entry_first();
}

/* ---- allocate ------------------------------------------------------------------ */

void entry_record(struct heap *h, struct spot s, hidden block, size_t size,
                  enum ul_family family, uint32_t site);

/* Where to enter an allocation in the ledger; UL_SITE_NONE: it is not recorded. */
INLINE uint32_t entry_site(struct heap *h, struct entrance e, enum site_kind kind) {
  if (UNLIKELY(!process_recording())) return UL_SITE_NONE;
  if (LIKELY(process_started()) || thread_state.busy || process_start_early(e))
    return process_recording() ? site_capture(h, e, kind) : UL_SITE_NONE;
  fallback(UL_FB_EARLY);
  return UL_SITE_EARLY;
}

INLINE bool entry_samples(void) {
  return UNLIKELY(sample_bytes != 0) && process_recording() && !thread_state.busy;
}

/* The same for an allocation of that size, which may be one without a stack. */
INLINE uint32_t entry_site_of(struct heap *h, size_t size, struct entrance e) {
  if (!entry_samples()) return entry_site(h, e, SITE_EXACT);
  if (UNLIKELY(sample_is_loader(entrance_ip(e)))) return UL_SITE_LOADER;
  return sample_passes(h, size) ? sample_site : entry_site(h, e, SITE_OF_SAMPLES);
}

enum entry_zero { AS_IT_IS, ZEROED };
/* Above PTRDIFF_MAX glibc refuses, so that pointer differences stay defined. */
void *entry_allocate(size_t size, size_t align, enum ul_family family,
                     enum entry_zero zero, struct entrance e);
/* The same by h, which there is, when the site is known; UL_SITE_NONE: it is not
 * recorded. */
void *entry_allocate_at(struct heap *h, size_t size, size_t align, enum ul_family family,
                        enum entry_zero zero, uint32_t site);
/* The same when the counter is, too: the fast way for what fits a pool. */
void *entry_allocate_again(struct heap *h, size_t size, enum ul_family family,
                           struct site_again again);
void *entry_zeroed_again(struct heap *h, size_t size, enum ul_family family,
                         struct site_again again);

INLINE void *entry_allocate_known(struct heap *h, size_t size, enum ul_family family,
                                  enum entry_zero zero, struct site_again known) {
  return zero == ZEROED ? entry_zeroed_again(h, size, family, known)
                        : entry_allocate_again(h, size, family, known);
}

/* UL_SPAN, which has neither magazine nor used pools: the size is none of a pool's
 * blocks, or 0. */
INLINE unsigned entry_class(size_t size) {
  if (LIKELY(size <= CLASS_STEPS_MAX)) return (unsigned)class_of_steps(size);
  return LIKELY(size <= UL_MEDIUM_MAX) ? class_of(size) : UL_SPAN;
}

/* The block was the last that its pool had. */
void *entry_last_of_pool(struct heap *h, struct pool *p, hidden block, uint32_t inside);

/* A block that nobody looks at: without a stack, as much as was granted, or (`sample` is
 * NULL) nothing is recorded; else NULL, and nothing is done. */
struct entry_quick {
  struct pool *pool;
  void *block;
  uint32_t inside;
  bool zeroed;
};
INLINE struct entry_quick entry_take(struct heap *h, size_t size, enum ul_family family,
                                     struct sample *sample) {
  struct entry_quick q = {0};
  unsigned class = entry_class(size);
  if (UNLIKELY(magazine_is_shut(h, class) || !heap_try_enter(h, &q.inside))) return q;
  struct pool *p = h->used[class]; /* nobody else's, now */
  if (UNLIKELY(!p) ||
      (sample && UNLIKELY(!p->entries || !sample_use(&sample->left, size)))) {
    heap_leave(h, q.inside);
    return q;
  }
  q.pool = p;
  q.block = heap_take_inside(p, &q.zeroed);
  if (sample)
    ledger_enter_quickly(sample, h, &p->entries[pool_index(p, q.block)], p->size, size,
                         family);
  return q;
}

/* The same from the magazine; NULL: none. */
INLINE void *entry_take_round(struct heap *h, size_t size, enum ul_family family,
                              struct sample *sample) {
  unsigned class = entry_class(size);
  struct round *top = magazine_top(h, class);
  void *block = top->block;
  if (UNLIKELY(!block)) return NULL;
  if (sample && (UNLIKELY(!top->entry) || UNLIKELY(!sample_use(&sample->left, size))))
    return NULL;
  magazine_pop(h, class, top);
  if (sample)
    ledger_enter_quickly(sample, h, top->entry, class_bytes(class), size, family);
  return block;
}

INLINE void *entry_finish(struct heap *h, struct entry_quick q, size_t size,
                          enum entry_zero zero) {
  bool wipe = zero == ZEROED && !q.zeroed;
  if (UNLIKELY(pool_is_full(q.pool))) {
    q.block = entry_last_of_pool(h, q.pool, hide(q.block), q.inside);
    return wipe ? memset(q.block, 0, size) : q.block;
  }
  heap_leave(h, q.inside);
  return wipe ? memset(q.block, 0, size) : q.block;
}

INLINE void *entry_allocate_quickly(struct heap *h, size_t size, enum ul_family family,
                                    enum entry_zero zero, struct sample *sample,
                                    const uint64_t *frame) {
  void *block = entry_take_round(h, size, family, sample);
  if (LIKELY(block != NULL)) return zero == ZEROED ? memset(block, 0, size) : block;
  struct entry_quick q = entry_take(h, size, family, sample);
  return LIKELY(q.pool != NULL)
             ? entry_finish(h, q, size, zero)
             : entry_allocate(size, 0, family, zero, entry_entrance(frame));
}

/* Where each stack is looked up: apart, so that the others need fewer registers. h, the
 * thread's heap, may be NULL. */
void *entry_allocate_at_stack(struct heap *h, size_t size, enum ul_family family,
                              struct entrance e, uint32_t epoch);
void *entry_zeroed_at_stack(struct heap *h, size_t size, enum ul_family family,
                            struct entrance e, uint32_t epoch);

/* `frame` is the entry point's: what only other ways need is read there. */
INLINE void *entry_allocate_small(size_t size, enum ul_family family,
                                  enum entry_zero zero, const uint64_t *frame) {
  struct heap *h = thread_state.quick;
  uint32_t epoch = process_epoch();
  if (h && LIKELY(book_of(h)->sample.epoch == epoch) &&
      LIKELY(!sample_is_loader(frame[1])))
    return entry_allocate_quickly(h, size, family, zero, &book_of(h)->sample, frame);
  h = thread_state.heap;
  if (epoch == EPOCH_IDLE && LIKELY(h))
    return entry_allocate_quickly(h, size, family, zero, NULL, frame);
  struct entrance e = entry_entrance(frame);
  return zero == ZEROED ? entry_zeroed_at_stack(h, size, family, e, epoch)
                        : entry_allocate_at_stack(h, size, family, e, epoch);
}

/* ---- free ---------------------------------------------------------------------- */

/* The block is about to be freed: out of the ledger. false: it was freed before. */
bool entry_unrecord(struct heap *h, struct spot s, void *p);

/* free and realloc. Not by these names: the program may have its own, in front of ours.
 */
void entry_free(void *p);
void *entry_realloc(void *p, size_t size, struct entrance e);
/* The free that is in front: the program's, or entry_free. */
void entry_free_first(void *p);
/* While frees are watched: by which family, and of which size (SIZE_MAX: not told). */
void entry_free_watched(void *p, enum ul_family family, size_t size, struct entrance e);

/* ---- a program in front ---------------------------------------------------------
 *
 * A program that defines malloc, free, calloc and realloc itself (bash does) need not
 * define the rest of the family, which then is ours. But what belongs together comes from
 * one allocator: its free gets the blocks. So all the rest does what it would do without
 * us: by the program's own functions where the real one calls them (reallocarray, new,
 * delete), and else as the next one does it. Its functions may in turn call those behind
 * them (RTLD_NEXT, __libc_malloc), so these names stay an allocator. */

/* The loaded object that an address lies in, or NULL. */
struct link_map;
const struct link_map *entry_object(const void *address);

/* Is that address ours by a stub of the program's? */
bool entry_is_stub(void *function);
/* Is that free another's, or ours by a stub of the program's? */
bool entry_is_another(void (*first)(void *));

/* `free` is what the loader finds first; ours is entry_free by another name, which a
 * compiler may not believe. */
INLINE bool entry_program_in_front(void) {
  void (*first)(void *) = free;
  __asm__("" : "+r"(first));
  return UNLIKELY(first != entry_free) && entry_is_another(first);
}

INLINE void entry_free_as(void *p, enum ul_family family, size_t size,
                          const uint64_t *frame) {
  if (UNLIKELY(process_watches_frees()) && p && !entry_program_in_front())
    entry_free_watched(p, family, size, entry_entrance(frame));
  else
    entry_free_first(p);
}
#endif
