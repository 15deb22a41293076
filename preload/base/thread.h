/* thread.h - what the preload keeps for each thread: a few words of
 * initial-exec TLS. All zero is a valid state (before main, before our
 * constructor, in a thread's first malloc). */
#ifndef ULLAGE_THREAD_H
#define ULLAGE_THREAD_H

struct heap;

struct thread_state {
  struct heap *heap; /* NULL until the thread first allocates or frees */
  /* Above zero while ullage works on the thread's behalf: a malloc from in
   * here (libunwind, the loader) is not walked. */
  unsigned busy;
  unsigned locks; /* of ours held by this thread (lock.h) */
};

extern _Thread_local struct thread_state thread_state
    __attribute__((tls_model("initial-exec")));
#endif
