/* freeze.c - stopping the other threads by a borrowed signal.
 *
 * Each thread that is to stop is sent the signal with a pointer to its slot. Its
 * handler publishes where the registers lie (the kernel has put them all on the
 * stack, vector registers too), says ASKED -> STOPPED and waits on a futex. The
 * freezer gives up on a slot by ASKED -> UNSTOPPED. Both are compare-and-swap, so a
 * handler that comes late sees that it is not wanted and returns at once; slots are
 * never unmapped, and it touches nothing else.
 *
 * Who is not asked at all: a thread that blocks the signal would never answer; one
 * in sigtimedwait() would take the signal out of the program's hands, as a result.
 * Their stack pointers come from /proc. (What remains: a thread that waits for all
 * signals there is, whose time has run out, and that has not run yet, cannot be told from
 * an open one. It gets the signal as the result of sigtimedwait.)
 *
 * A signal still pending at the end must not meet the default action, which for
 * a real-time signal is death: SIG_IGN discards what is pending, in every thread
 * (POSIX, sigaction), then the old disposition comes back.
 *
 * System calls are made directly: the program may have its own sigaction and
 * syscall wrappers, and the handler must not touch errno. */
#include "reach/freeze.h"

#include "base/os_thread.h"
#include "base/text.h"
#include "recording/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

enum {
  FIRST_SIGNAL = 34, /* 32 and 33 are glibc's */
  LAST_SIGNAL = 64,
  TRIES = 16, /* listings, while new threads keep appearing */
};
/* Without an answer of anybody for this long, nobody else will answer: running threads
 * take an interrupt, threads in line for a CPU some milliseconds for each in front. */
#define PATIENCE_NS (50 * UINT64_C(1000000))
#define SLICE_NS (5 * UINT64_C(1000000))

static _Atomic uint32_t frozen;   /* the freeze that holds now, 0 for none; a futex */
static _Atomic uint32_t answered; /* handlers that have arrived; a futex */
static uint32_t generation;
static int borrowed; /* the signal; 0: none */
static struct os_action disposition;
static struct frozen_thread *slots;
static unsigned slot_capacity;

/* ---- in the thread that stops -------------------------------------------------- */

static __attribute__((no_sanitize("address"))) void stop_here(int sig, siginfo_t *info,
                                                              void *context) {
  (void)sig;
  if (info->si_code != SI_QUEUE || info->si_pid != os_pid()) return;
  struct frozen_thread *slot = info->si_value.sival_ptr;
  uint32_t mine = atomic_load(&frozen);
  if (mine == 0 || slot->tid != os_tid()) return;
  const ucontext_t *c = context;
  slot->context = (uintptr_t)c;
  slot->sp = (uintptr_t)c->uc_mcontext.gregs[REG_RSP];
  slot->tcb = os_thread_pointer();
  uint32_t asked = FROZEN_ASKED;
  if (!atomic_compare_exchange_strong(&slot->state, &asked, FROZEN_STOPPED)) return;
  atomic_fetch_add(&answered, 1);
  os_futex_wake_all(&answered, false);
  while (atomic_load(&frozen) == mine)
    os_futex_wait(&frozen, mine, NULL, false);
}

/* ---- the signal ---------------------------------------------------------------- */

static bool unused_signal(int sig) {
  if (os_pending_signals() >> (sig - 1) & 1) return false;
  return os_action(sig, NULL, &disposition) == 0 && disposition.handler == NULL;
}

static bool borrow_signal(void) {
  for (int sig = LAST_SIGNAL; sig >= FIRST_SIGNAL; sig--) {
    if (!unused_signal(sig)) continue;
    if (os_handle(sig, stop_here) != 0) continue;
    borrowed = sig;
    return true;
  }
  return false;
}

static void give_signal_back(void) {
  struct os_action ignore = disposition;
  memcpy(&ignore.handler, &(void (*)(int)){SIG_IGN}, sizeof ignore.handler);
  os_action(borrowed, &ignore, NULL);
  os_action(borrowed, &disposition, NULL);
  borrowed = 0;
}

