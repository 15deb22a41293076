#include "base/lock.h"

/* As in Drepper's "Futexes are tricky": who has waited takes it as waited for. */
void lock_wait(struct lock *l) {
  while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0)
    os_futex_wait(&l->word, 2, NULL, false);
}
