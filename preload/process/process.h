/* process.h - the process around the heap: when recording begins, what happens at
 * fork, exec and the many kinds of exit. */
#ifndef ULLAGE_PROCESS_H
#define ULLAGE_PROCESS_H

#include "account/snapshot.h"
#include "base/page.h"
#include "format.h"
#include "stack/stack.h"

#include <stdbool.h>
#include <stdint.h>

/* In this order; process.c says what each is. */
enum process_phase {
  PHASE_NONE,
  PHASE_BEGUN,
  PHASE_STARTING,
  PHASE_STARTED,
  PHASE_FINISHED,
};
extern _Atomic enum process_phase process_phase;

/* Settings are read, stacks can be captured. */
static inline bool process_started(void) {
  return atomic_load_explicit(&process_phase, memory_order_relaxed) >= PHASE_STARTED;
}
/* An allocation by who entered there finds it not started: start now if that can be.
 * Returns process_started(). */
bool process_start_early(struct entrance e);

/* Before the first heap exists; cheap when done. */
void process_begin(void);
/* On slow paths, before a lock is taken: is this the child of a raw clone? */
void process_check_fork(void);
/* A forked child whose recording is still private memory gets its file now, if it is
 * to have one. Only while the process has one thread. */
void process_settle(void);
/* The process is about to give up a right, or a view of the files; to become that user.
 */
void process_give_up(void);
void process_become(unsigned user);
/* It is time to look: a timed snapshot by the thread that has h, if it is due, and what
 * else is done that often; a mark that somebody else asks for. */
void process_look(struct heap *h);
/* A snapshot by name (ullage.h); false: there is none. */
bool process_mark(struct heap *h, const char *name);
/* After an allocation, at `ms`. */
static inline void process_tick(struct heap *h, uint64_t ms) {
  if (UNLIKELY(snapshot_looks(ms))) process_look(h);
  snapshot_after_allocation(h);
}

/* The program is about to put itself under a filter of system calls: what needs others
 * than malloc's (os.h) is done now or not at all. false: it has been before, or who asks
 * only borrows our memory (vfork). */
bool process_confine(void);
void process_unconfine(void); /* ... and failed */

/* The program ends (enum ul_state, status): last snapshot, scan, header. At most once,
 * unless process_resume() takes it back. Any thread; returns without doing anything in a
 * vfork child and where it could deadlock. */
void process_finish(enum ul_state state, int status);
void process_exec(const char *program); /* the same, before an exec ... */
void process_resume(void);              /* ... that failed */
#endif
