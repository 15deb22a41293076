/* freeze.c - stopping the other threads by a borrowed signal.
 *
 * Each thread that is to stop is sent the signal with a pointer to its slot. Its
 * handler publishes where the registers lie (the kernel has put them all on the
 * stack, vector registers too), says STOPPED and waits on a futex. The freezer gives up
 * on a slot by ASKED -> UNSTOPPED, a compare-and-swap; a handler that comes later than
 * that says STOPPED and waits all the same, but nobody counts on it. Slots are never
 * unmapped, and it touches nothing else.
 *
 * How long they wait: until thaw(), which never comes when the process ends. Nothing
 * else can let them go but freeze_limit(): should the end wait for what a stopped thread
 * holds, they go on after that time, as if there had been no freeze.
 *
 * What a thread sleeps in when the signal comes ends with EINTR, whatever SA_RESTART
 * says, if it is one of nanosleep, poll, select, pause and their like (signal(7)), and
 * the program would run on. So the handler has it go on with what it slept in, which
 * /proc told before the signal was sent: by the kernel's own way to go on with what has
 * a deadline, restart_syscall(), whose notes stand until the handler returns; else by
 * calling it again. (Then a timeout that the call does not count down itself, that of
 * epoll_wait, begins anew.)
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
/* Without an answer of anybody for this long, nobody who cannot be interrupted will
 * answer; and after the longer time nobody at all: running threads take an interrupt,
 * threads in line for a CPU some milliseconds for each in front. */
#define PATIENCE_NS (50 * UINT64_C(1000000))
#define LONG_PATIENCE_NS (1000 * UINT64_C(1000000))
#define SLICE_NS (5 * UINT64_C(1000000))
enum { LIMIT_SLICE_MS = 50 };

static _Atomic uint32_t frozen;   /* the freeze that holds now, 0 for none; a futex */
static _Atomic uint32_t limit;    /* slices that a thread waits at most; 0: no limit */
static _Atomic uint32_t answered; /* handlers that have arrived; a futex */
static uint32_t generation;
static int borrowed; /* the signal; 0: none */
static struct os_action disposition;
static struct frozen_thread *slots;
static unsigned slot_capacity;

/* ---- in the thread that stops -------------------------------------------------- */

/* In slices and not by the clock: no clock of the program's may be called in here. */
static void wait_for_thaw(uint32_t mine) {
  const struct timespec slice = {.tv_nsec = LIMIT_SLICE_MS * 1000000};
  uint32_t waited = 0;
  while (atomic_load(&frozen) == mine) {
    if (os_futex_wait(&frozen, mine, &slice, false) != -ETIMEDOUT) continue;
    uint32_t at_most = atomic_load(&limit);
    waited = at_most ? waited + 1 : 0;
    if (at_most && waited > at_most) {
      if (atomic_compare_exchange_strong(&frozen, &mine, 0)) fallback(UL_FB_LET_GO);
      os_futex_wake_all(&frozen, false);
      return;
    }
  }
}

/* Does the signal's frame show the very call that /proc has shown? */
static bool came_out_of(const struct system_call *call, const greg_t *r) {
  const uintptr_t now[] = {(uintptr_t)r[REG_RDI], (uintptr_t)r[REG_RSI],
                           (uintptr_t)r[REG_RDX], (uintptr_t)r[REG_R10],
                           (uintptr_t)r[REG_R8],  (uintptr_t)r[REG_R9]};
  return call->number >= 0 && call->pc == (uintptr_t)r[REG_RIP] &&
         call->sp == (uintptr_t)r[REG_RSP] &&
         memcmp(call->arguments, now, sizeof now) == 0 &&
         is_system_call(call->pc - SYSTEM_CALL_BYTES);
}

enum { NOT, NOTED, ANEW }; /* how a call goes on */

/* The calls that end with EINTR in spite of SA_RESTART. (Not connect: begun anew, it
 * would fail.) */
