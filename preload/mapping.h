/* mapping.h - the address space: what the OS says is mapped and resident, and
 * which part of it is ours. */
#ifndef ULLAGE_MAPPING_H
#define ULLAGE_MAPPING_H

#include "types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- for the recording --------------------------------------------------------- */

/* In the finishing process: UL_MAPPINGS from /proc/self/smaps with the parts of each
 * that are the heap's and ullage's own; header.end_rss_bytes; resident (and, if writes
 * are watched, written) pages of arenas and large blocks, with the evidence in
 * header.residency. May be called again (a failed exec): the later call replaces
 * the earlier. Keeps errno. Call it with the arena lock held or when no other
 * thread runs. What cannot be read is left 0 and counted (RSS_UNKNOWN). */
void mapping_collect(void);
/* Resident bytes of the process now; 0 (and counted) if they cannot be read. Three system
 * calls; any thread; keeps errno. */
uint64_t mapping_rss(void);
/* From now on note which pages are written (/proc/self/clear_refs). Sets header.writes
 * and writes_ms; false, and header.writes = NONE, if this kernel does not track it.
 * Costs the program a minor fault for the first write to each page afterwards. */
bool mapping_mark_writes(void);

/* The first n rows of a table that is written once, at the end (or again, if the end was
 * none): room is appended as needed, rows too many are zeroed. NULL: no room, or
 * nothing to hold. */
void *mapping_replace_rows(enum ul_table table, size_t n);

/* ---- for the scan -------------------------------------------------------------- */

/* One line of /proc/PID/maps or smaps. */
struct mapped {
  uintptr_t start, end;
  bool read, write, execute, shared;
  uint64_t device, inode; /* 0: anonymous */
  const char *name;       /* in the text; not terminated */
  size_t name_bytes;
};
/* The text of a file of /proc of unknown length, in memory of os_map; NULL: not readable.
 * *mapped_bytes is what to give to os_unmap. */
char *mapping_text(const char *path, size_t *bytes, size_t *mapped_bytes);
/* Parse the line at *cursor and move to the next; false if it is not a mapping's line
 * (smaps has others: the cursor moves all the same). *cursor < end. */
bool mapping_line(const char **cursor, const char *end, struct mapped *m);

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
void mapping_ours_free(struct range_list *list);

/* The first slot of the map of addresses at or above *address, which becomes the start
 * of its megabyte; 0 if there is none. A large block has a slot for each megabyte. */
map_slot mapping_next_slot(uintptr_t *address);

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
#endif
