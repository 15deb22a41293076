/* malloc.c - the exported allocation functions, and nothing else: arguments are
 * checked as glibc's manual ("Replacing malloc") and POSIX want it, errno is set,
 * the block comes from a heap, the ledger is told.
 *
 * Every entry point is built with a frame pointer and hands its own frame address
 * on: that is where the walk of the stack begins. */
#include "account/snapshot.h"
#include "base/next.h"
#include "base/os.h"
#include "heap/arena.h"
#include "heap/class.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "heap/map.h"
#include "ledger/ledger.h"
#include "ledger/site.h"
#include "process/process.h"
#include "reach/reach.h"
#include "recording/recording.h"
#include "recording/table.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not, or not always, in libc's headers. */
void cfree(void *);
void free_sized(void *, size_t);
void free_aligned_sized(void *, size_t, size_t);
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void *__libc_valloc(size_t);
void *__libc_pvalloc(size_t);
void __libc_free(void *);
void __libc_cfree(void *);

#define HERE __builtin_frame_address(0)
#define INLINE static inline __attribute__((always_inline))

/* ---- allocate ------------------------------------------------------------------ */

INLINE void *take_block(struct heap *h, size_t size, size_t align, struct spot *s) {
  if (LIKELY(size <= UL_MEDIUM_MAX && align <= 16))
    return heap_take(h, class_of(size | !size), s);
  if (align > 16) {
    unsigned class = class_of_aligned(size, align);
    if (class != UL_SPAN) return heap_take(h, class, s);
  }
  if (size <= UL_SPAN_MAX && align <= UL_UNIT_BYTES)
    return heap_take_span(h, size | !size, s);
  s->large = large_take(size, align);
  return s->large ? s->large->base : NULL;
}

static __attribute__((noinline)) void record(struct heap *h, struct spot s, void *p,
                                             size_t size, enum ul_family family,
                                             uint32_t site) {
  uint64_t ms = recording_ms();
  ledger_enter(h, s, p, size, site, family, ms);
  process_tick(h, ms);
}

/* Where to enter an allocation in the ledger; UL_SITE_NONE: it is not recorded. */
INLINE uint32_t site_for(const void *frame) {
  if (UNLIKELY(!process_recording())) return UL_SITE_NONE;
  if (LIKELY(process_started()) || thread_state.busy || process_start_early(frame))
    return process_recording() ? site_capture(frame) : UL_SITE_NONE;
  fallback(UL_FB_EARLY);
  return UL_SITE_EARLY;
}

INLINE void *allocate_at(struct heap *h, size_t size, size_t align, enum ul_family family,
                         bool zero, uint32_t site) {
  struct spot s = {NULL, NULL};
  void *p = take_block(h, size, align, &s);
  if (UNLIKELY(!p)) {
    errno = ENOMEM;
    return NULL;
  }
  if (zero && !(s.large && s.large->zeroed)) memset(p, 0, size);
  if (LIKELY(site && process_recording())) record(h, s, p, size, family, site);
  return p;
}

/* Above PTRDIFF_MAX glibc refuses, so that pointer differences stay defined. */
INLINE void *allocate(size_t size, size_t align, enum ul_family family, bool zero,
                      const void *frame) {
  struct heap *h = UNLIKELY(size > PTRDIFF_MAX) ? NULL : heap_mine();
  if (UNLIKELY(!h)) {
    errno = ENOMEM;
    return NULL;
  }
  return allocate_at(h, size, align, family, zero, site_for(frame));
}

/* ---- free ---------------------------------------------------------------------- */

/* Where the block lies; {NULL, NULL}: not a block of ours that is in use. */
INLINE struct spot spot_of(const void *p, map_slot slot) {
  if (UNLIKELY(map_is_large(slot))) {
    struct large *l = map_large(slot);
    return (struct spot){NULL, p == l->base && l->in_use ? l : NULL};
  }
  struct pool *pool = arena_pool(map_arena(slot), p);
  uint64_t offset = (uint64_t)((const char *)p - pool->base);
  uint64_t index = offset * pool->recip >> 32;
  bool start = index * pool->size == offset && offset < pool->virgin && pool->heap;
  return (struct spot){start ? pool : NULL, NULL};
}

