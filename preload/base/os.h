/* os.h - the only boundary between the preload and the operating system, so
 * that failures can be injected (ULLAGE_FAIL, see os.c) and every byte mapped
 * is counted in one place.
 *
 * Nothing here allocates with malloc or takes a lock; everything keeps errno as
 * it found it and reports failure by its return value (-errno, or NULL). */
#ifndef ULLAGE_OS_H
#define ULLAGE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

enum os_op {
  OS_OP_MMAP,
  OS_OP_MREMAP,
  OS_OP_OPEN,
  OS_OP_FALLOCATE,
  OS_OP_WRITE,
  OS_OP_READ,
  OS_OP_FORK,
  OS_OP_PREAD,
  OS_OP_STAT,
  OS_OP_UNLINK,
  OS_OP_RENAME,
  OS_OP_LINK,
  OS_OP_MINCORE,
  OS_OP_SIGNAL,
  OS_OP_MEMBARRIER,
  OS_OP_MADVISE,
  OS_OP_BACK,
  OS_OP_IOCTL,
  OS_OP_THREAD,
  OS_OPS
};
/* The system call itself, inline: no wrapper of the program's stands in front of it,
 * errno is not touched, and it is safe in a handler and in a raw clone. Result or -errno.
 */
static inline long os_call_raw(long number, long a, long b, long c, long d, long e,
                               long f) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
