/* guard.h - a lock taken with all signals blocked: a handler that leaves by
 * longjmp cannot leave it behind, and none runs while libunwind, which keeps
 * locks of its own, is stepping. For the slow paths: two system calls each. */
#ifndef ULLAGE_GUARD_H
#define ULLAGE_GUARD_H

#include <pthread.h>
#include <signal.h>

struct guard {
  pthread_mutex_t mutex;
};

#define GUARD_INIT                                                                       \
  { PTHREAD_MUTEX_INITIALIZER }

static inline void guard_enter(struct guard *g, sigset_t *saved) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, saved);
  pthread_mutex_lock(&g->mutex);
}

static inline void guard_leave(struct guard *g, const sigset_t *saved) {
  pthread_mutex_unlock(&g->mutex);
  pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/* In the only thread of a forked child, whoever held it in the parent. */
static inline void guard_reset(struct guard *g) {
  pthread_mutex_init(&g->mutex, NULL);
}
#endif
