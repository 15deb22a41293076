/* lock.h - our few locks. A thread counts those it holds, so that an _exit from a
 * signal handler that interrupted us can tell that it must not wait for one.
 *
 * Order, outermost first; a lock may be taken only while holding earlier ones:
 *
 *   snapshot   one snapshot at a time; only ever tried
 *   heap       the list of heaps and their owners
 *   site       the trie of stacks
 *   module, rule   (module.c, rule.c)
 *   arena      arenas, the map, large blocks, free strips
 *   table      the recording's tables and its file
 *   meta       private memory
 *
 * None but the rule lock is held while a stack is unwound, none while a function of
 * the program runs or over a call into the loader. fork takes all of them in this order.
 */
#ifndef ULLAGE_LOCK_H
#define ULLAGE_LOCK_H

#include "base/thread.h"

#include <pthread.h>

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

/* In a forked child: held by the forking thread, which is the only one here. */
static inline void lock_renew(pthread_mutex_t *lock) {
  pthread_mutex_init(lock, NULL);
}
#endif
