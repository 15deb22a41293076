/* os.c - the boundary to the operating system, and the place where failures are
 * injected: ULLAGE_FAIL=mmap:3,write:1 fails the third mmap and the first write. */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static _Atomic size_t mapped[OS_USES];

/* ---- fault injection ----------------------------------------------------------- */

static const char *const op_names[OS_OPS] = {
    [OS_OP_MMAP] = "mmap",           [OS_OP_MREMAP] = "mremap", [OS_OP_OPEN] = "open",
    [OS_OP_FALLOCATE] = "fallocate", [OS_OP_WRITE] = "write",   [OS_OP_READ] = "read",
    [OS_OP_FORK] = "fork",
};
static _Atomic long fail_after[OS_OPS]; /* 0: never; n: the n-th call from now fails */

static void inject(const char *spec) {
  for (int op = 0; op < OS_OPS; op++) {
    size_t n = strlen(op_names[op]);
    if (strncmp(spec, op_names[op], n) == 0 && spec[n] == ':')
      atomic_store(&fail_after[op], strtol(spec + n + 1, NULL, 10));
  }
}

void os_inject_faults(const char *specs) {
  for (const char *s = specs; s; s = strchr(s, ',')) {
    if (*s == ',') s++;
    inject(s);
  }
}

bool os_injected(enum os_op op) {
  if (atomic_load_explicit(&fail_after[op], memory_order_relaxed) == 0) return false;
  return atomic_fetch_sub(&fail_after[op], 1) == 1;
}

/* ---- memory -------------------------------------------------------------------- */