INLINE void put_block(struct heap *h, struct spot s, void *p) {
  if (UNLIKELY(s.large))
    large_put(s.large);
  else if (UNLIKELY(s.pool->class == UL_SPAN))
    heap_put_span(h, s.pool);
  else if (LIKELY(s.pool->heap == h))
    heap_put(h, s.pool, p);
  else
    heap_put_remote(s.pool, p);
}

static __attribute__((noinline)) bool unrecord(struct heap *h, struct spot s, void *p) {
  size_t requested;
  bool entered = s.large ? s.large->record != NULL : s.pool->entries != NULL;
  if (!ledger_look(s, p, &requested)) {
    if (!entered || recording_stopped()) return true;
    fallback(UL_FB_DOUBLE_FREE);
    return false;
  }
  snapshot_before_free(h, requested);
  ledger_clear(h, s, p, recording_ms());
  return true;
}

static void free_foreign(void *p) {
  static void (*real)(void *);
  if (!real) *(void **)&real = next_symbol("free");
  fallback(UL_FB_FOREIGN_FREE);
  if (real) real(p);
}

INLINE void release(void *p) {
  map_slot slot = map_lookup(p);
  if (UNLIKELY(!slot)) {
    free_foreign(p);
    return;
  }
  struct spot s = spot_of(p, slot);
  if (UNLIKELY(!s.pool && !s.large)) {
    fallback(UL_FB_INVALID_FREE);
    return;
  }
  struct heap *h = heap_mine();
  if (UNLIKELY(!h)) return; /* no memory for a heap: the block stays */
  if (LIKELY(process_recording()) && !unrecord(h, s, p)) return;
  put_block(h, s, p);
}

EXPORT void free(void *p) {
  if (UNLIKELY(!p)) return;
  int saved = errno;
  release(p);
  errno = saved;
}

EXPORT void cfree(void *p) {
  free(p);
}
EXPORT void free_sized(void *p, size_t size) {
  (void)size;
  free(p);
}
EXPORT void free_aligned_sized(void *p, size_t align, size_t size) {
  (void)align;
  (void)size;
  free(p);
}

/* ---- realloc ------------------------------------------------------------------- */

INLINE size_t usable_size(struct spot s) {
  return s.large ? s.large->mapped : s.pool->size;
}

/* A block stays where it is while it is large enough and not much too large. */
static bool stays(struct spot s, size_t size) {
  size_t usable = usable_size(s);
  if (s.large) return false;
  if (size > usable) return false;
  if (s.pool->class == UL_SPAN)
    return size > UL_MEDIUM_MAX && usable - size < UL_UNIT_BYTES;
  return size > usable - usable / 4 || usable <= 32;
}

static void *move(struct heap *h, void *p, size_t usable, size_t size, uint32_t site) {
  void *q = allocate_at(h, size, 0, UL_FAMILY_MALLOC, false, site);
  if (!q) return NULL;
  memcpy(q, p, usable < size ? usable : size);
  free(p);
  return q;
}

/* Change the extent of a span or a large block without copying it. For the ledger it is
 * freed and allocated anew by the caller of realloc. NULL: cannot be done, nothing has
 * changed. */
static void *resize(struct heap *h, struct spot s, void *p, size_t size, uint32_t site) {
  struct spot now = s;
  size_t requested = 0;
  uint64_t entry = process_recording() ? ledger_look(s, p, &requested) : 0;
  if (entry) {
    snapshot_before_free(h, requested);
    ledger_clear(h, s, p, recording_ms());
  }
  bool done;
  if (s.large) {
    now.large = large_resize(s.large, size);
    done = now.large != NULL;
    if (done) p = now.large->base;
  } else {
    done =
        arena_resize_span(s.pool, (unsigned)((size + UL_UNIT_BYTES - 1) / UL_UNIT_BYTES));
  }
  if (done && site && process_recording())
    record(h, now, p, size, UL_FAMILY_MALLOC, site);
  if (!done && entry)
    ledger_enter(h, s, p, requested, ul_entry_site(entry), ul_entry_family(entry),
                 ul_birth_ms(ul_entry_birth(entry)));
  return done ? p : NULL;
}