static int how_to_go_on(const struct system_call *call) {
  switch (call->number) {
  case SYS_nanosleep:
  case SYS_poll:
  case SYS_futex:
  case SYS_restart_syscall: /* an earlier freeze's */
    return NOTED;
  case SYS_clock_nanosleep:
    return call->arguments[1] & TIMER_ABSTIME ? ANEW : NOTED;
  case SYS_pause:
  case SYS_rt_sigsuspend:
  case SYS_select:
  case SYS_pselect6:
  case SYS_ppoll:
  case SYS_epoll_wait:
  case SYS_epoll_pwait:
  case SYS_epoll_pwait2:
  case SYS_msgrcv:
  case SYS_msgsnd:
  case SYS_semop:
  case SYS_semtimedop:
  case SYS_io_getevents:
  case SYS_accept: /* these with a timeout of the socket */
  case SYS_accept4:
  case SYS_recvfrom:
  case SYS_recvmsg:
  case SYS_recvmmsg:
    return ANEW;
  default:
    return NOT;
  }
}

/* Another signal that waits for the thread ends its sleep after all. */
static void sleep_on(const struct system_call *call, ucontext_t *c) {
  greg_t *r = c->uc_mcontext.gregs;
  uint64_t mask;
  memcpy(&mask, &c->uc_sigmask, sizeof mask);
  if (r[REG_RAX] != -EINTR || !came_out_of(call, r)) return;
  if (os_pending_signals() & ~mask) return;
  int how = how_to_go_on(call);
  if (how == NOTED) {
    os_block_signals(mask);
    r[REG_RAX] = os_restart_call();
  } else if (how == ANEW) {
    r[REG_RAX] = call->number;
    r[REG_RIP] -= SYSTEM_CALL_BYTES;
  }
}

