/* malloc.c - the exported allocation functions.
 *
 * Arguments are checked as glibc's manual ("Replacing malloc") and POSIX want it. */
#include "base/os.h"
#include "entry.h"

#include <malloc.h>
#include <stdlib.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_memalign(size_t, size_t);
void *__libc_valloc(size_t);
void *__libc_pvalloc(size_t);

struct heap *entry_first(void) {
  process_begin();
  process_check_fork();
  return heap_acquire();
}

__attribute__((noinline)) void entry_record(struct heap *h, struct spot s, hidden block,
                                            size_t size, enum ul_family family,
                                            uint32_t site) {
  uint64_t ms = recording_ms();
  ledger_enter(h, s, block, size, site, family, ms);
  process_tick(h, ms);
}

EXPORT void *malloc(size_t size) {
  return entry_allocate(size, 0, UL_FAMILY_MALLOC, false, HERE);
}

INLINE void *do_calloc(size_t n, size_t size, const void *frame) {
  size_t bytes;
  if (UNLIKELY(__builtin_mul_overflow(n, size, &bytes))) bytes = SIZE_MAX;
  return entry_allocate(bytes, 0, UL_FAMILY_MALLOC, true, frame);
}

EXPORT void *calloc(size_t n, size_t size) {
  return do_calloc(n, size, HERE);
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
  return entry_allocate(size, align, UL_FAMILY_ALIGNED, false, frame);
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
EXPORT void *aligned_alloc(size_t align, size_t size) {
  WITH_PROGRAM_IN_FRONT(aligned_alloc, align, size)
  return do_memalign(align, size, HERE);
}

EXPORT int posix_memalign(void **result, size_t align, size_t size) {
  WITH_PROGRAM_IN_FRONT(posix_memalign, result, align, size)
  if (!power_of_two(align) || align % sizeof(void *)) return EINVAL;
  int saved = errno;
  void *p = do_memalign(align, size, HERE);
  errno = saved;
  if (!p) return ENOMEM;
  *result = p;
  return 0;
}

EXPORT void *valloc(size_t size) {
  WITH_PROGRAM_IN_FRONT(valloc, size)
  return do_memalign(OS_PAGE, size, HERE);
}

INLINE void *do_pvalloc(size_t size, const void *frame) {
  size_t pages = os_whole_pages(size);
  return do_memalign(OS_PAGE, pages < size ? SIZE_MAX : pages, frame);
}

EXPORT void *pvalloc(size_t size) {
  WITH_PROGRAM_IN_FRONT(pvalloc, size)
  return do_pvalloc(size, HERE);
}

/* glibc's own names for them, which some programs call to get at "the real malloc". */
EXPORT void *__libc_malloc(size_t size) {
  return entry_allocate(size, 0, UL_FAMILY_MALLOC, false, HERE);
}
EXPORT void *__libc_calloc(size_t n, size_t size) {
  return do_calloc(n, size, HERE);
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
