/* malloc.c - the exported allocation functions.
 *
 * Arguments are checked as glibc's manual ("Replacing malloc") and POSIX want it. */
#include "base/os.h"
#include "entry.h"

#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdlib.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_memalign(size_t, size_t);
void *__libc_valloc(size_t);
void *__libc_pvalloc(size_t);

struct heap *entry_first(void) {
  process_begin();
  fork_check();
  return heap_acquire();
}

__attribute__((noinline)) void entry_record(struct heap *h, struct spot s, hidden block,
                                            size_t size, enum ul_family family,
                                            uint32_t site) {
  uint64_t ms = recording_ms();
  ledger_enter(h, s, block, size, site, family, ms);
  if (UNLIKELY(size >= PROCESS_WORTH_A_FILE)) process_hurry(ms);
  process_tick(h, ms);
}

/* ---- in the middle of ourselves ------------------------------------------------- */

/* The next allocator, for handlers that have interrupted this thread where a pool or a
 * large block would have to be waited for (arena.h). glibc's own malloc would wait for
 * itself, too, but not while the process has one thread. */
static struct {
  void *(*malloc)(size_t);
  void *(*memalign)(size_t, size_t);
} next;

__attribute__((constructor)) static void find_next(void) {
  int saved = errno;
  *(void **)&next.malloc = next_symbol("malloc");
  *(void **)&next.memalign = next_symbol("memalign");
  errno = saved;
}

static __attribute__((noinline, cold)) void *allocate_elsewhere(size_t size, size_t align,
                                                                enum entry_zero zero) {
  void *p = NULL;
  if (arena_is_interrupted() && next.malloc && next.memalign)
    p = align > 16 ? next.memalign(align, size) : next.malloc(size);
  if (!p)
    errno = ENOMEM;
  else
    fallback(UL_FB_ELSEWHERE);
  return p && zero == ZEROED ? memset(p, 0, size) : p;
}

/* ---- the long way --------------------------------------------------------------- */

/* Of what was found in its place, which was freed before. */
static void end_if_deadly(bool found) {
  if (UNLIKELY(found) && misuse_is_deadly(UL_WRITTEN_FREED)) abort();
}

static __attribute__((noinline)) void *
allocate_guarded(struct heap *h, size_t size, size_t align, enum ul_family family,
                 enum entry_zero zero, uint32_t site) {
  struct spot s = {NULL, NULL};
  bool zeroed = false;
  hidden block = hide(heap_take_any(h, size + GUARD_ROOM, align, &s, &zeroed));
  if (UNLIKELY(!reveal(block))) return allocate_elsewhere(size, align, zero);
  end_if_deadly(guard_reuse(s, block));
  if (zero == ZEROED && !zeroed) memset(reveal(block), 0, size);
  guard_arm(s, block, size, zero != ZEROED);
  entry_record(h, s, block, size, family, site);
  return reveal(block);
}

__attribute__((noinline)) void *entry_allocate_at(struct heap *h, size_t size,
                                                  size_t align, enum ul_family family,
                                                  enum entry_zero zero, uint32_t site) {
  if (UNLIKELY(size > PTRDIFF_MAX)) {
    errno = ENOMEM;
    return NULL;
  }
  if (UNLIKELY(guard_on) && site && process_recording())
    return allocate_guarded(h, size, align, family, zero, site);
  struct spot s = {NULL, NULL};
  bool zeroed = false;
  hidden block = hide(heap_take_any(h, size, align, &s, &zeroed));
  if (UNLIKELY(!reveal(block))) return allocate_elsewhere(size, align, zero);
  if (LIKELY(site && process_recording())) entry_record(h, s, block, size, family, site);
  void *p = reveal(block);
  return zero == ZEROED && !zeroed ? memset(p, 0, size) : p;
}

/* Needs the block no stack, and is nothing else due? Then as much as can be is granted.
 */
static bool granted(struct heap *h, size_t size, struct entrance e) {
  if (!entry_samples() || size >= SAMPLE_GRANT_MAX || sample_is_loader(entrance_ip(e)))
    return false;
  return !snapshot_looks(ledger_clock(h)->ms) && sample_grant(h, size);
}

__attribute__((noinline)) void *entry_allocate(size_t size, size_t align,
                                               enum ul_family family,
                                               enum entry_zero zero, struct entrance e) {
  struct heap *h = UNLIKELY(size > PTRDIFF_MAX) ? NULL : entry_heap();
  if (UNLIKELY(!h)) {
    errno = ENOMEM;
    return NULL;
  }
  if (align <= 16 && granted(h, size, e)) {
    struct sample *sample = &book_of(h)->sample;
    void *block = entry_take_round(h, size, family, sample);
    if (LIKELY(block != NULL)) return zero == ZEROED ? memset(block, 0, size) : block;
    struct entry_quick q = entry_take(h, size, family, sample);
    if (LIKELY(q.pool != NULL)) return entry_finish(h, q, size, zero);
  }
  uint32_t site = entry_site_of(h, size, e);
  if (LIKELY(size <= UL_MEDIUM_MAX && align <= 16) &&
      LIKELY(site && process_recording() && !sample_is_site(site) && !guard_on)) {
    struct site_again known = {ledger_counter_known(h, site), site};
    if (LIKELY(known.counter)) return entry_allocate_known(h, size, family, zero, known);
  }
  return entry_allocate_at(h, size, align, family, zero, site);
}

