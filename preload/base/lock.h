/* lock.h - our few locks: a futex each, and not a mutex of libc, in front of which the
 * program or another preload may stand. A thread counts those it holds, or is about to,
 * so that an _exit from a signal handler that interrupted us can tell that it must not
 * wait for one.
 *
 * Order, outermost first; a lock may be taken only while holding earlier ones:
 *
 *   begin      (process.c) the first malloc; masked
 *   fork       (fork.c)    one fork at a time; masked
 *   snapshot   one snapshot at a time; a timed one is only tried; masked
 *   heap       the list of heaps and their owners; masked
 *   relief     taking a heap over; masked
 *   intern     the tables of stacks, when they grow; masked
 *   rule       (rule.c) what to do at an address of code; masked
 *   module     (module.c) whose code it is; masked
 *   arena      arenas, the map, large blocks, free strips
 *   table      the recording's tables and its file
 *   meta       private memory
 *
 * fork must have nobody in the middle of anything, and may not hold these locks either:
 * it goes on to take some of libc's (stdio's, the name service's), whose holders may be
 * in malloc and wait for ours. So it takes all, closes a gate and gives them back
 * (lock_fork_begin). Who takes a lock then finds the gate closed and stands back, before
 * it has touched anything; when it has waited for longer than a fork takes, fork may be
 * waiting for it: it goes on, and is counted. The kernel copies a process as of one
 * moment, so in the child the count tells for certain whether anybody has passed.
 *
 * None but the rule lock is held while a stack is unwound, none while a function of
 * the program runs, over a call into the loader, or over one of libc that anybody could
 * have replaced. A forked child renews them all.
 *
 * table and meta are only taken under one of the others, or with all signals blocked.
 * Masked: with all signals blocked. A handler that leaves by longjmp cannot leave the
 * lock behind, and none runs while libunwind, which keeps locks of its own, is stepping.
 * For the slow paths: two system calls each, so the confined (os.h) do without. */
#ifndef ULLAGE_LOCK_H
#define ULLAGE_LOCK_H

#include "base/os_thread.h"
#include "base/thread.h"

#include <stdatomic.h>

struct lock {            /* all zero: free */
  _Atomic uint32_t word; /* a futex: 0 free, 1 held, 2 held and waited for */
  const struct thread_state *_Atomic owner; /* while it may touch what is guarded */
};

extern _Atomic uint32_t lock_fork; /* 1: the gate is closed; a futex */
void lock_wait(struct lock *l);
void lock_stand_back(struct lock *l);

static inline bool lock_was_free(struct lock *l) {
  uint32_t word = 0;
  return atomic_compare_exchange_strong_explicit(&l->word, &word, 1, memory_order_acquire,
                                                 memory_order_relaxed);
}

static inline void lock_own(struct lock *l) {
  atomic_store_explicit(&l->owner, &thread_state, memory_order_relaxed);
  atomic_signal_fence(memory_order_seq_cst);
}

static inline void lock_release(struct lock *l) {
  if (atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2)
    os_futex_wake_one(&l->word);
}

static inline bool lock_gate_is_closed(void) {
  return __builtin_expect(atomic_load_explicit(&lock_fork, memory_order_relaxed) != 0, 0);
}

/* Counted before it is taken and until after it is given back, for a handler in between.
 */
static inline void lock_take(struct lock *l) {
  thread_state.locks++;
  atomic_signal_fence(memory_order_seq_cst);
  if (!lock_was_free(l)) lock_wait(l);
  if (lock_gate_is_closed()) lock_stand_back(l);
  lock_own(l);
}

static inline void lock_give(struct lock *l) {
  atomic_signal_fence(memory_order_seq_cst);
  atomic_store_explicit(&l->owner, NULL, memory_order_relaxed);
  lock_release(l);
  atomic_signal_fence(memory_order_seq_cst);
  thread_state.locks--;
}

/* false: somebody holds it. */
static inline bool lock_try(struct lock *l) {
  thread_state.locks++;
  atomic_signal_fence(memory_order_seq_cst);
  bool mine = lock_was_free(l);
  if (mine && lock_gate_is_closed()) {
    lock_release(l);
    mine = false;
  }
  if (mine)
    lock_own(l);
  else
    thread_state.locks--;
  return mine;
}

static inline void lock_take_masked(struct lock *l, uint64_t *signals) {
  os_hold_signals(signals);
  lock_take(l);
}

static inline void lock_give_masked(struct lock *l, uint64_t signals) {
  lock_give(l);
  os_release_signals(signals);
}

/* ---- fork ---------------------------------------------------------------------- */

/* With all locks but the first two held, which the caller then gives back. How many have
 * passed so far. */
uint32_t lock_fork_begin(void);
void lock_fork_end(void); /* in the parent and the child */
/* In the child: has nobody passed since? */
bool lock_forked_alone(uint32_t passed);

/* In the only thread of a forked child: was another thread in the middle of what it
 * guards? */
static inline bool lock_was_left(const struct lock *l) {
  return l->owner && l->owner != &thread_state;
}
/* There, too: nobody has it but this thread, if the fork was in a handler that
 * interrupted us. (Interrupted between taking the word and owning it, it has touched
 * nothing yet, and finds it free.) */
static inline void lock_renew(struct lock *l) {
  if (l->owner != &thread_state) atomic_store(&l->owner, NULL);
  atomic_store(&l->word, l->owner != NULL);
}
#endif
