/* os_memory.c - mappings, and how many bytes of them there are for each use. */
#include "base/os.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static _Atomic size_t mapped[OS_USES];

static void count(enum os_use use, size_t bytes) {
  atomic_fetch_add_explicit(&mapped[use], bytes, memory_order_relaxed);
}

static bool failed(long result) {
  return result < 0 && result >= -4095;
}

static void *map_raw(void *hint, size_t bytes, int protection, int flags) {
  long p = os_call(SYS_mmap, hint, bytes, protection, flags | MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
  return failed(p) ? NULL : (void *)p;
}

static void unmap_raw(void *p, size_t bytes) {
  if (bytes) os_call(SYS_munmap, p, bytes);
}

static void *trim_to_alignment(char *p, size_t bytes, size_t align) {
  char *start = (char *)(((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
  unmap_raw(p, (size_t)(start - p));
  unmap_raw(start + bytes, (size_t)(p + align - start));
  return start;
}

static _Atomic uintptr_t last_aligned,
    lowest; /* `lowest` while there is no aligned one */

static void *map_somewhere(size_t bytes, int protection) {
  char *p = map_raw(NULL, bytes, protection, 0);
  uintptr_t low = atomic_load_explicit(&lowest, memory_order_relaxed);
  bool first = !atomic_load_explicit(&last_aligned, memory_order_relaxed);
  if (first && p && (!low || (uintptr_t)p < low))
    atomic_store_explicit(&lowest, (uintptr_t)p, memory_order_relaxed);
  return p;
}

/* The kernel places mappings downwards: just below the last one, or the
 * lowest of others, an aligned hole is likely, and a hint that is taken saves the two
 * unmaps of the excess. */
static void *map_aligned(size_t bytes, size_t align, int protection) {
  uintptr_t hint = atomic_load_explicit(&last_aligned, memory_order_relaxed);
  if (!hint) hint = atomic_load_explicit(&lowest, memory_order_relaxed);
  hint = hint > bytes + align ? (hint - bytes) & ~(uintptr_t)(align - 1) : 0;
  char *p = map_raw((void *)hint, bytes, protection, 0);
  if (!p) return NULL;
  if ((uintptr_t)p & (align - 1)) {
    unmap_raw(p, bytes);
    if (bytes + align < bytes) return NULL;
    p = map_raw(NULL, bytes + align, protection, 0);
    if (!p) return NULL;
    p = trim_to_alignment(p, bytes, align);
  }
  atomic_store_explicit(&last_aligned, (uintptr_t)p, memory_order_relaxed);
  return p;
}

static struct {
  char *start, *end;
  _Atomic size_t used;
} given;

void os_map_from(void *start, size_t bytes) {
  given.start = start;
  given.used = 0;
  given.end = given.start ? given.start + bytes : NULL;
}

static bool is_given(const char *p) {
  return given.start && p >= given.start && p < given.end;
}

static void *take_given(size_t bytes, size_t align) {
  size_t room = (size_t)(given.end - given.start), whole = os_whole_pages(bytes);
  size_t used = atomic_load_explicit(&given.used, memory_order_relaxed);
  do
    if (align > OS_PAGE || whole > room - used) return NULL;
  while (!atomic_compare_exchange_weak(&given.used, &used, used + whole));
  return given.start + used;
}

void *os_map(size_t bytes, size_t align, enum os_use use) {
  if (os_injected(OS_OP_MMAP)) return NULL;
  if (given.start) return take_given(bytes, align);
  const int access = PROT_READ | PROT_WRITE;
  void *p =
      align > OS_PAGE ? map_aligned(bytes, align, access) : map_somewhere(bytes, access);
  if (p) count(use, bytes);
  return p;
}

void os_unmap(void *p, size_t bytes, enum os_use use) {
  if (is_given(p)) return;
  unmap_raw(p, bytes);
  count(use, -bytes);
}

int os_resize(void *p, size_t old_bytes, size_t new_bytes, enum os_use use) {
  if (os_injected(OS_OP_MREMAP)) return -ENOMEM;
  long moved = os_call(SYS_mremap, p, old_bytes, new_bytes, 0);
  if (failed(moved)) return (int)moved;
  count(use, new_bytes - old_bytes);
  return 0;
}

int os_discard(void *p, size_t bytes) {
  if (os_injected(OS_OP_MADVISE)) return -EINVAL;
  return (int)os_call(SYS_madvise, p, bytes, MADV_DONTNEED);
}

/* An advice that changes nothing, by a call that malloc makes anyway: a filter of system
 * calls lets it through. */
bool os_is_mapped(const void *p) {
  uintptr_t page = os_page_of((uintptr_t)p);
  return os_call(SYS_madvise, page, OS_PAGE, MADV_WILLNEED) != -ENOMEM;
}

/* 0 or -errno; where it is, in *at. */
static int map_at(void **at, size_t bytes, int protection, int flags, int fd,
                  uint64_t offset) {
  long p = os_call(SYS_mmap, *at, bytes, protection, flags, fd, offset);
  if (failed(p)) return (int)p;
  *at = (void *)p;
  return 0;
}

int os_map_over(void *at, size_t bytes) {
  if (os_injected(OS_OP_MMAP)) return -ENOMEM;
  return map_at(&at, bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

int os_map_zeros(void *at, size_t bytes) {
  if (os_injected(OS_OP_MMAP)) return -ENOMEM;
  return map_at(&at, bytes, PROT_READ,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

int os_map_shared(void **at, size_t bytes) {
  if (os_injected(OS_OP_MMAP)) return -ENOMEM;
  *at = NULL;
  return map_at(at, bytes, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* The kernel lets it grow downwards in one piece, and maps nothing within GAP below its
 * end by itself. */
static bool on_main_stack(uintptr_t address) {
  extern void *__libc_stack_end; /* of the loader */
  enum { GAP = 128 << 20 };
  uintptr_t end = (uintptr_t)__libc_stack_end;
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  return here <= address && address < end && end - here < GAP;
}

/* As the kernel has laid them out above the end of the stack: one after the other. Where
 * the loader was itself asked to run the program they have been moved, and a program may
 * have put others in their place. */
size_t os_arguments(const char **first) {
  extern void *__libc_stack_end;
  const uintptr_t *stack = __libc_stack_end;
  char *const *arguments = (char *const *)(stack + 1);
  if (getauxval(AT_BASE) == 0 || (intptr_t)stack[0] <= 0) return 0;
  const char *end = arguments[0];
  for (uintptr_t i = 0; i < stack[0]; i++) {
    if (arguments[i] != end || (uintptr_t)end < (uintptr_t)stack) return 0;
    end += strlen(end) + 1;
  }
  *first = arguments[0];
  return (size_t)(end - *first);
}

/* An impossible `how` is only refused after the set has been read. */
bool os_readable(uintptr_t address) {
  enum { NO_HOW = -1, SIGNALS = 8 };
  if (on_main_stack(address)) return true;
  if (os_confined()) return false;
  return os_call(SYS_rt_sigprocmask, NO_HOW, address, NULL, SIGNALS) != -EFAULT;
}

int os_in_memory(uintptr_t start, size_t bytes, unsigned char *pages) {
  if (os_injected(OS_OP_MINCORE)) return -EAGAIN;
  return (int)os_call(SYS_mincore, start, bytes, pages);
}

int os_take_place(void *from, size_t bytes, void *at, size_t new_bytes) {
  if (os_injected(OS_OP_MREMAP)) return -ENOMEM;
  long p = os_call(SYS_mremap, from, bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at);
  return failed(p) ? (int)p : 0;
}

int os_move_over(void *from, size_t bytes, void *at, size_t new_bytes, enum os_use use) {
  int error = os_take_place(from, bytes, at, new_bytes);
  if (!error) count(use, -bytes);
  return error;
}

/* ---- files --------------------------------------------------------------------- */

/* A file with holes: read ahead, each first write into one would fill a folio of up to
 * some MiB (1.4 ms instead of 5 us on ext4). */
static void expect_holes(void *at, size_t bytes) {
  os_call(SYS_madvise, at, bytes, MADV_RANDOM);
}

int os_map_file(void **at, int fd, uint64_t offset, size_t bytes) {
  if (os_injected(OS_OP_MMAP)) return -ENOMEM;
  int fixed = *at ? MAP_FIXED : 0;
  int error = map_at(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | fixed, fd, offset);
  if (!error) expect_holes(*at, bytes);
  return error;
}

/* mremap(2): an old size of 0 makes a second mapping of what is shared, with the advice
 * that the first was given. */
int os_map_again(void **at, const void *page, size_t bytes) {
  if (os_injected(OS_OP_MMAP)) return -ENOMEM;
  long p = os_call(SYS_mremap, page, 0, bytes, MREMAP_MAYMOVE);
  if (failed(p)) return (int)p;
  *at = (void *)p;
  return 0;
}

/* Before Linux 5.14: any system call that stores a word of ours makes the kernel fault
 * the page in, and says EFAULT where we would have got SIGBUS. */
static int touch_each_page(char *at, size_t bytes) {
  enum { SIGNALS = 8 };
  for (char *page = at; page < at + bytes; page += OS_PAGE) {
    long error = os_call(SYS_rt_sigprocmask, SIG_BLOCK, NULL, page, SIGNALS);
    if (error) return (int)error;
    __builtin_memset(page, 0, SIGNALS);
  }
  return 0;
}

int os_back(void *at, size_t bytes) {
  if (os_injected(OS_OP_BACK)) return -ENOSPC;
  long error = os_call(SYS_madvise, at, bytes, MADV_POPULATE_WRITE);
  if (error == -EINVAL && !os_confined()) error = touch_each_page(at, bytes);
  return error ? -ENOSPC : 0;
}

void os_populate(void *p, size_t bytes) {
  os_call(SYS_madvise, p, bytes, MADV_POPULATE_WRITE);
}

void os_prefer_huge(void *p, size_t bytes) {
  os_call(SYS_madvise, p, bytes, MADV_HUGEPAGE);
}

void os_prefer_small(void *p, size_t bytes) {
  os_call(SYS_madvise, p, bytes, MADV_NOHUGEPAGE);
}

void os_unmap_file(void *p, size_t bytes) {
  unmap_raw(p, bytes);
}

void os_uncount(size_t bytes, enum os_use use) {
  count(use, -bytes);
}

void os_wipe_in_children(void *p, size_t bytes) {
  os_call(SYS_madvise, p, bytes, MADV_WIPEONFORK);
}

size_t os_mapped(enum os_use use) {
  return atomic_load_explicit(&mapped[use], memory_order_relaxed);
}
