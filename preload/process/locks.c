/* locks.c - see locks.h. */
#include "process/locks.h"

#include "account/snapshot.h"
#include "base/meta.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "ledger/intern.h"
#include "recording/table.h"
#include "stack/stack.h"

void locks_take_rest(void) {
  heap_fork_prepare();
  intern_fork_prepare();
  stack_fork_prepare();
  arena_fork_prepare();
  table_lock();
  meta_fork_prepare();
}

void locks_take(void) {
  snapshot_hold();
  locks_take_rest();
}

void locks_give(void) {
  meta_fork_parent();
  table_unlock();
  arena_fork_parent();
  stack_fork_parent();
  intern_fork_parent();
  heap_fork_parent();
  snapshot_release();
}
