/* thread.h - what the preload keeps for each thread: a few words of
 * initial-exec TLS. All zero is a valid state (before main, before our
 * constructor, in a thread's first malloc). */
#ifndef ULLAGE_THREAD_H
#define ULLAGE_THREAD_H

struct heap;

/* What ullage does on the thread's behalf: a malloc from in there (libunwind, the loader)
 * is not walked, no snapshot is begun and no last words are said. */
enum busy {
  BUSY_LOOKUP = 1,      /* the loader looks up the next function of a name */
  BUSY_LOADING = 2,     /* libunwind or code is made known, or forgotten */
  BUSY_CAPTURE = 4,     /* a stack is walked */
  BUSY_SNAPSHOT = 8,    /* one is taken */
  BUSY_LAST_WORDS = 16, /* the process ends */
};

struct thread_state {
  struct heap *heap; /* NULL until the thread first allocates or frees */
  unsigned busy;     /* enum busy, all that hold */
  unsigned locks;    /* of ours held by this thread (lock.h) */
};

extern _Thread_local struct thread_state thread_state
    __attribute__((tls_model("initial-exec")));

/* They nest: busy_leave gets what busy_enter gave. */
static inline unsigned busy_enter(enum busy why) {
  unsigned before = thread_state.busy;
  thread_state.busy = before | why;
  return before;
}
static inline void busy_leave(unsigned before) {
  thread_state.busy = before;
}
#endif
