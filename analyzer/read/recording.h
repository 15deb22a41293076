/* recording.h - reading a recording: everything behind it may be hostile.
 *
 * A recording may be complete, still being written, left behind by a killed
 * process, cut short, damaged, or not a recording at all. recording_open()
 * copies what is in use into memory (never a mapping: a file truncated under us
 * must not be a SIGBUS), referring tables before the tables they refer to, so
 * that a reference taken from a file that grows meanwhile is always covered.
 *
 * Then every offset, count and index is checked, once. After a successful open
 * these invariants hold and no reader needs to check again:
 *   - each table has recording_count() elements, and they are all readable;
 *   - every text offset leads to a NUL-terminated string;
 *   - node.parent < node's own index (but for nodes 0..2), so each walk ends;
 *     nodes and sites have codes that exist, whose module is an index of UL_MODULES or
 *     UL_NO_MODULE;
 *   - sites lead to nodes; leaks, chunks and ledger entries lead to
 *     sites; chunks lead to heaps and there are counters for each chunk;
 *   - pools lie in their arena without overlapping, have a class and a range of
 *     entries that exist; arenas and larges do not overlap each other;
 *   - rows of a snapshot exist (rows.h); slots seen in the middle of a rewrite are FREE.
 *
 * A violation is an error, unless a thread may have been in the middle of writing
 * that element: in the recording of a running or killed process, and a few in that of
 * one that ended while other threads went on. Such an element is blanked in our copy
 * and counted in recording_unsettled().
 *
 * Nothing here prints. One recording may be used by one thread at a time. */
#ifndef ULLAGE_RECORDING_H
#define ULLAGE_RECORDING_H

#include "format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recording;

/* Open and check `path` ("-": standard input). NULL: `error` holds one line that says
 * what is wrong, where, and what to do; it does not begin with the path. */
struct recording *recording_open(const char *path, char *error, size_t error_bytes);
/* The same from memory, which is not kept. No look at whether the process still runs:
 * `alive` says so. */
struct recording *recording_open_memory(const void *data, size_t bytes, bool alive,
                                        char *error, size_t error_bytes);
void recording_close(struct recording *r); /* NULL is fine */

const char *recording_path(const struct recording *r);
const struct ul_header *recording_header(const struct recording *r);
/* What it holds: the file may be said to be longer than that. */
uint64_t recording_file_bytes(const struct recording *r);

/* How the recorded process ended. A file in state RUNNING is of a running process
 * if /proc/PID still shows the same start time, else of a killed one. */
enum recording_end {
  RECORDING_RUNNING, /* or it did, when a copy was made (copied_ms) */
  RECORDING_KILLED,   /* no time for a last word: SIGKILL, crash, power */
  RECORDING_EXITED,   /* header.status: exit status */
  RECORDING_SIGNALED, /* header.status: signal */
  RECORDING_EXECED,
  RECORDING_ABORTED,
  RECORDING_UNSEEN, /* gone, in a confinement that let it say nothing (confined_ms) */
  RECORDING_ELSEWHERE /* in another name space (pid_space): it may run or have been killed */
};
enum recording_end recording_end(const struct recording *r);
/* Ended by SIGKILL, or without a word, which may have been one. */
bool recording_was_killed(const struct recording *r);
/* Processes that the kernel killed for want of memory while it ran (format.h). */
struct ul_kills recording_kills(const struct recording *r);
/* ... and it was one of them, as far as its control group counts them. */
bool recording_was_oom_killed(const struct recording *r);
/* Milliseconds the recording covers: to its end, or to the last thing known in it. */
uint64_t recording_duration_ms(const struct recording *r);
/* The recorded process runs, now. */
bool recording_runs(const struct recording *r);
/* The same of a header that was read by itself; and what time it is in its process. */
bool recording_header_runs(const struct ul_header *h);
uint64_t recording_header_now_ms(const struct ul_header *h);
/* Elements blanked because the process was in the middle of writing them. */
uint64_t recording_unsettled(const struct recording *r);

/* Elements of a table, and one of them; NULL if there is no such element. */
uint64_t recording_count(const struct recording *r, enum ul_table table);
const void *recording_at(const struct recording *r, enum ul_table table, uint64_t i);

/* The same, typed. NULL if there is no such element. */
const struct ul_module *recording_module(const struct recording *r, uint64_t i);
uint64_t recording_code(const struct recording *r, uint64_t i); /* 0: none */
const struct ul_node *recording_node(const struct recording *r, uint64_t i);
const struct ul_site *recording_site(const struct recording *r, uint64_t i);
const struct ul_arena *recording_arena(const struct recording *r, uint64_t i);
const struct ul_large *recording_large(const struct recording *r, uint64_t i);
const struct ul_snapshot *recording_snapshot(const struct recording *r, uint64_t i);
const struct ul_leak *recording_leak(const struct recording *r, uint64_t i);
const struct ul_mapping *recording_mapping(const struct recording *r, uint64_t i);
const struct ul_drag *recording_drag(const struct recording *r, uint64_t i);
const struct ul_fill *recording_fill(const struct recording *r, uint64_t site);
/* The scan's, of the live block with that entry; UL_NO_VERDICT: not known. */
enum ul_verdict recording_verdict(const struct recording *r, uint64_t entry);
uint64_t recording_entry(const struct recording *r, uint64_t i); /* 0: none */

/* What was seen of the running process from outside (live.h), in place of what it
 * would have recorded at its end. Takes the mappings (malloc'ed, valid, without names)
 * and counts on the resident bits and bytes of arenas and larges to be set. */
void recording_observe(struct recording *r, struct ul_mapping *mappings, uint64_t count,
                       uint64_t rss_bytes);

/* A string of UL_TEXT; "" if there is none. Owned by the recording. */
const char *recording_text(const struct recording *r, uint32_t offset);
/* Argument i of the command line; NULL after the last. */
const char *recording_argument(const struct recording *r, uint32_t i);

/* The call stack of a site, innermost frame first: at most `max` codes into `codes`
 * (may be NULL), the number of frames there are as result (0 for the reserved sites
 * that have no stack). *end (may be NULL): UL_NODE_ROOT (complete), UL_NODE_CUT or
 * UL_NODE_BROKEN. */
size_t recording_stack(const struct recording *r, uint32_t site, uint64_t *codes,
                       size_t max, uint32_t *end);
/* The address that a code stands for, as its object was loaded last. It is a return
 * address: symbolize address - 1. */
uint64_t recording_address(const struct recording *r, uint64_t code);
/* Of the site of what ullage's own libraries allocate: not the program's. */
static inline bool recording_site_is_own(uint32_t site) {
  return site == UL_SITE_ULLAGE;
}
/* Of a forked child: what its parent has allocated there before. */
static inline bool recording_site_is_inherited(const struct recording *r, uint32_t site) {
  const struct ul_header *h = recording_header(r);
  return h->features & UL_FEATURE_INHERITED && ul_is_inherited(h, site);
}
/* Either: not this process's doing. */
static inline bool recording_site_is_others(const struct recording *r, uint32_t site) {
  return recording_site_is_own(site) || recording_site_is_inherited(r, site);
}
/* What a site without a stack stands for, such as "allocated before ullage was up";
 * NULL for a site with one. */
const char *recording_site_note(uint32_t site);

/* Block size and number of blocks of a pool (of a span: all its units, 1). */
uint64_t recording_block_bytes(const struct recording *r, const struct ul_pool *pool);
uint64_t recording_pool_blocks(const struct recording *r, const struct ul_pool *pool);
#endif
