/* mapping.h - the address space: what /proc says is mapped and of which pages, and
 * which part of it is ours. What the recording gets from it is in residency.h. */
#ifndef ULLAGE_MAPPING_H
#define ULLAGE_MAPPING_H

#include "heap/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- lines of /proc ------------------------------------------------------------ */

/* One line of /proc/PID/maps or smaps. */
struct mapped {
  uintptr_t start, end;
  bool read, write, execute, shared;
  uint64_t device, inode; /* 0: anonymous */
  const char *name;       /* in the text; not terminated */
  size_t name_bytes;
};
/* The text of a file of /proc of unknown length, in memory of os_map; NULL: not readable.
 * (Of thread-self: /proc/self is empty once the main thread has ended.)
 * *mapped_bytes is what to give to os_unmap. */
char *mapping_text(const char *path, size_t *bytes, size_t *mapped_bytes);
/* What an account has read of all mappings may serve the scan that comes next, if nobody
 * else runs meanwhile: kept until it is forgotten. NULL: there is none. */
struct kept_text {
  char *text;
  size_t bytes, mapped_bytes;
};
void mapping_keep(char *text, size_t bytes, size_t mapped_bytes);
struct kept_text mapping_kept(void);
void mapping_forget(void);
/* Parse the line at *cursor and move to the next; false if it is not a mapping's line
 * (smaps has others: the cursor moves all the same). *cursor < end. */
bool mapping_line(const char **cursor, const char *end, struct mapped *m);
/* Does its name begin so? */
bool mapping_begins(const struct mapped *m, const char *name);
/* May it be a device's? By its name; also what is the kernel's ("[vdso]"). */
bool mapping_is_device(const struct mapped *m);
/* One of smaps' other lines: does it say that the mapping is of a device's own memory,
 * which may block, fail or do something when it is read (VmFlags io, pf)? */
bool mapping_of_device(const char *line, const char *end);
/* The decimal number at *cursor, after any spaces; false if there is none. The cursor
 * moves behind it. */
bool mapping_number(const char **cursor, const char *end, uint64_t *value);

/* ---- pages --------------------------------------------------------------------- */

/* Page by page, batched. The bits are those of /proc/PID/pagemap. */
#define PAGE_PRESENT (UINT64_C(1) << 63)
#define PAGE_SWAPPED (UINT64_C(1) << 62)
#define PAGE_SOFT_DIRTY (UINT64_C(1) << 55)
/* A descriptor of this process's pagemap, -errno if there is none. Valid for this
 * process's memory even when used by a child. os_close it. */
int mapping_pagemap_open(void);
/* Bits of `pages` pages from `start`; without pagemap (fd < 0) by mincore, of
 * which only PAGE_PRESENT comes. false: neither can be had. */
bool mapping_pages(int fd, uintptr_t start, size_t pages, uint64_t *bits);

/* Runs of pages that are alike: PAGEMAP_SCAN of <linux/fs.h> (Linux 6.7), which walks
 * page tables and not pages. */
struct page_run {
  uint64_t start, end, is;
};
enum { /* what a page is */
       RUN_FILE = 1 << 2,
       RUN_PRESENT = 1 << 3,
       RUN_SWAPPED = 1 << 4,
       RUN_ZERO = 1 << 5, /* the page of zeros, which nobody counts as resident */
       RUN_HUGE = 1 << 6
};
/* Of [*start, end) those that are any of `any_of`, alike in `alike`; *start moves to
 * where it got. How many there are, or -errno; if it has not moved, it will not. */
int mapping_runs(int fd, uintptr_t *start, uintptr_t end, unsigned any_of, unsigned alike,
                 struct page_run *runs, size_t length);

/* ---- what is ours -------------------------------------------------------------- */

/* A piece of the address space that is ours, and for what. */
enum range_owner { RANGE_HEAP, RANGE_TOOL };
struct range {
  uintptr_t start, end;
  enum range_owner owner;
};
struct range_list {
  struct range *ranges; /* by address, disjoint */
  size_t count, capacity;
  size_t mapped_bytes; /* 0: not mapped */
};
/* All arenas and large blocks, ullage's metadata, its own .data and .bss, and the
 * recording. false: no memory. Free with mapping_ours_free. */
bool mapping_ours(struct range_list *list);
/* One more range of RANGE_TOOL, in its place by address; false: no memory. */
bool mapping_ours_add(struct range_list *list, uintptr_t start, uintptr_t end);
void mapping_ours_free(struct range_list *list);
/* By their start. */
void mapping_sort(struct range_list *list);
#endif