static bool send_to(struct frozen_thread *t) {
  int error = os_send(t->tid, borrowed, t);
  if (error == -ESRCH) atomic_store(&t->state, FROZEN_GONE);
  return error == 0;
}

/* ---- what /proc says about a thread -------------------------------------------- */

static char *append_text(char *to, const char *text) {
  while (*text)
    *to++ = *text++;
  *to = 0;
  return to;
}

static ssize_t read_task(int tid, const char *file, char *buffer, size_t size) {
  char path[64], digits[TEXT_DIGITS];
  char *end = append_text(path, "/proc/self/task/");
  end = append_text(end, text_number(digits, (unsigned)tid));
  end = append_text(end, "/");
  append_text(end, file);
  return os_slurp(path, buffer, size);
}

/* "nr 0xa 0xb 0xc 0xd 0xe 0xf 0xsp 0xpc", "-1 0xsp 0xpc" or "running". Returns the number
 * of the system call, -1 if the thread is not in one. */
static int read_system_call(struct frozen_thread *t) {
  char text[256];
  if (read_task(t->tid, "syscall", text, sizeof text) <= 0) return -1;
  uintptr_t values[8] = {0};
  unsigned n = 0;
  for (const char *p = strstr(text, "0x"); p && n < 8; p = strstr(p, "0x")) {
    p += 2;
    values[n++] = text_hex(&p, NULL);
  }
  if (n >= 2) t->sp = values[n - 2];
  if (n < 8) return -1;
  memcpy(t->arguments, values, sizeof t->arguments);
  const char *number = text;
  return (int)text_decimal(&number, NULL);
}

/* GONE if it is dead, UNSTOPPED if it blocks the signal or cannot run, ASKED if it would
 * take the signal. */
static uint32_t read_status(const struct frozen_thread *t) {
  char text[2048];
  if (read_task(t->tid, "status", text, sizeof text) <= 0)
    return os_thread_alive(t->tid) ? FROZEN_ASKED : FROZEN_GONE;
  const char *state = strstr(text, "\nState:\t");
  if (state && strchr("ZX", state[8])) return FROZEN_GONE;
  if (state && strchr("Tt", state[8])) return FROZEN_UNSTOPPED;
  const char *blocked = strstr(text, "\nSigBlk:\t");
  if (!blocked) return FROZEN_ASKED;
  blocked += 9;
  return text_hex(&blocked, NULL) >> (borrowed - 1) & 1 ? FROZEN_UNSTOPPED : FROZEN_ASKED;
}

/* Would it take the signal, by running its handler? sigtimedwait() unblocks the signals
 * it waits for, so a thread that calls it in a loop may look open to the one question and
 * outside of the call to the other: both are asked twice. */
static bool would_answer(struct frozen_thread *t) {
  for (int i = 0; i < 2; i++) {
    uint32_t state = read_status(t);
    atomic_store(&t->state, state);
    if (state != FROZEN_ASKED) return false;
    if (read_system_call(t) == SYS_rt_sigtimedwait) return false;
  }
  return true;
}

/* ---- listing ------------------------------------------------------------------- */

static int parse_tid(const char *name) {
  int tid = (int)text_decimal(&name, NULL);
  return *name ? 0 : tid;
}