/* With as many arguments as the call has, numbers or pointers. */
#define os_call(...) OS_CALL_PADDED(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define OS_CALL_PADDED(number, a, b, c, d, e, f, ...)                                    \
  os_call_raw(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* ---- confinement ----------------------------------------------------------------
 *
 * A program that has put itself under a filter of system calls (seccomp) may be killed
 * for one that it does not expect. Once it is confined, everything here fails as if the
 * system had refused, but for what glibc's malloc asks of the kernel, too: to map, unmap,
 * move and discard memory, and to wait for a lock. And who ends may end. */
extern bool os_is_confined;
static inline bool os_confined(void) {
  return __atomic_load_n(&os_is_confined, __ATOMIC_RELAXED);
}
void os_confine(bool confined);

/* "mmap:3,write:1": fail the third mmap and the first write from now on. */
void os_inject_faults(const char *specs);
/* Counts a call of op; true if it has to fail: it is the one, or not for the confined. */
bool os_injected(enum os_op op);

/* What a mapping is for: the counters of the accounting identity. */
enum os_use { OS_ARENA, OS_LARGE, OS_TOOL, OS_USES };

enum { OS_PAGE = 4096 };

/* Where the page begins that the address lies in. */
static inline uintptr_t os_page_of(uintptr_t address) {
  return address & ~(uintptr_t)(OS_PAGE - 1);
}

static inline size_t os_whole_pages(size_t bytes) {
  return (bytes + OS_PAGE - 1) & ~(size_t)(OS_PAGE - 1);
}

/* Whole pages, zeroed, private; aligned to `align` (a power of two, at least a
 * page). NULL if there is no memory. */
void *os_map(size_t bytes, size_t align, enum os_use use);
void os_unmap(void *p, size_t bytes, enum os_use use);
/* From now on os_map takes memory out of that, which is zeroed, and os_unmap gives none
 * of it back; NULL: no more. While there is no thread but those that are meant. */
void os_map_from(void *start, size_t bytes);
/* Grow or shrink a mapping where it is. 0 or -errno, then nothing has changed. */
int os_resize(void *p, size_t old_bytes, size_t new_bytes, enum os_use use);
/* Give the pages' memory back; they read as zeros. 0 or -errno (they are locked). */
int os_discard(void *p, size_t bytes);
/* Is there a mapping of anything around the address? */
bool os_is_mapped(const void *p);
/* Whole pages of no file read as zeros in a forked child (MADV_WIPEONFORK), but on an old
 * kernel without it. */
void os_wipe_in_children(void *p, size_t bytes);
/* Bytes mapped now for that use. */
size_t os_mapped(enum os_use use);

/* Files: descriptors are closed before the call that opened them returns to
 * the program; -errno on failure. */
int os_open(const char *path, int flags, unsigned mode);
void os_close(int fd);
/* Up to its end, from `offset` on. Never from where the descriptor is: another thread may
 * have put a pipe of the program at its number meanwhile (dup2), which must not lose
 * anything. */
ssize_t os_read_all(int fd, void *buffer, size_t bytes, uint64_t offset);
/* All of it or an error, as for all below that return int: 0 or -errno. */
int os_read_at(int fd, void *buffer, size_t bytes, uint64_t offset);
/* What there is of it, up to `bytes`; or -errno. */
ssize_t os_read_part(int fd, void *buffer, size_t bytes, uint64_t offset);
int os_write_all(int fd, const void *buffer, size_t bytes, uint64_t offset);
int os_append(int fd, const void *line, size_t bytes); /* one write */
/* A file of that folder's file system that has no name yet. -EOPNOTSUPP: it has none
 * such.
 */
int os_open_unnamed(const char *folder, unsigned mode);
/* Give it one; -EEXIST if somebody has it. */
int os_link(int fd, const char *path);
/* How long the file is said to be. Never SIGXFSZ: -EFBIG. By name for whoever has no
 * descriptor. */
int os_set_length(int fd, uint64_t bytes);
int os_set_length_of(const char *path, uint64_t bytes);
/* What its file system has free for us, how long a file of ours may be, whether it leaves
 * out what was never written, and whether it writes elsewhere what is written again. */
struct os_room {
  uint64_t free, longest;
  bool sparse, copied;
};
int os_room(int fd, struct os_room *room);
/* Which file it is, whatever it is called. */
struct os_file {
  uint64_t device, inode;
  unsigned owner;
  bool regular;
};
static inline bool os_same_file(const struct os_file *a, const struct os_file *b) {
  return a->device == b->device && a->inode == b->inode;
}
int os_identify(int fd, struct os_file *file);
int os_identify_at(const char *path, struct os_file *file); /* no link is followed */
int os_give(int fd, unsigned user);
/* Write where it was written before, if the file system would rather not (btrfs): what
 * has room once keeps it. Of a file that is empty. */
void os_write_in_place(int fd);
int os_unlink(const char *path);
int os_rename(const char *from, const char *to);
int os_access(const char *path, int mode);
/* What the link says, without a NUL; bytes or -errno. */
ssize_t os_link_target(const char *path, char *target, size_t size);
int os_directory(char *path, size_t size); /* the current one */
/* Entries (struct dirent64) of the directory; bytes, 0 at its end, or -errno. */
ssize_t os_list(int fd, void *entries, size_t bytes);
bool os_is_terminal(int fd);
int os_ioctl(int fd, unsigned long request, void *argument); /* its result */

/* Shared; at *at in place of what is there, or (NULL) anywhere, which is then in *at. */
int os_map_file(void **at, int fd, uint64_t offset, size_t bytes);
void os_unmap_file(void *p, size_t bytes);
/* `bytes` of the same file, from the page at `page` on, mapped once more, anywhere: takes
 * neither descriptor nor name, nor any right to the file. */
int os_map_again(void **at, const void *page, size_t bytes);
/* Let the file have room for what is mapped there: a write into it cannot fail any more.
 * -ENOSPC: it cannot have. */
int os_back(void *at, size_t bytes);
/* Hints: of memory that will soon be written, all of it, and that may as well have huge
 * pages. */
void os_populate(void *p, size_t bytes);
void os_prefer_huge(void *p, size_t bytes);
/* Not those: little of it will be. */
void os_prefer_small(void *p, size_t bytes);
/* os_map'ed memory became something else (a file's): it counts no longer. */
void os_uncount(size_t bytes, enum os_use use);
/* Zeroed private memory in place of what is there. */
int os_map_over(void *at, size_t bytes);
/* The same, read-only and without a claim to memory: for a handler of faults. */
int os_map_zeros(void *at, size_t bytes);
/* Zeroed memory that a child shares, address space more than memory. os_unmap_file it. */
int os_map_shared(void **at, size_t bytes);
/* The program's arguments, a NUL behind each, and how many bytes they are; 0: they are
 * not where the kernel has put them. */
size_t os_arguments(const char **first);
/* Can the word at that multiple of 8 be read? When confined, only the main thread's stack
 * can for certain. */
bool os_readable(uintptr_t address);
/* For each page whether it is in memory, in bit 0. */
int os_in_memory(uintptr_t start, size_t bytes, unsigned char *pages);
/* Move `bytes` of mapping to `at`, in place of a mapping of new_bytes that is there
 * already; what is new reads as zeros. */
int os_move_over(void *from, size_t bytes, void *at, size_t new_bytes, enum os_use use);
/* The same for what is not counted. */
int os_take_place(void *from, size_t bytes, void *at, size_t new_bytes);
/* The whole file in `buffer`, at most size - 1 bytes and a NUL; bytes read or -errno. */
ssize_t os_slurp(const char *path, char *buffer, size_t size);

/* A full barrier in every running thread of this process (private expedited membarrier);
 * false where the kernel has none, or os_barrier_register has not been called.
 * Registering costs nothing while the process has one thread. */
bool os_barrier_register(void);
bool os_barrier_all_threads(void);

/* CLOCK_MONOTONIC_COARSE, which moves every few ms; as it comes, to be compared. */
typedef int os_clock_reader(clockid_t clock, struct timespec *t);
extern os_clock_reader *os_clock __attribute__((visibility("hidden")));
enum { OS_TICK_NS_BITS = 30 };
static inline uint64_t os_tick(void) {
  struct timespec t;
  __atomic_load_n(&os_clock, __ATOMIC_RELAXED)(CLOCK_MONOTONIC_COARSE, &t);
  return (uint64_t)t.tv_sec << OS_TICK_NS_BITS | (uint64_t)t.tv_nsec;
}
static inline uint64_t os_tick_ms(uint64_t tick) {
  uint64_t ns = tick & ((1u << OS_TICK_NS_BITS) - 1);
  return (tick >> OS_TICK_NS_BITS) * 1000u + ns / 1000000u;
}
static inline uint64_t os_ms(void) {
  return os_tick_ms(os_tick());
}
uint64_t os_monotonic_ns(void);
uint64_t os_real_ns(void);
uint64_t os_thread_ns(void);  /* processor time of this thread; a system call */
uint64_t os_process_ns(void); /* of the process, which is a sum over its threads */
/* System calls: true even in a raw clone. 0: confined, nobody knows. */
int os_tid(void);
int os_pid(void);
int os_parent(void);
unsigned os_user(void);          /* the effective one */
uint64_t os_limit(int resource); /* RLIMIT_...; UINT64_MAX: none, or nobody knows */
bool os_thread_alive(int tid);   /* or nobody knows */
/* At the beginning, and in a forked child. The id of the process is that of its leader,
 * and stays in use when that thread has ended and others live: this is how its end is
 * known. */
void os_leader_begin(void);
unsigned os_threads(void);  /* of this process; 0: nobody knows */
void os_kill_self(int sig); /* the process */
/* At once: no handler runs, and not our own _exit. */
_Noreturn void os_exit(int status);
#endif
