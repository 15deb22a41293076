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
#include <sys/types.h>

enum os_op {
  OS_OP_MMAP,
  OS_OP_MREMAP,
  OS_OP_OPEN,
  OS_OP_FALLOCATE,
  OS_OP_WRITE,
  OS_OP_READ,
  OS_OP_FORK,
  OS_OPS
};
/* "mmap:3,write:1": fail the third mmap and the first write from now on. */
void os_inject_faults(const char *specs);
/* Counts a call of op; true if it is the one that has to fail. */
bool os_injected(enum os_op op);

/* What a mapping is for: the counters of the accounting identity. */
enum os_use { OS_ARENA, OS_LARGE, OS_TOOL, OS_USES };

/* Whole pages, zeroed, private; aligned to `align` (a power of two, at least a
 * page). NULL if there is no memory. */
void *os_map(size_t bytes, size_t align, enum os_use use);
void os_unmap(void *p, size_t bytes, enum os_use use);
/* Grow or shrink a mapping where it is. false: failed, nothing changed. */
bool os_resize(void *p, size_t old_bytes, size_t new_bytes, enum os_use use);
/* Give the pages' memory back; they read as zeros. */
bool os_discard(void *p, size_t bytes);
/* A private mapping that reads as zeros in a forked child (MADV_WIPEONFORK; an old kernel
 * without it gives ordinary memory). */
void *os_map_wiped_in_children(size_t bytes);
/* Bytes mapped now for that use. */
size_t os_mapped(enum os_use use);

/* Files: descriptors are closed before the call that opened them returns to
 * the program; -errno on failure. */
int os_open(const char *path, int flags, unsigned mode);
void os_close(int fd);
ssize_t os_read_all(int fd, void *buffer, size_t bytes);
bool os_write_all(int fd, const void *buffer, size_t bytes, uint64_t offset);
bool os_append(int fd, const void *line, size_t bytes);   /* one write */
int os_allocate(int fd, uint64_t offset, uint64_t bytes); /* 0 or -errno */
/* Shared; at `at` in place of what is there, or (NULL) anywhere. NULL: failed. */
void *os_map_file(void *at, int fd, uint64_t offset, size_t bytes);
void os_unmap_file(void *p, size_t bytes);
/* os_map'ed memory became something else (a file's): it counts no longer. */
void os_uncount(size_t bytes, enum os_use use);
/* Zeroed private memory in place of what is there. */
bool os_map_over(void *at, size_t bytes);
/* Move `bytes` of mapping to `at`, in place of a mapping that is there already. */
bool os_move_over(void *from, void *at, size_t bytes, enum os_use use);
/* The whole file in `buffer`, at most size - 1 bytes and a NUL; bytes read or -errno. */
ssize_t os_slurp(const char *path, char *buffer, size_t size);

uint64_t os_ms(void); /* CLOCK_MONOTONIC_COARSE, some ms */
uint64_t os_monotonic_ns(void);
uint64_t os_real_ns(void);
int os_tid(void); /* system calls: true even in a raw clone */
int os_pid(void);
bool os_thread_alive(int tid);
void os_kill_self(int sig); /* the process */
/* At once: no handler runs, and not our own _exit. */
_Noreturn void os_exit(int status);
#endif