static __attribute__((no_sanitize("address"))) void stop_here(int sig, siginfo_t *info,
                                                              void *context) {
  (void)sig;
  if (info->si_code != SI_QUEUE || info->si_pid != os_pid()) return;
  struct frozen_thread *slot = info->si_value.sival_ptr;
  uint32_t mine = atomic_load(&frozen);
  if (slot->tid != os_tid()) return;
  ucontext_t *c = context;
  struct system_call call = slot->call; /* the slot may serve another thaw and freeze */
  slot->context = (uintptr_t)c;
  slot->sp = (uintptr_t)c->uc_mcontext.gregs[REG_RSP];
  slot->tcb = os_thread_pointer();
  if (mine) {
    atomic_store(&slot->state, FROZEN_STOPPED);
    atomic_fetch_add(&answered, 1);
    os_futex_wake_all(&answered, false);
    wait_for_thaw(mine);
  }
  sleep_on(&call, c);
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

static ssize_t read_task(int tid, const char *file, char *buffer, size_t size) {
  char path[64];
  struct text name = TEXT_IN(path);
  text_put(&name, "/proc/self/task/");
  text_put_number(&name, (unsigned)tid);
  text_put(&name, "/");
  text_put(&name, file);
  return os_slurp(path, buffer, size);
}

/* "nr 0xa 0xb 0xc 0xd 0xe 0xf 0xsp 0xpc", "-1 0xsp 0xpc" or "running". */
static void read_system_call(struct frozen_thread *t) {
  char text[256];
  t->call = (struct system_call){.number = -1};
  if (read_task(t->tid, "syscall", text, sizeof text) <= 0) return;
  uintptr_t values[8] = {0};
  unsigned n = 0;
  for (const char *p = strstr(text, "0x"); p && n < 8; p = strstr(p, "0x")) {
    p += 2;
    values[n++] = text_hex(&p, NULL);
  }
  if (n >= 2) t->sp = values[n - 2];
  if (n < 8) return;
  const char *number = text;
  t->call.number = (int)text_decimal(&number, NULL);
  t->call.sp = values[6];
  t->call.pc = values[7];
  memcpy(t->call.arguments, values, sizeof t->call.arguments);
}

/* GONE if it is dead, UNSTOPPED if it blocks the signal or cannot run, ASKED if it would
 * take the signal. */
static uint32_t read_status(struct frozen_thread *t) {
  char text[2048];
  if (read_task(t->tid, "status", text, sizeof text) <= 0)
    return os_thread_alive(t->tid) ? FROZEN_ASKED : FROZEN_GONE;
  const char *state = strstr(text, "\nState:\t");
  t->run_state = state ? state[8] : 0;
  if (t->run_state == 'Z' || t->run_state == 'X') return FROZEN_GONE;
  if (t->run_state == 'T' || t->run_state == 't') return FROZEN_UNSTOPPED;
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
    read_system_call(t);
    if (t->call.number == SYS_rt_sigtimedwait) return false;
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

/* A thread that runs with the signal blocked may be one that is just being born, or about
 * to wait for something: it will soon be seen to be open, or asleep. */
static bool ask_the_busy_again(struct thread_set *set) {
  bool busy = false;
  for (unsigned i = 0; i < set->count; i++) {
    struct frozen_thread *t = &set->threads[i];
    if (atomic_load(&t->state) != FROZEN_UNSTOPPED || t->run_state != 'R') continue;
    ask(t);
    busy = true;
  }
  return busy;
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

/* On all that have not answered, or on those that cannot be interrupted. */
static void give_up(struct thread_set *set, bool all) {
  for (unsigned i = 0; i < set->count; i++) {
    struct frozen_thread *t = &set->threads[i];
    uint32_t asked = FROZEN_ASKED;
    if (atomic_load(&t->state) != FROZEN_ASKED) continue;
    if (!all && read_status(t) == FROZEN_ASKED && t->run_state != 'D') continue;
    atomic_compare_exchange_strong(&t->state, &asked, FROZEN_UNSTOPPED);
  }
}

static void wait_for_answers(struct thread_set *set) {
  const struct timespec slice = {.tv_nsec = SLICE_NS};
  uint64_t last_answer = os_monotonic_ns();
  for (;;) {
    uint32_t seen = atomic_load(&answered);
    if (still_asked(set) == 0) return;
    uint64_t silence = os_monotonic_ns() - last_answer;
    if (silence > PATIENCE_NS) give_up(set, silence > LONG_PATIENCE_NS);
    if (os_futex_wait(&answered, seen, &slice, false) == -ETIMEDOUT) forget_the_dead(set);
    if (atomic_load(&answered) != seen) last_answer = os_monotonic_ns();
  }
}

static void count_states(struct thread_set *set) {
  set->stopped = set->unstopped = 0;
  for (unsigned i = 0; i < set->count; i++) {
    struct frozen_thread *t = &set->threads[i];
    uint32_t state = atomic_load(&t->state);
    set->stopped += state == FROZEN_STOPPED;
    if (state != FROZEN_UNSTOPPED) continue;
    set->unstopped++;
    read_system_call(t);
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
  for (int i = 0; i < TRIES; i++) {
    unsigned before = set->count;
    if (!list_threads(ask_if_new, set)) set->complete = false;
    bool busy = ask_the_busy_again(set);
    if (set->count == before && !busy) break;
    wait_for_answers(set);
    if (busy) os_sleep_ms(1);
  }
  count_states(set);
}

void freeze(struct thread_set *set) {
  *set = (struct thread_set){.complete = true};
  if (os_threads() == 1) return;
  if (!list_threads(count_thread, set)) set->complete = false;
  if (set->complete && set->capacity == 1) return;
  if (!take_slots(set)) {
    set->complete = false;
    return;
  }
  if (++generation == 0) generation = 1;
  freeze_limit(0);
  atomic_store(&frozen, generation);
  borrow_signal();
  stop_all(set);
}

/* Not a thread that waits for a signal, but perhaps one of our locks' queue. */
static bool may_soon_answer(const struct frozen_thread *t) {
  return t->state == FROZEN_UNSTOPPED && t->call.number == SYS_futex;
}

bool freeze_again(struct thread_set *set) {
  bool again = false;
  for (unsigned i = 0; i < set->count; i++) {
    if (!may_soon_answer(&set->threads[i])) continue;
    ask(&set->threads[i]);
    again = true;
  }
  if (!again) return false;
  wait_for_answers(set);
  stop_all(set);
  return true;
}

void freeze_limit(unsigned ms) {
  atomic_store(&limit, (ms + LIMIT_SLICE_MS - 1) / LIMIT_SLICE_MS);
}

bool freeze_holds(const struct thread_set *set) {
  return set->stopped == 0 || atomic_load(&frozen) != 0;
}

void thaw(void) {
  atomic_store(&frozen, 0);
  os_futex_wake_all(&frozen, false);
  if (borrowed) give_signal_back();
}
