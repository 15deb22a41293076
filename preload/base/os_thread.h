/* os_thread.h - threads, signals and copies of the process, as the kernel has them: the
 * part of os.h that stopping threads and copying the process need. 0 or -errno, unless
 * said otherwise. */
#ifndef ULLAGE_OS_THREAD_H
#define ULLAGE_OS_THREAD_H

#include "base/os.h"

#include <signal.h>
#include <time.h>

/* Sleep while *word is `value`; NULL: for as long as it takes. `shared`: with other
 * processes. Inline: for handlers. */
static inline long os_futex_wait(_Atomic uint32_t *word, uint32_t value,
                                 const struct timespec *at_most, bool shared) {
  enum { WAIT = 0, PRIVATE = 128 };
  return os_call(SYS_futex, word, shared ? WAIT : WAIT | PRIVATE, value, at_most);
}

static inline void os_futex_wake_one(_Atomic uint32_t *word) {
  enum { WAKE = 1, PRIVATE = 128 };
  os_call(SYS_futex, word, WAKE | PRIVATE, 1);
}

static inline void os_futex_wake_all(_Atomic uint32_t *word, bool shared) {
  enum { WAKE = 1, PRIVATE = 128 };
  os_call(SYS_futex, word, shared ? WAKE : WAKE | PRIVATE, INT32_MAX);
}

/* The FS base: glibc's thread control block. Inline: for handlers. */
static inline uintptr_t os_thread_pointer(void) {
  enum { GET_FS = 0x1003 }; /* ARCH_GET_FS of <asm/prctl.h> */
  uintptr_t fs = 0;
  os_call(SYS_arch_prctl, GET_FS, &fs);
  return fs;
}

/* ---- signals ------------------------------------------------------------------- */

typedef void os_handler(int sig, siginfo_t *info, void *context);
struct os_action {
  os_handler *handler; /* NULL: SIG_DFL */
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};
/* sigaction; either may be NULL. */
int os_action(int sig, const struct os_action *set, struct os_action *old);
/* On the alternate stack if there is one, all signals blocked meanwhile. The handler must
 * not touch errno. */
int os_handle(int sig, os_handler *handler);
/* Block exactly these (bit sig - 1) in this thread. */
void os_block_signals(uint64_t mask);
/* Block all in this thread, for a moment that no handler may interrupt, and go back to
 * what was blocked before. */
void os_hold_signals(uint64_t *before);
void os_release_signals(uint64_t before);
uint64_t os_pending_signals(void);
/* As if those had never come. */
void os_take_signals(uint64_t pending);
/* One write that neither waits nor raises a signal (SIGPIPE, SIGXFSZ, SIGTTOU). */
int os_write_quietly(int fd, const void *line, size_t bytes);
int os_signal_stack(void *stack, size_t bytes);
bool os_on_signal_stack(void); /* does this thread run on it, or can it not be asked? */
uintptr_t os_signal_stack_now(void); /* where it begins; 0: there is none */
/* Send it to a thread of ours, with a value. */
int os_send(int tid, int sig, void *value);
void os_sleep_ms(unsigned ms); /* or until a signal comes */
/* In a handler: go on with the call that the signal interrupted, if it has a deadline
 * (nanosleep, poll, futex), until that deadline. What it returns. */
long os_restart_call(void);

/* work(argument), on a stack that ends at `top`. */
void os_on_stack(void *top, void (*work)(void *), void *argument);

/* ---- copies of the process ----------------------------------------------------- */

/* A raw clone with our descriptors and without an exit signal: no handler runs, wait()
 * does not see it. Its pid, 0 in the copy, or -errno. */
int os_copy_process(void);
/* The same, but in the same memory: work(), which does not return, on a stack that ends
 * at `top`. The thread is as it was meanwhile, with what is its own, for two: one of them
 * should wait. */
int os_share_process(void *top, void (*work)(void));
/* Of a process that has no use for what a thread has of its own: another thread, as the
 * last, but that it has no stack for signals, and ends only with the process. */
int os_start_thread(void *top, void (*work)(void));
/* That this thread may run on; at least 1. */
unsigned os_processors(void);
/* In a copy: end with the process that it is of, and have all descriptors there may be.
 */
void os_die_with_parent(void);
void os_raise_file_limit(void);
/* Of a copy. */
bool os_has_ended(int pid);
int os_wait(int pid);
void os_kill(int pid, int sig);
uint64_t os_cpu_ns(int pid); /* that it has used */

/* Only if there is no execve of libc. */
int os_exec(const char *path, char *const arguments[], char *const environment[]);
#endif
