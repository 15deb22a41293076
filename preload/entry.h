/* entry.h - what the exported functions share: a block comes from a heap or goes back to
 * one, and the ledger is told.
 *
 * Two ways. The fast one is what most mallocs and frees do: the stack is the one that was
 * walked last, the block comes from a pool or goes to one, nothing else is due. It calls
 * nothing but the clock, saves no errno, and looks up the entry, size and site once.
 * Whatever is not so goes on by a jump to the other, which does all of it and is the
 * rule: the fast one does nothing that the other would not do. An allocation from another
 * stack joins it again when its site is known.
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
#include "ledger/ledger.h"
#include "ledger/misuse.h"
#include "ledger/sample.h"
#include "ledger/site.h"
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
#define HERE entry_entrance(__builtin_frame_address(0))

/* ---- the calling thread's heap ------------------------------------------------- */

/* A thread's first call. */
struct heap *entry_first(void);

/* Before any lock: the child of a raw clone learns here what it is. Its guard page reads
 * 0, so it does not look as if it recorded. NULL: no memory. */
INLINE struct heap *entry_heap(void) {
  if (UNLIKELY(!process_recording()) && UNLIKELY(!process_guard->alive))
    process_check_fork();
  struct heap *h = thread_state.heap;
  return LIKELY(h) ? h : entry_first();
}

/* ---- allocate ------------------------------------------------------------------ */

void entry_record(struct heap *h, struct spot s, hidden block, size_t size,
                  enum ul_family family, uint32_t site);

/* Where to enter an allocation in the ledger; UL_SITE_NONE: it is not recorded. */
INLINE uint32_t entry_site(struct heap *h, struct entrance e) {
  if (UNLIKELY(!process_recording())) return UL_SITE_NONE;
  if (LIKELY(process_started()) || thread_state.busy || process_start_early(e))
    return process_recording() ? site_capture(h, e) : UL_SITE_NONE;
  fallback(UL_FB_EARLY);
  return UL_SITE_EARLY;
}

INLINE bool entry_samples(void) {
  return UNLIKELY(sample_bytes) && process_recording() && !thread_state.busy;
}

/* The same for an allocation of that size, which may be one without a stack. */
INLINE uint32_t entry_site_of(struct heap *h, size_t size, struct entrance e) {
  if (!entry_samples()) return entry_site(h, e);
  if (UNLIKELY(sample_is_loader(entrance_ip(e)))) return UL_SITE_LOADER;
  return sample_passes(h, size) ? sample_site : entry_site(h, e);
}

/* How an allocation without a stack goes on: as if its site were met again. `counter` is
 * NULL where entry_site_of() has to say what it is. */
INLINE struct site_again entry_unsampled(struct heap *h, size_t size, struct entrance e) {
  struct site_again again = {NULL, sample_site};
  if (!entry_samples() || UNLIKELY(book_of(h)->sample.left <= size) ||
      UNLIKELY(sample_is_loader(entrance_ip(e))))
    return again;
  again.counter = ledger_counter_known(h, sample_site);
  if (LIKELY(again.counter)) book_of(h)->sample.left -= size | !size;
  return again;
}

enum entry_zero { AS_IT_IS, ZEROED };
/* Above PTRDIFF_MAX glibc refuses, so that pointer differences stay defined. */
void *entry_allocate(size_t size, size_t align, enum ul_family family,
                     enum entry_zero zero, struct entrance e);
/* The same when the site is known; UL_SITE_NONE: it is not recorded. */
void *entry_allocate_at(struct heap *h, size_t size, size_t align, enum ul_family family,
                        enum entry_zero zero, uint32_t site);
/* The same, of at most UL_MEDIUM_MAX bytes, when the counter is, too: the fast way. */
void *entry_allocate_again(struct heap *h, size_t size, enum ul_family family,
                           struct site_again again);
void *entry_zeroed_again(struct heap *h, size_t size, enum ul_family family,
                         struct site_again again);

INLINE void *entry_allocate_known(struct heap *h, size_t size, enum ul_family family,
                                  enum entry_zero zero, struct site_again known) {
  return zero == ZEROED ? entry_zeroed_again(h, size, family, known)
                        : entry_allocate_again(h, size, family, known);
}

INLINE void *entry_allocate_small(size_t size, enum ul_family family,
                                  enum entry_zero zero, struct entrance e) {
  struct heap *h = thread_state.heap;
  if (LIKELY(h && size <= UL_MEDIUM_MAX)) {
    struct site_again again = site_again(h, e);
    if (UNLIKELY(!again.counter)) again = entry_unsampled(h, size, e);
    if (LIKELY(again.counter)) return entry_allocate_known(h, size, family, zero, again);
  }
  return entry_allocate(size, 0, family, zero, e);
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

/* Is that free another's, or ours by a stub of the program's? */
bool entry_is_another(void (*first)(void *));

/* `free` is what the loader finds first; ours is entry_free by another name, which a
 * compiler may not believe. */
INLINE bool entry_program_in_front(void) {
  void (*first)(void *) = free;
  __asm__("" : "+r"(first));
  return UNLIKELY(first != entry_free) && entry_is_another(first);
}
#endif