static bool can_resize(struct spot s, size_t size) {
  if (s.large) return size > UL_SPAN_MAX;
  return s.pool->class == UL_SPAN && size > UL_MEDIUM_MAX && size <= UL_SPAN_MAX;
}

static void *realloc_foreign(void *p, size_t size) {
  static void *(*real)(void *, size_t);
  if (!real) *(void **)&real = next_symbol("realloc");
  fallback(UL_FB_FOREIGN_FREE);
  return real ? real(p, size) : NULL;
}

static void *reallocate(void *p, size_t size, const void *frame) {
  map_slot slot = map_lookup(p);
  if (UNLIKELY(!slot)) return realloc_foreign(p, size);
  struct spot s = spot_of(p, slot);
  struct heap *h = heap_mine();
  if (UNLIKELY(size > PTRDIFF_MAX || !h || (!s.pool && !s.large))) {
    errno = ENOMEM;
    return NULL;
  }
  uint32_t site = site_for(frame);
  if (stays(s, size)) {
    if (site && process_recording() && unrecord(h, s, p))
      record(h, s, p, size, UL_FAMILY_MALLOC, site);
    return p;
  }
  void *q = can_resize(s, size) ? resize(h, s, p, size, site) : NULL;
  return q ? q : move(h, p, usable_size(s), size, site);
}

INLINE void *do_realloc(void *p, size_t size, const void *frame) {
  if (!p) return allocate(size, 0, UL_FAMILY_MALLOC, false, frame);
  if (size == 0) { /* as glibc */
    free(p);
    return NULL;
  }
  int saved = errno;
  void *q = reallocate(p, size, frame);
  if (q) errno = saved;
  return q;
}

/* ---- the C functions ----------------------------------------------------------- */

EXPORT void *malloc(size_t size) {
  return allocate(size, 0, UL_FAMILY_MALLOC, false, HERE);
}

INLINE void *do_calloc(size_t n, size_t size, const void *frame) {
  size_t bytes;
  if (UNLIKELY(__builtin_mul_overflow(n, size, &bytes))) bytes = SIZE_MAX;
  return allocate(bytes, 0, UL_FAMILY_MALLOC, true, frame);
}

EXPORT void *calloc(size_t n, size_t size) {
  return do_calloc(n, size, HERE);
}
EXPORT void *realloc(void *p, size_t size) {
  return do_realloc(p, size, HERE);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  return do_realloc(p, bytes, HERE);
}

static bool power_of_two(size_t n) {
  return n && !(n & (n - 1));
}

/* glibc's memalign rounds an alignment up to a power of two, and refuses half the address
 * space. */
INLINE void *do_memalign(size_t align, size_t size, const void *frame) {
  if (align > SIZE_MAX / 2 + 1) {
    errno = EINVAL;
    return NULL;
  }
  while (!power_of_two(align))
    align = align ? (align | (align - 1)) + 1 : 1;
  if (size > PTRDIFF_MAX || align > PTRDIFF_MAX - size) size = SIZE_MAX;
  return allocate(size, align, UL_FAMILY_ALIGNED, false, frame);
}

EXPORT void *memalign(size_t align, size_t size) {
  return do_memalign(align, size, HERE);
}
EXPORT void *aligned_alloc(size_t align, size_t size) {
  return do_memalign(align, size, HERE);
}

EXPORT int posix_memalign(void **result, size_t align, size_t size) {
  if (!power_of_two(align) || align % sizeof(void *)) return EINVAL;
  int saved = errno;
  void *p = do_memalign(align, size, HERE);
  errno = saved;
  if (!p) return ENOMEM;
  *result = p;
  return 0;
}

EXPORT void *valloc(size_t size) {
  return do_memalign(UL_PAGE_BYTES, size, HERE);
}

EXPORT void *pvalloc(size_t size) {
  size_t pages = (size + UL_PAGE_BYTES - 1) & ~(size_t)(UL_PAGE_BYTES - 1);
  return do_memalign(UL_PAGE_BYTES, pages < size ? SIZE_MAX : pages, HERE);
}