__attribute__((noinline)) void *entry_last_of_pool(struct heap *h, struct pool *p,
                                                   hidden block, uint32_t inside) {
  heap_pool_full(h, p);
  heap_leave(h, inside);
  return reveal(block);
}

/* ---- the fast way ---------------------------------------------------------------- */

static __attribute__((noinline)) void *settle(struct heap *h, hidden block,
                                              struct site_again again) {
  if (ledger_is_heavy_in(again.counter)) ledger_relieve(h, again.site, again.counter);
  process_tick(h, recording_ms());
  return reveal(block);
}

/* Of a class whose magazine is empty. */
INLINE void *allocate_pooled(struct heap *h, size_t size, enum ul_family family,
                             enum entry_zero zero, struct site_again again) {
  unsigned class = entry_class(size);
  uint32_t inside;
  if (UNLIKELY(magazine_is_shut(h, class) || !heap_try_enter(h, &inside)))
    return entry_allocate_at(h, size, 0, family, zero, again.site);
  struct pool *p = h->used[class]; /* nobody else's, now */
  if (UNLIKELY(!p || !p->entries)) {
    heap_leave(h, inside);
    return entry_allocate_at(h, size, 0, family, zero, again.site);
  }
  bool zeroed;
  void *block = heap_take_inside(p, &zeroed);
  ledger_enter_pool(h, &p->entries[pool_index(p, block)], p->size, block, size,
                    again.site, again.counter, family, book_of(h)->clock.birth);
  if (UNLIKELY(pool_is_full(p)))
    block = entry_last_of_pool(h, p, hide(block), inside);
  else
    heap_leave(h, inside);
  if (UNLIKELY(snapshot_may_rise(h) || ledger_is_heavy_in(again.counter)))
    block = settle(h, hide(block), again);
  return zero == ZEROED && !zeroed ? memset(block, 0, size) : block;
}

/* The clock has moved on: it is time to look whether something is due. */
static __attribute__((noinline)) void *allocate_later(struct heap *h, size_t size,
                                                      enum ul_family family,
                                                      enum entry_zero zero, uint32_t site,
                                                      uint64_t tick) {
  ledger_clock_moved(h, tick);
  return entry_allocate_at(h, size, 0, family, zero, site);
}

INLINE void *allocate_again(struct heap *h, size_t size, enum ul_family family,
                            enum entry_zero zero, struct site_again again) {
  const struct book_clock *now = &book_of(h)->clock;
  uint64_t tick = os_tick();
  if (UNLIKELY(tick != now->tick))
    return allocate_later(h, size, family, zero, again.site, tick);
  unsigned class = entry_class(size);
  struct round *top = magazine_top(h, class);
  void *block = top->block;
  if (UNLIKELY(!block)) return allocate_pooled(h, size, family, zero, again);
  if (UNLIKELY(!top->entry))
    return entry_allocate_at(h, size, 0, family, zero, again.site);
  magazine_pop(h, class, top);
  ledger_enter_pool(h, top->entry, class_bytes(class), block, size, again.site,
                    again.counter, family, now->birth);
  if (UNLIKELY(snapshot_may_rise(h) || ledger_is_heavy_in(again.counter)))
    block = settle(h, hide(block), again);
  return zero == ZEROED ? memset(block, 0, size) : block;
}

__attribute__((noinline)) void *entry_allocate_again(struct heap *h, size_t size,
                                                     enum ul_family family,
                                                     struct site_again again) {
  return allocate_again(h, size, family, AS_IT_IS, again);
}
__attribute__((noinline)) void *entry_zeroed_again(struct heap *h, size_t size,
                                                   enum ul_family family,
                                                   struct site_again again) {
  return allocate_again(h, size, family, ZEROED, again);
}

static __attribute__((noinline)) void *
allocate_at_odd_stack(struct heap *h, size_t size, enum ul_family family,
                      enum entry_zero zero, struct entrance e, uint32_t site) {
  return site ? entry_allocate_at(h, size, 0, family, zero, site)
              : entry_allocate(size, 0, family, zero, e);
}

INLINE void *allocate_at_stack(struct heap *h, size_t size, enum ul_family family,
                               enum entry_zero zero, struct entrance e, uint32_t epoch) {
  if (UNLIKELY(epoch < EPOCH_FIRST) || UNLIKELY(!h))
    return entry_allocate(size, 0, family, zero, e);
  struct site_again at = site_again(h, e, epoch);
  if (!at.counter && LIKELY(process_started() && !sample_bytes)) at = site_new(h, e);
  return LIKELY(at.counter != NULL)
             ? allocate_again(h, size, family, zero, at)
             : allocate_at_odd_stack(h, size, family, zero, e, at.site);
}