/* Calls visit for each thread listed; false: the directory could not be read. */
static bool list_threads(void (*visit)(struct thread_set *, int tid),
                         struct thread_set *set) {
  char buffer[1024] __attribute__((aligned(8)));
  int fd = os_open("/proc/self/task", O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return false;
  long n;
  while ((n = os_list(fd, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < n;) {
      const struct dirent64 *entry = (const struct dirent64 *)(buffer + at);
      int tid = parse_tid(entry->d_name);
      if (tid > 0) visit(set, tid);
      at += entry->d_reclen;
    }
  }
  os_close(fd);
  return n == 0;
}

static void count_thread(struct thread_set *set, int tid) {
  (void)tid;
  set->capacity++;
}

static bool known(const struct thread_set *set, int tid) {
  for (unsigned i = 0; i < set->count; i++)
    if (set->threads[i].tid == tid) return true;
  return false;
}

/* Stops asking at once: the thread's fate is in its slot's state. */
static void ask(struct frozen_thread *t) {
  if (borrowed && would_answer(t) && send_to(t)) return;
  uint32_t asked = FROZEN_ASKED;
  atomic_compare_exchange_strong(&t->state, &asked, FROZEN_UNSTOPPED);
}

static void ask_if_new(struct thread_set *set, int tid) {
  if (tid == os_tid() || known(set, tid)) return;
  if (set->count == set->capacity) {
    set->complete = false;
    return;
  }
  struct frozen_thread *t = &set->threads[set->count++];
  memset(t, 0, sizeof *t);
  t->tid = tid;
  ask(t);
}

/* ---- waiting ------------------------------------------------------------------- */

static unsigned still_asked(const struct thread_set *set) {
  unsigned n = 0;
  for (unsigned i = 0; i < set->count; i++)
    n += atomic_load(&set->threads[i].state) == FROZEN_ASKED;
  return n;
}

static void forget_the_dead(struct thread_set *set) {
  for (unsigned i = 0; i < set->count; i++) {
    uint32_t asked = FROZEN_ASKED;
    struct frozen_thread *t = &set->threads[i];
    if (atomic_load(&t->state) == FROZEN_ASKED && !os_thread_alive(t->tid))
      atomic_compare_exchange_strong(&t->state, &asked, FROZEN_GONE);
  }
}

static void give_up(struct thread_set *set) {
  for (unsigned i = 0; i < set->count; i++) {
    uint32_t asked = FROZEN_ASKED;
    atomic_compare_exchange_strong(&set->threads[i].state, &asked, FROZEN_UNSTOPPED);
  }
}

static void wait_for_answers(struct thread_set *set) {
  const struct timespec slice = {.tv_nsec = SLICE_NS};
  uint64_t deadline = os_monotonic_ns() + PATIENCE_NS;
  for (;;) {
    uint32_t seen = atomic_load(&answered);
    if (still_asked(set) == 0) return;
    if (os_monotonic_ns() > deadline) return give_up(set);
    if (os_futex_wait(&answered, seen, &slice, false) == -ETIMEDOUT) forget_the_dead(set);
    if (atomic_load(&answered) != seen) deadline = os_monotonic_ns() + PATIENCE_NS;
  }
}

static void count_states(struct thread_set *set) {
  for (unsigned i = 0; i < set->count; i++) {
    struct frozen_thread *t = &set->threads[i];
    uint32_t state = atomic_load(&t->state);
    set->stopped += state == FROZEN_STOPPED;
    if (state != FROZEN_UNSTOPPED) continue;
    set->unstopped++;
    read_system_call(t);
    fallback(UL_FB_THREAD_UNSTOPPED);
  }
}

/* Slots for the threads there are and as many again. */
static bool take_slots(struct thread_set *set) {
  unsigned want = set->capacity * 2 + OS_PAGE / sizeof *slots;
  if (want > slot_capacity) {
    size_t bytes = os_whole_pages(want * sizeof *slots);
    struct frozen_thread *fresh = os_map(bytes, OS_PAGE, OS_TOOL);
    if (!fresh) return false;
    slots = fresh;
    slot_capacity = (unsigned)(bytes / sizeof *slots);
  }
  set->threads = slots;
  set->capacity = slot_capacity;
  return true;
}

static void stop_all(struct thread_set *set) {
  if (++generation == 0) generation = 1;
  atomic_store(&frozen, generation);
  borrow_signal();
  for (int i = 0; i < TRIES; i++) {
    unsigned before = set->count;
    if (!list_threads(ask_if_new, set)) set->complete = false;
    if (set->count == before) break;
    wait_for_answers(set);
  }
  count_states(set);
}

void freeze(struct thread_set *set) {
  *set = (struct thread_set){.complete = true};
  if (!list_threads(count_thread, set)) set->complete = false;
  if (set->complete && set->capacity == 1) return;
  if (take_slots(set))
    stop_all(set);
  else
    set->complete = false;
}

void thaw(struct thread_set *set) {
  (void)set;
  if (atomic_load(&frozen) == 0) return;
  atomic_store(&frozen, 0);
  os_futex_wake_all(&frozen, false);
  if (borrowed) give_signal_back();
}
