/* reach.h - the leak scan: which live blocks can the program still reach?
 *
 * The scan works on a frozen copy of the process, a child made by a raw clone,
 * so it may take its time and may even crash without hurting the program; or, of a small
 * process with one thread, on the process itself, while that waits. What
 * it finds goes to UL_LEAKS and to header.scan. */
#ifndef ULLAGE_REACH_H
#define ULLAGE_REACH_H

#include "reach/freeze.h"
#include "stack/caller.h"

/* The program has asked how large a block really is (malloc_usable_size), so it may keep
 * pointers behind what it requested. */
extern bool reach_scan_slack;
/* Which interior pointers count as good as a pointer to the start: bit 1 << enum
 * ul_heuristic for each. */
extern unsigned reach_heuristics;
/* Of what a forked child has inherited nothing is asked: when all else can be reached,
 * that has no verdict. */
extern bool reach_own;
/* false: a copy is made of whomever. */
extern bool reach_lodges;
/* On how many processors; 0: on all that the process may run on. */
extern unsigned reach_processors;
/* After so long it keeps what it knows by then, and ends; UINT_MAX: no limit. */
extern unsigned reach_limit_s;
/* Asked now and then: has the process waited enough for a scan? NULL: never. */
extern bool (*reach_enough)(void);

/* Copy the process and start the scan in the copy. The other threads must be frozen
 * (freeze.h) and the locks of the heap be held by the caller, so that pools, arenas and
 * the map are in order. `ending`: the calling thread's stacks and registers, as far as
 * they are the program's; `own`: main's frame, which holds nothing any more, but is told
 * apart. 0 if there is no scan (header.scan says FAILED and why). Keeps
 * errno. */
int reach_begin(const struct thread_set *threads, const struct caller *ending,
                const struct main_frame *own);
/* Wait for the scan and store its results (table_append: no lock of the table held).
 * Harmless with 0. Keeps errno. */
void reach_end(int child);
/* The process goes on after all: its blocks have no verdicts. */
void reach_forget(void);
#endif
