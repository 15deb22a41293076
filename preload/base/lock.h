/* lock.h - our few locks: a futex each, and not a mutex of libc, in front of which the
 * program or another preload may stand. A thread counts those it holds, or is about to,
 * so that an _exit from a signal handler that interrupted us can tell that it must not
 * wait for one.
 *
 * Order, outermost first; a lock may be taken only while holding earlier ones:
 *
 *   begin      (process.c) the first malloc; masked
 *   snapshot   one snapshot at a time; only tried, but for the final one; masked
 *   heap       the list of heaps and their owners; masked
 *   relief     taking a heap over; masked
 *   site       the trie of stacks; masked
 *   rule       (rule.c) what to do at an address of code; masked
 *   module     (module.c) whose code it is; masked
 *   arena      arenas, the map, large blocks, free strips
 *   table      the recording's tables and its file
 *   meta       private memory
 *
 * None but the rule lock is held while a stack is unwound, none while a function of
 * the program runs, over a call into the loader, or over one of libc that anybody could
 * have replaced. A forked child renews them all.
 *
 * Masked: with all signals blocked. A handler that leaves by longjmp cannot leave the
 * lock behind, and none runs while libunwind, which keeps locks of its own, is stepping.
 * For the slow paths: two system calls each, so the confined (os.h) do without. */
#ifndef ULLAGE_LOCK_H
#define ULLAGE_LOCK_H

#include "base/os_thread.h"
#include "base/thread.h"

#include <stdatomic.h>

struct lock {
  _Atomic uint32_t word; /* a futex: 0 free, 1 held, 2 held and waited for */
};

void lock_wait(struct lock *l);

static inline bool lock_was_free(struct lock *l) {
  uint32_t word = 0;
  return atomic_compare_exchange_strong_explicit(&l->word, &word, 1, memory_order_acquire,
                                                 memory_order_relaxed);
}

/* Counted before it is taken and until after it is given back, for a handler in between.
 */
static inline void lock_take(struct lock *l) {
  thread_state.locks++;
  atomic_signal_fence(memory_order_seq_cst);
  if (!lock_was_free(l)) lock_wait(l);
}

static inline void lock_give(struct lock *l) {
  if (atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2)
    os_futex_wake_one(&l->word);
  atomic_signal_fence(memory_order_seq_cst);
  thread_state.locks--;
}

/* false: somebody holds it. */
static inline bool lock_try(struct lock *l) {
  thread_state.locks++;
  atomic_signal_fence(memory_order_seq_cst);
  bool mine = lock_was_free(l);
  if (!mine) thread_state.locks--;
  return mine;
}

static inline bool lock_held(const struct lock *l) {
  return atomic_load_explicit(&l->word, memory_order_relaxed) != 0;
}

static inline void lock_take_masked(struct lock *l, uint64_t *signals) {
  os_hold_signals(signals);
  lock_take(l);
}

static inline void lock_give_masked(struct lock *l, uint64_t signals) {
  lock_give(l);
  os_release_signals(signals);
}

/* In the only thread of a forked child, whoever held it in the parent. */
static inline void lock_renew(struct lock *l) {
  atomic_store(&l->word, 0);
}
#endif
