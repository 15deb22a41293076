/* process.h - the process around the heap: when recording begins, what is done now and
 * then, and before a right is given up. How it forks: fork.h; how it ends: end.h. */
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
/* A forked child whose recording is still private memory gets its file now, if it is
 * to have one. Only while the process has one thread. */
void process_settle(void);
/* At `ms` the thread has allocated so many bytes at once: if it is a forked child that has
 * no file yet, the next look gives it one, for it may be killed before it allocates again.
 */
#define PROCESS_WORTH_A_FILE ((size_t)16 << 20)
void process_hurry(uint64_t ms);
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
#endif
