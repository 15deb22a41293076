/* residency.h - what the recording says of the address space: how much of it is
 * resident, how much of that is the heap's and ullage's own, and which pages of the
 * heap are resident or written. */
#ifndef ULLAGE_RESIDENCY_H
#define ULLAGE_RESIDENCY_H

#include <stdbool.h>
#include <stdint.h>

/* In the finishing process: UL_MAPPINGS from /proc/self/smaps with the parts of each
 * that are the heap's and ullage's own; header.end_rss_bytes and most_rss_bytes; resident
 * (and, if writes are watched, written) pages of arenas and large blocks, with the
 * evidence in header.residency. May be called again (a failed exec): the later call replaces
 * the earlier. Keeps errno. Call it with the arena lock held or when no other
 * thread runs. What cannot be read is left 0 and counted (RSS_UNKNOWN). */
void residency_collect(void);
/* Resident bytes of the process now; 0 (and counted) if they cannot be read. Three system
 * calls; any thread; keeps errno. */
uint64_t residency_rss(void);
/* From now on note which pages are written (/proc/self/clear_refs). Sets header.writes
 * and writes_ms; false, and header.writes = NONE, if this kernel does not track it.
 * Costs the program a minor fault for the first write to each page afterwards. */
bool residency_mark_writes(void);
#endif
