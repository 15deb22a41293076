/* free.c - free and its kin, and realloc.
 *
 * Arguments are checked as glibc's manual ("Replacing malloc") and POSIX want it. */
#include "entry.h"

#include <stdlib.h>

void __libc_free(void *);
void __libc_cfree(void *);
void *__libc_realloc(void *, size_t);

/* ---- free ---------------------------------------------------------------------- */

static bool is_freed(struct spot s, const void *p) {
  return process_recording() && !ledger_line(s, p).entry && ledger_covers(s) &&
         !recording_stopped();
}

__attribute__((noinline)) bool entry_unrecord(struct heap *h, struct spot s, void *p) {
  struct ledger_line was = ledger_line(s, p);
  if (UNLIKELY(!was.entry)) return !ledger_covers(s) || recording_stopped();
  snapshot_before_free(h, was.requested);
  ledger_clear(h, s, p, &was, recording_ms());
  return true;
}

static __attribute__((noinline, cold)) void misused(enum ul_misuse_kind kind,
                                                    const void *p, const void *frame) {
  struct heap *h = entry_heap();
  if (h) misuse_note(kind, p, entry_site(h, frame));
}

/* Where there is no mapping the next allocator has nothing either. */
static void free_foreign(void *p, const void *frame) {
  static void (*real)(void *);
  if (heap_gave_back(p, 0)) {
    misused(UL_FREED_TWICE, p, frame);
    return;
  }
  int saved = errno;
  if (!real) *(void **)&real = next_symbol("free");
  fallback(UL_FB_FOREIGN_FREE);
  if (real) real(p);
  errno = saved;
}

/* HERE is the entry point's frame: asked for only where it is needed. */
INLINE void release(void *p) {
  map_slot slot = map_lookup(p);
  if (UNLIKELY(!slot)) {
    free_foreign(p, HERE);
    return;
  }
  struct heap *h = entry_heap();
  if (UNLIKELY(!h)) return; /* no memory for a heap: the block stays */
  struct spot s = heap_spot(p, slot);
  if (UNLIKELY(!s.pool && !s.large)) {
    misused(heap_gave_back(p, slot) ? UL_FREED_TWICE : UL_FREED_INSIDE, p, HERE);
    return;
  }
  if (LIKELY(process_recording()) && UNLIKELY(!entry_unrecord(h, s, p))) {
    misused(UL_FREED_TWICE, p, HERE);
    return;
  }
  heap_put_any(h, s, p);
}

/* Errno stays as it is: what is called here keeps it. */
INLINE void do_free(void *p) {
  if (LIKELY(p)) release(p);
}

void entry_free(void *p) {
  do_free(p);
}
EXPORT void free(void *p) __attribute__((alias("entry_free")));

/* glibc's own names for them, which some programs call to get at "the real malloc". */
EXPORT void __libc_free(void *p) {
  entry_free(p);
}
EXPORT void __libc_cfree(void *p) {
  entry_free(p);
}

/* ---- realloc ------------------------------------------------------------------- */

/* Into another block; if p is free, it may be the same. */
static void *copy(struct heap *h, struct spot s, hidden from, size_t size,
                  uint32_t site) {
  size_t usable = heap_usable(s);
  void *q = entry_allocate_at(h, size, 0, UL_FAMILY_MALLOC, false, site);
  return q ? memmove(q, reveal(from), usable < size ? usable : size) : NULL;
}

static void *move(struct heap *h, struct spot s, hidden old, size_t size, uint32_t site) {
  hidden block = hide(copy(h, s, old, size, site));
  if (reveal(block)) entry_free(reveal(old));
  return reveal(block);
}

/* For the ledger the block is freed and allocated anew by the caller of realloc. */
static void renew(struct heap *h, const struct ledger_line *was, hidden old,
                  struct spot s, hidden block, size_t size, uint32_t site) {
  if (!was->entry) {
    entry_record(h, s, block, size, UL_FAMILY_MALLOC, site);
    return;
  }
  uint64_t ms = recording_ms();
  ledger_renew(h, was, old, s, block, size, site, UL_FAMILY_MALLOC, ms);
  process_tick(h, ms);
}

static void *stay(struct heap *h, struct spot s, hidden block, size_t size,
                  uint32_t site) {
  if (site && process_recording()) {
    struct ledger_line was = ledger_line(s, reveal(block));
    snapshot_before_free(h, was.requested);
    renew(h, &was, block, s, block, size, site);
  }
  return reveal(block);
}

static void *resize(struct heap *h, struct spot s, hidden old, size_t size,
                    uint32_t site) {
  if (!site || !process_recording()) return heap_resize(&s, size);
  struct ledger_line was = ledger_line(s, reveal(old));
  snapshot_before_free(h, was.requested);
  hidden block = hide(heap_resize(&s, size));
  if (reveal(block)) renew(h, &was, old, s, block, size, site);
  return reveal(block);
}

static void *refuse(void *p, map_slot slot, const void *frame) {
  misused(heap_gave_back(p, slot) ? UL_RESIZED_AFTER_FREE : UL_RESIZED_INSIDE, p, frame);
  errno = ENOMEM;
  return NULL;
}

static void *realloc_foreign(void *p, size_t size, const void *frame) {
  static void *(*real)(void *, size_t);
  if (heap_gave_back(p, 0)) return refuse(p, 0, frame);
  if (!real) *(void **)&real = next_symbol("realloc");
  fallback(UL_FB_FOREIGN_FREE);
  return real ? real(p, size) : NULL;
}

static void *reallocate(hidden block, size_t size, const void *frame) {
  struct heap *h = entry_heap();
  void *p = reveal(block);
  map_slot slot = map_lookup(p);
  if (UNLIKELY(!slot)) return realloc_foreign(p, size, frame);
  struct spot s = heap_spot(p, slot);
  if (UNLIKELY(!s.pool && !s.large)) return refuse(p, slot, frame);
  if (UNLIKELY(size > PTRDIFF_MAX || !h)) {
    errno = ENOMEM;
    return NULL;
  }
  uint32_t site = entry_site(h, frame);
  if (UNLIKELY(is_freed(s, reveal(block)))) {
    misuse_note(UL_RESIZED_AFTER_FREE, reveal(block), site);
    return copy(h, s, block, size, site);
  }
  enum heap_resizing how = heap_resizing(s, size);
  if (how == HEAP_STAYS) return stay(h, s, block, size, site);
  void *q = how == HEAP_RESIZES ? resize(h, s, block, size, site) : NULL;
  return q ? q : move(h, s, block, size, site);
}

void *entry_realloc(void *p, size_t size, const void *frame) {
  if (!p) return entry_allocate(size, 0, UL_FAMILY_MALLOC, false, frame);
  if (size == 0) { /* as glibc */
    entry_free(p);
    return NULL;
  }
  hidden block = hide(p);
  int saved = errno;
  void *q = reallocate(block, size, frame);
  if (q) errno = saved;
  return q;
}

EXPORT void *realloc(void *p, size_t size) {
  return entry_realloc(p, size, HERE);
}
EXPORT void *__libc_realloc(void *p, size_t size) {
  return entry_realloc(p, size, HERE);
}
