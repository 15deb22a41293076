/* clocks.c - a library to be preloaded beside ullage that has clocks and locks of its
 * own, as libfaketime and profilers of locks do: they allocate, and tell another time. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void allocate(void) {
  void *volatile p = malloc(3000);
  free(p);
}

int clock_gettime(clockid_t clock, struct timespec *t) {
  allocate();
  int result = (int)syscall(SYS_clock_gettime, clock, t);
  t->tv_sec += 1000000;
  return result;
}

int __pthread_mutex_lock(pthread_mutex_t *);
int __pthread_mutex_unlock(pthread_mutex_t *);

int pthread_mutex_lock(pthread_mutex_t *lock) {
  allocate();
  return __pthread_mutex_lock(lock);
}
int pthread_mutex_unlock(pthread_mutex_t *lock) {
  allocate();
  return __pthread_mutex_unlock(lock);
}
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) {
  allocate();
  return sigprocmask(how, set, old);
}
int pthread_once(pthread_once_t *once, void (*body)(void)) {
  allocate();
  if (!*once) *once = 1, body();
  return 0;
}
