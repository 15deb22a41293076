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

/* What a mapping is for: the counters of the accounting identity. */
enum os_use { OS_ARENA, OS_LARGE, OS_TOOL, OS_USES };

/* Whole pages, zeroed, private; aligned to `align` (a power of two, at least a
 * page). NULL if there is no memory. */
void *os_map(size_t bytes, size_t align, enum os_use use);
void os_unmap(void *p, size_t bytes, enum os_use use);
/* Grow or shrink a mapping, in place or (keeping `align`) elsewhere. NULL: failed,
 * nothing changed. */
void *os_remap(void *p, size_t old_bytes, size_t new_bytes, size_t align,
               enum os_use use);
/* Give the pages' memory back; they read as zeros. */
bool os_discard(void *p, size_t bytes);
/* Address space only, no access. */
void *os_reserve(size_t bytes);
/* Bytes mapped now for that use. */
size_t os_mapped(enum os_use use);

/* Files: descriptors are closed before the call that opened them returns to
 * the program; -errno on failure. */
int os_open(const char *path, int flags, unsigned mode);
void os_close(int fd);
ssize_t os_read_all(int fd, void *buffer, size_t bytes);
bool os_write_all(int fd, const void *buffer, size_t bytes, uint64_t offset);
int os_allocate(int fd, uint64_t offset, uint64_t bytes); /* 0 or -errno */
bool os_map_file(void *at, int fd, uint64_t offset, size_t bytes);
/* Zeroed private memory in place of what is there. */
bool os_map_over(void *at, size_t bytes);
/* The whole file in `buffer`, at most size - 1 bytes and a NUL; bytes read or -errno. */
ssize_t os_slurp(const char *path, char *buffer, size_t size);

uint64_t os_ms(void); /* CLOCK_MONOTONIC_COARSE, some ms */
uint64_t os_monotonic_ns(void);
uint64_t os_real_ns(void);
int os_tid(void); /* system calls: true even in a raw clone */
int os_pid(void);
bool os_thread_alive(int tid);
#endif