EXPORT size_t malloc_usable_size(void *p) {
  if (!p) return 0;
  reach_scan_slack = true;
  map_slot slot = map_lookup(p);
  if (slot) {
    struct spot s = spot_of(p, slot);
    return s.pool || s.large ? usable_size(s) : 0;
  }
  static size_t (*real)(void *);
  if (!real) *(void **)&real = next_symbol("malloc_usable_size");
  return real ? real(p) : 0;
}

/* glibc's own names for them, which some programs call to get at "the real malloc". */
EXPORT void *__libc_malloc(size_t size) {
  return allocate(size, 0, UL_FAMILY_MALLOC, false, HERE);
}
EXPORT void *__libc_calloc(size_t n, size_t size) {
  return do_calloc(n, size, HERE);
}
EXPORT void *__libc_realloc(void *p, size_t size) {
  return do_realloc(p, size, HERE);
}
EXPORT void *__libc_memalign(size_t align, size_t size) {
  return do_memalign(align, size, HERE);
}
EXPORT void *__libc_valloc(size_t size) {
  return do_memalign(UL_PAGE_BYTES, size, HERE);
}
EXPORT void *__libc_pvalloc(size_t size) {
  return pvalloc(size);
}
EXPORT void __libc_free(void *p) {
  free(p);
}
EXPORT void __libc_cfree(void *p) {
  free(p);
}

/* ---- statistics and tuning ----------------------------------------------------- */

EXPORT int malloc_trim(size_t pad) {
  (void)pad;
  int saved = errno;
  struct heap *h = heap_mine();
  if (h) heap_trim(h);
  heap_trim_orphans();
  size_t given = arena_trim() + large_trim();
  errno = saved;
  return given > 0;
}

struct usage {
  uint64_t mapped, arenas, larges, large_bytes, in_use, free_bytes;
};

static struct usage usage_now(void) {
  arena_lock();
  struct arena_totals a = arena_totals();
  struct large_totals l = large_totals();
  uint64_t free_in_pools = arena_free_bytes();
  arena_unlock();
  return (struct usage){a.arena_bytes + l.mapped_bytes,
                        a.arena_bytes,
                        l.larges,
                        l.mapped_bytes,
                        a.pool_bytes - free_in_pools,
                        a.empty_bytes + free_in_pools};
}

EXPORT struct mallinfo2 mallinfo2(void) {
  struct usage u = usage_now();
  return (struct mallinfo2){.arena = u.arenas,
                            .hblks = u.larges,
                            .hblkhd = u.large_bytes,
                            .uordblks = u.in_use,
                            .fordblks = u.free_bytes};
}

EXPORT struct mallinfo mallinfo(void) {
  struct usage u = usage_now();
  return (struct mallinfo){.arena = (int)u.arenas,
                           .hblks = (int)u.larges,
                           .hblkhd = (int)u.large_bytes,
                           .uordblks = (int)u.in_use,
                           .fordblks = (int)u.free_bytes};
}

EXPORT void malloc_stats(void) {
  struct usage u = usage_now();
  fprintf(
      stderr,
      "system bytes     = %10lu\nin use bytes     = %10lu\nmax mmap regions = %10lu\n",
      u.mapped, u.in_use + u.large_bytes, u.larges);
}

EXPORT int malloc_info(int options, FILE *stream) {
  if (options != 0) return EINVAL;
  struct usage u = usage_now();
  fprintf(stream,
          "<malloc version=\"1\">\n<total type=\"rest\" count=\"0\" size=\"%lu\"/>\n"
          "<total type=\"mmap\" count=\"%lu\" size=\"%lu\"/>\n"
          "<system type=\"current\" size=\"%lu\"/>\n</malloc>\n",
          u.free_bytes, u.larges, u.large_bytes, u.mapped);
  return 0;
}

/* Every parameter is accepted, as a hint may be, and none has a meaning here. */
EXPORT int mallopt(int parameter, int value) {
  (void)parameter;
  (void)value;
  return 1;
}

/* ---- C++: operator new and delete, by their mangled names ---------------------- */

