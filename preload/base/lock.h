/* lock.h - our few locks. A thread counts those it holds, so that an _exit from a
 * signal handler that interrupted us can tell that it must not wait for one.
 *
 * Order, outermost first; a lock may be taken only while holding earlier ones:
 *
 *   snapshot   one snapshot at a time; only ever tried
 *   heap       the list of heaps and their owners
 *   site       the trie of stacks
 *   rule       (rule.c) what to do at an address of code; masked
 *   module     (module.c) whose code it is; masked
 *   arena      arenas, the map, large blocks, free strips
 *   table      the recording's tables and its file
 *   meta       private memory
 *
 * None but the rule lock is held while a stack is unwound, none while a function of
 * the program runs or over a call into the loader. fork and the scan take all of them in
 * this order; a forked child renews them all.
 *
 * Masked: with all signals blocked. A handler that leaves by longjmp cannot leave the
 * lock behind, and none runs while libunwind, which keeps locks of its own, is stepping.
 * For the slow paths: two system calls each, so the confined (os.h) do without. */
#ifndef ULLAGE_LOCK_H
#define ULLAGE_LOCK_H

#include "base/os.h"
#include "base/thread.h"

#include <pthread.h>
#include <signal.h>

static inline void lock_take(pthread_mutex_t *lock) {
  thread_state.locks++;
  pthread_mutex_lock(lock);
}

static inline int lock_try(pthread_mutex_t *lock) {
  int refused = pthread_mutex_trylock(lock);
  if (!refused) thread_state.locks++;
  return refused;
}

static inline void lock_give(pthread_mutex_t *lock) {
  pthread_mutex_unlock(lock);
  thread_state.locks--;
}

/* SIGKILL is in no mask: in *saved it says that nothing was blocked. */
static inline void lock_take_masked(pthread_mutex_t *lock, sigset_t *saved) {
  sigset_t all;
  sigfillset(&all);
  if (os_confined())
    *saved = all;
  else
    pthread_sigmask(SIG_SETMASK, &all, saved);
  lock_take(lock);
}

static inline void lock_give_masked(pthread_mutex_t *lock, const sigset_t *saved) {
  lock_give(lock);
  if (!sigismember(saved, SIGKILL)) pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/* In the only thread of a forked child, whoever held it in the parent. */
static inline void lock_renew(pthread_mutex_t *lock) {
  pthread_mutex_init(lock, NULL);
}
#endif
