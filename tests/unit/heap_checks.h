/* heap_checks.h - all invariants of arenas and of the calling thread's heap, now. */
#ifndef TESTS_HEAP_CHECKS_H
#define TESTS_HEAP_CHECKS_H

#include "heap/arena.h"
#include "heap/heap.h"

static inline void heap_check_all(void) {
  struct heap *h = heap_mine();
  uint32_t was = heap_enter(h);
  arena_lock();
  arena_check();
  heap_check(h);
  arena_unlock();
  heap_leave(h, was);
}
#endif
