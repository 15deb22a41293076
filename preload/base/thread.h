/* thread.h - what the preload keeps for each thread: a few words of
 * initial-exec TLS. All zero is a valid state (before main, before our
 * constructor, in a thread's first malloc). */
#ifndef ULLAGE_THREAD_H
#define ULLAGE_THREAD_H

#include "base/os_thread.h"

struct heap;

/* What ullage does on the thread's behalf, with all signals blocked, so that no handler
 * finds the thread so or leaves it so by longjmp: a malloc from in there (libunwind, the
 * loader) is not walked, no snapshot is begun and no last words are said. */
enum busy {
  BUSY_LOOKUP = 1,      /* the loader looks up the next function of a name */
  BUSY_LOADING = 2,     /* code is made known, or forgotten */
  BUSY_UNWIND = 4,      /* libunwind is loaded or asked: what it calls is ours */
  BUSY_SNAPSHOT = 8,    /* one is taken */
  BUSY_LAST_WORDS = 16, /* the process ends */
};

struct thread_state {
  struct heap *heap;  /* NULL until the thread first allocates or frees */
  struct heap *quick; /* the same, while most blocks need no further look (sample.h) */
  unsigned busy;      /* enum busy, all that hold */
  unsigned locks;     /* of ours held by this thread (lock.h) */
  unsigned in_arena;  /* it holds the arena lock, or is about to (arena.h) */
  uint64_t capturing; /* RSP of the program's frame whose stack is being captured, which
                         a handler may interrupt (site.c); 0, or that the next is timed */
};
#define CAPTURE_TIMED UINT64_C(1) /* where no stack is */

extern _Thread_local struct thread_state thread_state
    __attribute__((tls_model("initial-exec")));

/* They nest: busy_leave gets what busy_enter gave. */
struct busy_before {
  unsigned busy;
  uint64_t signals;
};
static inline struct busy_before busy_enter(enum busy why) {
  struct busy_before before = {.busy = thread_state.busy};
  os_hold_signals(&before.signals);
  thread_state.busy = before.busy | why;
  thread_state.quick = NULL;
  return before;
}
static inline void busy_leave(struct busy_before before) {
  thread_state.busy = before.busy;
  os_release_signals(before.signals);
}
#endif
