/* entry.h - what the exported functions share: a block comes from a heap or goes back to
 * one, and the ledger is told. Inline, for every malloc and free runs through it.
 *
 * Every entry point is built with a frame pointer and hands its own frame address on:
 * that is where the walk of the stack begins. */
#ifndef ULLAGE_ENTRY_H
#define ULLAGE_ENTRY_H

#include "account/snapshot.h"
#include "base/hidden.h"
#include "base/next.h"
#include "heap/heap.h"
#include "heap/map.h"
#include "ledger/ledger.h"
#include "ledger/misuse.h"
#include "ledger/site.h"
#include "process/process.h"
#include "recording/recording.h"
#include "recording/table.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HERE __builtin_frame_address(0)
#define INLINE static inline __attribute__((always_inline))

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
INLINE uint32_t entry_site(struct heap *h, const void *frame) {
  if (UNLIKELY(!process_recording())) return UL_SITE_NONE;
  if (LIKELY(process_started()) || thread_state.busy || process_start_early(frame))
    return process_recording() ? site_capture(h, frame) : UL_SITE_NONE;
  fallback(UL_FB_EARLY);
  return UL_SITE_EARLY;
}

INLINE void *entry_allocate_at(struct heap *h, size_t size, size_t align,
                               enum ul_family family, bool zero, uint32_t site) {
  struct spot s = {NULL, NULL};
  bool zeroed = false;
  void *p = heap_take_any(h, size, align, &s, &zeroed);
  if (UNLIKELY(!p)) {
    errno = ENOMEM;
    return NULL;
  }
  if (zero && !zeroed) memset(p, 0, size);
  hidden block = hide(p);
  if (LIKELY(site && process_recording())) entry_record(h, s, block, size, family, site);
  return reveal(block);
}

/* Above PTRDIFF_MAX glibc refuses, so that pointer differences stay defined. */
INLINE void *entry_allocate(size_t size, size_t align, enum ul_family family, bool zero,
                            const void *frame) {
  struct heap *h = UNLIKELY(size > PTRDIFF_MAX) ? NULL : entry_heap();
  if (UNLIKELY(!h)) {
    errno = ENOMEM;
    return NULL;
  }
  return entry_allocate_at(h, size, align, family, zero, entry_site(h, frame));
}

/* ---- free ---------------------------------------------------------------------- */

/* The block is about to be freed: out of the ledger. false: it was freed before. */
bool entry_unrecord(struct heap *h, struct spot s, void *p);

/* free and realloc. Not by these names: the program may have its own, in front of ours.
 */
void entry_free(void *p);
void *entry_realloc(void *p, size_t size, const void *frame);
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

/* `free` is what the loader finds first; ours is entry_free by another name, which a
 * compiler may not believe. */
INLINE bool entry_program_in_front(void) {
  void (*first)(void *) = free;
  __asm__("" : "+r"(first));
  return first != entry_free;
}
#endif