__attribute__((noinline)) void *entry_allocate_at_stack(struct heap *h, size_t size,
                                                        enum ul_family family,
                                                        struct entrance e,
                                                        uint32_t epoch) {
  return allocate_at_stack(h, size, family, AS_IT_IS, e, epoch);
}
__attribute__((noinline)) void *entry_zeroed_at_stack(struct heap *h, size_t size,
                                                      enum ul_family family,
                                                      struct entrance e, uint32_t epoch) {
  return allocate_at_stack(h, size, family, ZEROED, e, epoch);
}

/* ---- malloc and its kin --------------------------------------------------------- */

EXPORT void *malloc(size_t size) {
  return entry_allocate_small(size, UL_FAMILY_MALLOC, AS_IT_IS, FRAME);
}

INLINE void *do_calloc(size_t n, size_t size, const uint64_t *frame) {
  size_t bytes;
  if (UNLIKELY(__builtin_mul_overflow(n, size, &bytes))) bytes = SIZE_MAX;
  return entry_allocate_small(bytes, UL_FAMILY_MALLOC, ZEROED, frame);
}

EXPORT void *calloc(size_t n, size_t size) {
  return do_calloc(n, size, FRAME);
}
static bool power_of_two(size_t n) {
  return n && !(n & (n - 1));
}

/* glibc's memalign rounds an alignment up to a power of two, and refuses half the address
 * space. */
INLINE void *do_memalign(size_t align, size_t size, struct entrance e) {
  if (align > SIZE_MAX / 2 + 1) {
    errno = EINVAL;
    return NULL;
  }
  while (!power_of_two(align))
    align = align ? (align | (align - 1)) + 1 : 1;
  if (size > PTRDIFF_MAX || align > PTRDIFF_MAX - size) size = SIZE_MAX;
  return entry_allocate(size, align, UL_FAMILY_ALIGNED, AS_IT_IS, e);
}

#define WITH_PROGRAM_IN_FRONT(name, ...)                                                 \
  if (UNLIKELY(entry_program_in_front())) {                                              \
    NEXT(name);                                                                          \
    return real(__VA_ARGS__);                                                            \
  }

EXPORT void *memalign(size_t align, size_t size) {
  WITH_PROGRAM_IN_FRONT(memalign, align, size)
  return do_memalign(align, size, HERE);
}
/* As C17 wants it: glibc since 2.38 ("2.MINOR"). */
static bool libc_refuses_odd_alignments(void) {
  unsigned minor = 0;
  for (const char *v = gnu_get_libc_version() + 2; *v >= '0' && *v <= '9'; v++)
    minor = 10 * minor + (unsigned)(*v - '0');
  return minor >= 38;
}
EXPORT void *aligned_alloc(size_t align, size_t size) {
  WITH_PROGRAM_IN_FRONT(aligned_alloc, align, size)
  if (UNLIKELY(!power_of_two(align)) && libc_refuses_odd_alignments()) {
    errno = EINVAL;
    return NULL;
  }
  return do_memalign(align, size, HERE);
}

EXPORT int posix_memalign(void **result, size_t align, size_t size) {
  WITH_PROGRAM_IN_FRONT(posix_memalign, result, align, size)
  if (!power_of_two(align) || align % sizeof(void *)) return EINVAL;
  int saved = errno;
  void *p = do_memalign(align, size, HERE);
  if (!p) return ENOMEM; /* and errno as glibc's leaves it, by which some go */
  errno = saved;
  *result = p;
  return 0;
}

EXPORT void *valloc(size_t size) {
  WITH_PROGRAM_IN_FRONT(valloc, size)
  return do_memalign(OS_PAGE, size, HERE);
}

INLINE void *do_pvalloc(size_t size, struct entrance e) {
  size_t pages = os_whole_pages(size);
  return do_memalign(OS_PAGE, pages < size ? SIZE_MAX : pages, e);
}

EXPORT void *pvalloc(size_t size) {
  WITH_PROGRAM_IN_FRONT(pvalloc, size)
  return do_pvalloc(size, HERE);
}

/* glibc's own names for them, which some programs call to get at "the real malloc". */
EXPORT void *__libc_malloc(size_t size) {
  return entry_allocate_small(size, UL_FAMILY_MALLOC, AS_IT_IS, FRAME);
}
EXPORT void *__libc_calloc(size_t n, size_t size) {
  return do_calloc(n, size, FRAME);
}
EXPORT void *__libc_memalign(size_t align, size_t size) {
  return do_memalign(align, size, HERE);
}
EXPORT void *__libc_valloc(size_t size) {
  return do_memalign(OS_PAGE, size, HERE);
}
EXPORT void *__libc_pvalloc(size_t size) {
  return do_pvalloc(size, HERE);
}
