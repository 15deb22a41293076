/* roots.h - where the program may keep pointers to its blocks, outside the heap.
 *
 * A root is any readable and writable mapping that is not ours (anonymous ones
 * even if they are not writable any more), less the pages that were never
 * touched, the dead parts of stacks, and devices. */
#ifndef ULLAGE_ROOTS_H
#define ULLAGE_ROOTS_H

#include "account/mapping.h"
#include "reach/freeze.h"
#include "stack/caller.h"

/* A mapping, as far as the scan needs to know. */
struct region {
  uintptr_t start, end;
  bool read, write, execute, shared, file, stack;
  uintptr_t zeros; /* from here on; 0: nowhere */
};

/* Only in the scan's own process: module state, not for threads. `also`: what else of the
 * scan's is no root, though it may be full of addresses, up to one that starts at 0.
 * `still`: nobody else has run since the account, if there was one. 0, or an errno:
 * /proc/self/maps cannot be read, or no memory: there are no roots and so no verdicts. */
int roots_load(const struct range *also, bool still);
/* The mapping around an address, or NULL. */
const struct region *roots_region(uintptr_t address);
/* Where what cannot be read of the mapping around that address ends, or where what was
 * asked before begins; from there on there are zeros now. 0: it can be read. By one
 * thread at a time. */
uintptr_t roots_unread(uintptr_t page);
/* The loader's own mappings: blocks allocated by code in there are dynamic TLS and the
 * like, known to code and registers only as offsets. false for any other address. */
bool roots_in_loader(uintptr_t address);
/* The kernel's [stack], or NULL. */
const struct region *roots_main_stack(void);
/* The threads at the moment of the copy: the one that made it, and the others. */
struct roots_self {
  const struct caller *caller; /* its stacks and registers, as far as they count */
  const struct main_frame *own;
  uintptr_t tcb;
  uintptr_t alternate; /* stack for signals, or 0 */
  int tid;
  const struct thread_set *threads;
};
/* Descriptors of /proc/PID/pagemap (mapping.h), < 0 if there is none: of the scan's own
 * process, the copy, which tells what was touched of private memory; and of the original,
 * which tells it of shared memory. */
struct pagemaps {
  int copy, original;
};
/* What is done with each piece; `by` is whose affair it is. */
typedef void roots_scan(void *by, uintptr_t start, uintptr_t end);
struct roots_wish {
  roots_scan *scan;
  bool (*enough)(void); /* asked before each mapping: no more of them */
};
/* First, once: what is in registers. *stacks_known: false if only the main thread's
 * is, and all others are scanned whole. false: no memory. */
bool roots_of_threads(const struct roots_self *self, const struct roots_wish *wish,
                      bool *stacks_known);
/* Then mappings, in an order in which it may soon be enough: most of what a process
 * holds, it holds by its stacks and variables. What is constant by now is nearly all the
 * loader's; and what servers share is much. */
enum roots_part { ROOTS_WRITABLE, ROOTS_CONSTANT, ROOTS_SHARED, ROOTS_PARTS };
void roots_each(enum roots_part part, struct pagemaps pagemaps,
                const struct roots_wish *wish);
/* Call scan(by, ...) for the touched runs of pages of [start, end), private memory of any
 * kind. Any thread of the scan's process. */
void roots_touched(uintptr_t start, uintptr_t end, struct pagemaps pagemaps,
                   roots_scan *scan, void *by);
#endif