void *_Znwm(size_t);
void *_Znam(size_t);
void *_ZnwmRKSt9nothrow_t(size_t, const void *);
void *_ZnamRKSt9nothrow_t(size_t, const void *);
void *_ZnwmSt11align_val_t(size_t, size_t);
void *_ZnamSt11align_val_t(size_t, size_t);
void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t, size_t, const void *);
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t, size_t, const void *);
void _ZdlPv(void *);
void _ZdaPv(void *);
void _ZdlPvm(void *, size_t);
void _ZdaPvm(void *, size_t);
void _ZdlPvRKSt9nothrow_t(void *, const void *);
void _ZdaPvRKSt9nothrow_t(void *, const void *);
void _ZdlPvSt11align_val_t(void *, size_t);
void _ZdaPvSt11align_val_t(void *, size_t);
void _ZdlPvmSt11align_val_t(void *, size_t, size_t);
void _ZdaPvmSt11align_val_t(void *, size_t, size_t);
void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *, size_t, const void *);
void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *, size_t, const void *);

/* Out of memory is libstdc++'s to handle: its operator new calls the new handler and
 * throws; it allocates by malloc, so it fails again as we did, in the proper way. */
INLINE void *do_new(size_t size, size_t align, enum ul_family family, const char *name,
                    const void *frame) {
  int saved = errno;
  void *p = allocate(size, align, family, false, frame);
  if (LIKELY(p != NULL)) return p;
  errno = saved;
  void *next = next_symbol(name);
  if (!next) return NULL;
  return align ? ((void *(*)(size_t, size_t))next)(size, align)
               : ((void *(*)(size_t))next)(size);
}

EXPORT void *_Znwm(size_t n) {
  return do_new(n, 0, UL_FAMILY_NEW, "_Znwm", HERE);
}
EXPORT void *_Znam(size_t n) {
  return do_new(n, 0, UL_FAMILY_NEW_ARRAY, "_Znam", HERE);
}
EXPORT void *_ZnwmSt11align_val_t(size_t n, size_t align) {
  return do_new(n, align, UL_FAMILY_NEW, "_ZnwmSt11align_val_t", HERE);
}
EXPORT void *_ZnamSt11align_val_t(size_t n, size_t align) {
  return do_new(n, align, UL_FAMILY_NEW_ARRAY, "_ZnamSt11align_val_t", HERE);
}
EXPORT void *_ZnwmRKSt9nothrow_t(size_t n, const void *nothrow) {
  (void)nothrow;
  return allocate(n, 0, UL_FAMILY_NEW, false, HERE);
}
EXPORT void *_ZnamRKSt9nothrow_t(size_t n, const void *nothrow) {
  (void)nothrow;
  return allocate(n, 0, UL_FAMILY_NEW_ARRAY, false, HERE);
}
EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align,
                                                const void *nothrow) {
  (void)nothrow;
  return allocate(n, align, UL_FAMILY_NEW, false, HERE);
}
EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align,
                                                const void *nothrow) {
  (void)nothrow;
  return allocate(n, align, UL_FAMILY_NEW_ARRAY, false, HERE);
}

EXPORT void _ZdlPv(void *p) {
  free(p);
}
EXPORT void _ZdaPv(void *p) {
  free(p);
}
EXPORT void _ZdlPvm(void *p, size_t n) {
  free_sized(p, n);
}
EXPORT void _ZdaPvm(void *p, size_t n) {
  free_sized(p, n);
}
EXPORT void _ZdlPvRKSt9nothrow_t(void *p, const void *nothrow) {
  (void)nothrow;
  free(p);
}
EXPORT void _ZdaPvRKSt9nothrow_t(void *p, const void *nothrow) {
  (void)nothrow;
  free(p);
}
EXPORT void _ZdlPvSt11align_val_t(void *p, size_t align) {
  free_aligned_sized(p, align, 0);
}
EXPORT void _ZdaPvSt11align_val_t(void *p, size_t align) {
  free_aligned_sized(p, align, 0);
}
EXPORT void _ZdlPvmSt11align_val_t(void *p, size_t n, size_t align) {
  free_aligned_sized(p, align, n);
}
EXPORT void _ZdaPvmSt11align_val_t(void *p, size_t n, size_t align) {
  free_aligned_sized(p, align, n);
}
EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
                                                const void *nothrow) {
  (void)nothrow;
  free_aligned_sized(p, align, 0);
}
EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
                                                const void *nothrow) {
  (void)nothrow;
  free_aligned_sized(p, align, 0);
}