static void *map_raw(void *hint, size_t bytes, int protection, int flags) {
  int saved = errno;
  void *p = mmap(hint, bytes, protection, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  errno = saved;
  return p == MAP_FAILED ? NULL : p;
}

static void unmap_raw(void *p, size_t bytes) {
  int saved = errno;
  if (bytes) munmap(p, bytes);
  errno = saved;
}

static void *trim_to_alignment(char *p, size_t bytes, size_t align) {
  char *start = (char *)(((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
  unmap_raw(p, (size_t)(start - p));
  unmap_raw(start + bytes, (size_t)(p + align - start));
  return start;
}

/* The kernel places mappings downwards: just below the last one an aligned hole
 * is likely, and a hint that is taken saves the two unmaps of the excess. */
static void *map_aligned(size_t bytes, size_t align, int protection) {
  static _Atomic uintptr_t last;
  uintptr_t hint = atomic_load_explicit(&last, memory_order_relaxed);
  hint = hint > bytes + align ? (hint - bytes) & ~(uintptr_t)(align - 1) : 0;
  char *p = map_raw((void *)hint, bytes, protection, MAP_NORESERVE);
  if (!p) return NULL;
  if ((uintptr_t)p & (align - 1)) {
    unmap_raw(p, bytes);
    if (bytes + align < bytes) return NULL;
    p = map_raw(NULL, bytes + align, protection, MAP_NORESERVE);
    if (!p) return NULL;
    p = trim_to_alignment(p, bytes, align);
  }
  atomic_store_explicit(&last, (uintptr_t)p, memory_order_relaxed);
  return p;
}

void *os_map(size_t bytes, size_t align, enum os_use use) {
  if (os_injected(OS_OP_MMAP)) return NULL;
  const int access = PROT_READ | PROT_WRITE;
  void *p =
      align > PAGE ? map_aligned(bytes, align, access) : map_raw(NULL, bytes, access, 0);
  if (p) atomic_fetch_add_explicit(&mapped[use], bytes, memory_order_relaxed);
  return p;
}

void os_unmap(void *p, size_t bytes, enum os_use use) {
  unmap_raw(p, bytes);
  atomic_fetch_sub_explicit(&mapped[use], bytes, memory_order_relaxed);
}

bool os_resize(void *p, size_t old_bytes, size_t new_bytes, enum os_use use) {
  if (os_injected(OS_OP_MREMAP)) return false;
  int saved = errno;
  bool done = mremap(p, old_bytes, new_bytes, 0) != MAP_FAILED;
  errno = saved;
  if (done)
    atomic_fetch_add_explicit(&mapped[use], new_bytes - old_bytes, memory_order_relaxed);
  return done;
}

bool os_discard(void *p, size_t bytes) {
  int saved = errno;
  bool done = madvise(p, bytes, MADV_DONTNEED) == 0;
  errno = saved;
  return done;
}

bool os_map_over(void *at, size_t bytes) {
  if (os_injected(OS_OP_MMAP)) return false;
  return map_raw(at, bytes, PROT_READ | PROT_WRITE, MAP_FIXED) != NULL;
}

bool os_move_over(void *from, void *at, size_t bytes, enum os_use use) {
  if (os_injected(OS_OP_MREMAP)) return false;
  int saved = errno;
  void *p = mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at);
  errno = saved;
  if (p == MAP_FAILED) return false;
  atomic_fetch_sub_explicit(&mapped[use], bytes, memory_order_relaxed);
  return true;
}

void *os_map_file(void *at, int fd, uint64_t offset, size_t bytes) {
  if (os_injected(OS_OP_MMAP)) return NULL;
  int saved = errno;
  int fixed = at ? MAP_FIXED : 0;
  void *p =
      mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | fixed, fd, (off_t)offset);
  errno = saved;
  return p == MAP_FAILED ? NULL : p;
}

void os_unmap_file(void *p, size_t bytes) {
  unmap_raw(p, bytes);
}

void os_uncount(size_t bytes, enum os_use use) {
  atomic_fetch_sub_explicit(&mapped[use], bytes, memory_order_relaxed);
}

void *os_map_wiped_in_children(size_t bytes) {
  void *p = map_raw(NULL, bytes, PROT_READ | PROT_WRITE, 0);
  if (!p) return NULL;
  int saved = errno;
  madvise(p, bytes, MADV_WIPEONFORK);
  errno = saved;
  return p;
}

size_t os_mapped(enum os_use use) {
  return atomic_load_explicit(&mapped[use], memory_order_relaxed);
}

/* ---- files --------------------------------------------------------------------- */

int os_open(const char *path, int flags, unsigned mode) {
  if (os_injected(OS_OP_OPEN)) return -EACCES;
  int saved = errno;
  long fd = syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode);
  int result = fd < 0 ? -errno : (int)fd;
  errno = saved;
  return result;
}

void os_close(int fd) {
  int saved = errno;
  syscall(SYS_close, fd);
  errno = saved;
}

ssize_t os_read_all(int fd, void *buffer, size_t bytes) {
  if (os_injected(OS_OP_READ)) return -EIO;
  int saved = errno;
  size_t done = 0;
  while (done < bytes) {
    ssize_t n = syscall(SYS_read, fd, (char *)buffer + done, bytes - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && done == 0) done = (size_t)-errno;
    if (n <= 0) break;
    done += (size_t)n;
  }
  errno = saved;
  return (ssize_t)done;
}

bool os_write_all(int fd, const void *buffer, size_t bytes, uint64_t offset) {
  if (os_injected(OS_OP_WRITE)) return false;
  int saved = errno;
  size_t done = 0;
  while (done < bytes) {
    ssize_t n = syscall(SYS_pwrite64, fd, (const char *)buffer + done, bytes - done,
                        (off_t)(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += (size_t)n;
  }
  errno = saved;
  return done == bytes;
}

bool os_append(int fd, const void *line, size_t bytes) {
  if (os_injected(OS_OP_WRITE)) return false;
  int saved = errno;
  bool done = syscall(SYS_write, fd, line, bytes) == (long)bytes;
  errno = saved;
  return done;
}

/* Beyond RLIMIT_FSIZE the kernel would not just fail but send SIGXFSZ. */
static bool beyond_file_limit(uint64_t end) {
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && end > limit.rlim_cur;
}

int os_allocate(int fd, uint64_t offset, uint64_t bytes) {
  if (os_injected(OS_OP_FALLOCATE)) return -ENOSPC;
  if (beyond_file_limit(offset + bytes)) return -EFBIG;
  int saved = errno, result = 0;
  if (syscall(SYS_fallocate, fd, 0, (off_t)offset, (off_t)bytes) != 0) result = -errno;
  errno = saved;
  return result;
}

ssize_t os_slurp(const char *path, char *buffer, size_t size) {
  int fd = os_open(path, O_RDONLY, 0);
  if (fd < 0) return fd;
  ssize_t n = os_read_all(fd, buffer, size - 1);
  os_close(fd);
  if (n >= 0) buffer[n] = 0;
  return n;
}

/* ---- time, processes ----------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t os_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

uint64_t os_monotonic_ns(void) {
  return clock_ns(CLOCK_MONOTONIC);
}
uint64_t os_real_ns(void) {
  return clock_ns(CLOCK_REALTIME);
}
int os_tid(void) {
  return (int)syscall(SYS_gettid);
}
int os_pid(void) {
  return (int)syscall(SYS_getpid);
}

bool os_thread_alive(int tid) {
  int saved = errno;
  bool alive = syscall(SYS_tgkill, os_pid(), tid, 0) == 0 || errno != ESRCH;
  errno = saved;
  return alive;
}

void os_kill_self(int sig) {
  int saved = errno;
  syscall(SYS_kill, os_pid(), sig);
  errno = saved;
}

void os_exit(int status) {
  for (;;)
    syscall(SYS_exit_group, status);
}
