#include "base/lock.h"

/* As in Drepper's "Futexes are tricky": who has waited takes it as waited for. */
void lock_wait(struct lock *l) {
  while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0)
    os_futex_wait(&l->word, 2, NULL, false);
}

/* ---- the gate of fork ---------------------------------------------------------- */

_Atomic uint32_t lock_fork;
static _Atomic uint32_t passed;

/* A fork takes its time for each page: some 10 ms a GiB. This is several times that. */
static uint64_t patience_ns(void) {
  uint64_t mapped = os_mapped(OS_ARENA) + os_mapped(OS_LARGE);
  return 5000000 + mapped / 16;
}

/* false: it takes too long. */
static bool wait_for_gate(void) {
  uint64_t now, end = os_monotonic_ns() + patience_ns();
  while (atomic_load(&lock_fork) && (now = os_monotonic_ns()) < end) {
    uint64_t left = end - now;
    const struct timespec rest = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    os_futex_wait(&lock_fork, 1, &rest, false);
  }
  return !atomic_load(&lock_fork);
}

/* Counted before the lock is taken for good, so that no child can see the one without the
 * other. Who has a lock already has passed, or is the one who forks, in a handler of
 * somebody else's: that must not wait. */
void lock_stand_back(struct lock *l) {
  bool open;
  do {
    lock_release(l);
    open = thread_state.locks == 1 && wait_for_gate();
    if (!open) atomic_fetch_add(&passed, 1);
    if (!lock_was_free(l)) lock_wait(l);
  } while (open && atomic_load(&lock_fork));
}

uint32_t lock_fork_begin(void) {
  atomic_store(&lock_fork, 1);
  return atomic_load(&passed);
}

void lock_fork_end(void) {
  atomic_store(&lock_fork, 0);
  os_futex_wake_all(&lock_fork, false);
}

bool lock_forked_alone(uint32_t before) {
  return atomic_load(&passed) == before;
}
