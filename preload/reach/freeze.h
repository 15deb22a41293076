/* freeze.h - stop every other thread of the process for a moment, and learn
 * where its registers and its stack are, without ptrace and without a helper
 * thread: by a real-time signal nobody uses, borrowed for that moment.
 *
 * To be called by one thread at a time, in this order, with the locks that the
 * frozen threads must not be holding taken before:
 *
 *     lock all;  freeze(&set);  unlock all;  ...  child = reach_begin(&set);  ...
 *     the process ends, or: thaw();
 *
 * A process with one thread sends no signal and changes no disposition. */
#ifndef ULLAGE_FREEZE_H
#define ULLAGE_FREEZE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum frozen_state {
  FROZEN_ASKED,     /* the signal is under way */
  FROZEN_STOPPED,   /* waits in our handler: context, sp and tcb are known */
  FROZEN_UNSTOPPED, /* no answer, or could not be asked; sp if it sleeps in a system call
                     */
  FROZEN_GONE       /* ended meanwhile */
};

enum { SYSTEM_CALL_BYTES = 2 };
/* Is the instruction there a system call? */
static inline bool is_system_call(uintptr_t pc) {
  static const uint8_t instruction[SYSTEM_CALL_BYTES] = {0x0f, 0x05};
  return memcmp((const void *)pc, instruction, sizeof instruction) == 0;
}

/* What a thread sleeps in, as /proc says. */
struct system_call {
  int number; /* -1: it is in none, or it is not known */
  uintptr_t sp, pc, arguments[6];
};

/* One other thread. Addresses are of this process; 0: not known. */
struct frozen_thread {
  _Atomic uint32_t state; /* enum frozen_state */
  int tid;
  uintptr_t context; /* stopped: ucontext_t of the handler: its registers */
  uintptr_t sp;      /* where it was interrupted */
  uintptr_t tcb;     /* stopped: FS base, glibc's struct pthread */
  struct system_call call;
  char run_state; /* R, S, D and so on, as /proc said */
};

/* Threads in mappings of their own that are never unmapped (a late handler may still
 * look at its slot). The calling thread is not among them. */
struct thread_set {
  struct frozen_thread *threads;
  unsigned count;     /* slots filled, in whatever state */
  unsigned capacity;  /* slots there */
  unsigned stopped;   /* FROZEN_STOPPED */
  unsigned unstopped; /* FROZEN_UNSTOPPED */
  bool complete;      /* every thread was listed; false: /proc could not be read */
};

/* Fills *set (no need to initialise it). Keeps errno. Never fails: what could not be
 * done is in the set. From here to the end or to thaw call nothing that takes a lock that
 * a frozen thread may hold: that is every lock of libc and of the loader. */
void freeze(struct thread_set *set);
/* Those who wait for a lock of ours block all signals: once the locks that freeze() was
 * called with have been free for a while, call this with them taken again. false: there
 * is nobody who might be stopped yet. */
bool freeze_again(struct thread_set *set);
/* From now on each frozen thread waits for at most so long, and then lets all of them go:
 * for what may wait for one of them. 0: no limit, as after freeze(). */
void freeze_limit(unsigned ms);
/* Has nobody been let go? */
bool freeze_holds(const struct thread_set *set);
/* Lets them run on, in what they slept in, and gives the signal back as it was. Keeps
 * errno. Harmless if nobody is frozen. */
void thaw(void);
#endif
