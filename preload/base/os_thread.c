#include "base/os_thread.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { KERNEL_SA_RESTORER = 0x04000000 };

/* ---- signals ------------------------------------------------------------------- */

int os_action(int sig, const struct os_action *set, struct os_action *old) {
  if (os_injected(OS_OP_SIGNAL)) return -EAGAIN;
  return (int)os_call(SYS_rt_sigaction, sig, set, old, sizeof set->mask);
}

/* The bytes that unwinders know as the way out of a signal handler. */
static __attribute__((naked)) void restorer(void) {
  __asm__ volatile("movq $15, %rax\n\tsyscall");
}

int os_handle(int sig, os_handler *handler) {
  const struct os_action action = {.handler = handler,
                                   .flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK |
                                            KERNEL_SA_RESTORER,
                                   .restorer = restorer,
                                   .mask = ~UINT64_C(0)};
  return os_action(sig, &action, NULL);
}

void os_block_signals(uint64_t mask) {
  os_call(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
}

/* SIGKILL is in no mask: that everything was blocked says that nothing has been done. */
static const uint64_t all_signals = ~UINT64_C(0);

void os_hold_signals(uint64_t *before) {
  *before = all_signals;
  if (os_confined()) return;
  os_call(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, before, sizeof *before);
}

void os_release_signals(uint64_t before) {
  if (before != all_signals && !os_confined()) os_block_signals(before);
}

uint64_t os_pending_signals(void) {
  uint64_t pending = 0;
  os_call(SYS_rt_sigpending, &pending, sizeof pending);
  return pending;
}

void os_take_signals(uint64_t pending) {
  const struct timespec at_once = {0};
  while (pending &&
         os_call(SYS_rt_sigtimedwait, &pending, NULL, &at_once, sizeof pending) > 0)
    continue;
}

/* Whose reader has gone, or does not read, gets nothing; should he go just now, or the
 * file be as long as it may, the signal is ours to take. */
int os_write_quietly(int fd, const void *line, size_t bytes) {
  const uint64_t raised = UINT64_C(1) << (SIGPIPE - 1) | UINT64_C(1) << (SIGXFSZ - 1);
  struct pollfd ready = {.fd = fd, .events = POLLOUT};
  if (os_injected(OS_OP_WRITE)) return -EIO;
  if (os_call(SYS_poll, &ready, 1, 0) != 1 || ready.revents != POLLOUT) return -EAGAIN;
  uint64_t mask, before;
  os_hold_signals(&mask);
  before = os_pending_signals();
  long n = os_call(SYS_write, fd, line, bytes);
  os_take_signals(os_pending_signals() & ~before & raised);
  os_release_signals(mask);
  return n < 0 ? (int)n : 0;
}

int os_signal_stack(void *stack, size_t bytes) {
  stack_t s = {.ss_sp = stack, .ss_size = bytes};
  return (int)os_call(SYS_sigaltstack, &s, NULL);
}

bool os_on_signal_stack(void) {
  stack_t s = {.ss_flags = SS_ONSTACK};
  if (os_confined()) return true;
  return os_call(SYS_sigaltstack, NULL, &s) == 0 && s.ss_flags & SS_ONSTACK;
}

uintptr_t os_signal_stack_now(void) {
  stack_t s;
  if (os_call(SYS_sigaltstack, NULL, &s) != 0 || s.ss_flags & SS_DISABLE) return 0;
  return (uintptr_t)s.ss_sp;
}

int os_send(int tid, int sig, void *value) {
  siginfo_t info;
  if (os_injected(OS_OP_SIGNAL)) return -EAGAIN;
  memset(&info, 0, sizeof info);
  info.si_signo = sig;
  info.si_code = SI_QUEUE;
  info.si_pid = os_pid();
  info.si_value.sival_ptr = value;
  return (int)os_call(SYS_rt_tgsigqueueinfo, info.si_pid, tid, sig, &info);
}

void os_sleep_ms(unsigned ms) {
  const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  os_call(SYS_nanosleep, &t, NULL);
}

long os_restart_call(void) {
  return os_call(SYS_restart_syscall);
}

__attribute__((naked)) void os_on_stack(__attribute__((unused)) void *top,
                                        __attribute__((unused)) void (*work)(void *),
                                        __attribute__((unused)) void *argument) {
  __asm__ volatile("pushq %rbp\n\tmovq %rsp, %rbp\n\t"
                   "movq %rdi, %rsp\n\tandq $-16, %rsp\n\t"
                   "movq %rdx, %rdi\n\tcallq *%rsi\n\t"
                   "leave\n\tret");
}

/* ---- copies of the process ----------------------------------------------------- */

int os_copy_process(void) {
  if (os_injected(OS_OP_FORK)) return -EAGAIN;
  return (int)os_call(SYS_clone, CLONE_FILES, 0, 0, 0, 0);
}

/* To the child's stack, which begins where the parent's may not be. */
__attribute__((naked)) static long share(__attribute__((unused)) unsigned long flags,
                                         __attribute__((unused)) void *top,
                                         __attribute__((unused)) void (*work)(void)) {
  __asm__ volatile("movq %rdx, %r9\n\t"
                   "andq $-16, %rsi\n\t"
                   "xorl %edx, %edx\n\t"
                   "xorl %r10d, %r10d\n\t"
                   "xorl %r8d, %r8d\n\t"
                   "movl $56, %eax\n\t" /* clone */
                   "syscall\n\t"
                   "testl %eax, %eax\n\t"
                   "jz 1f\n\t"
                   "ret\n"
                   "1:\txorl %ebp, %ebp\n\t"
                   "callq *%r9\n\t"
                   "hlt");
}

int os_share_process(void *top, void (*work)(void)) {
  if (os_injected(OS_OP_FORK)) return -EAGAIN;
  return (int)share(CLONE_FILES | CLONE_VM, top, work);
}

int os_start_thread(void *top, void (*work)(void)) {
  enum {
    THREAD =
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM
  };
  if (os_injected(OS_OP_THREAD)) return -EAGAIN;
  return (int)share(THREAD, top, work);
}

unsigned os_processors(void) {
  uint64_t mask[128] = {0};
  long bytes = os_confined() ? 0 : os_call(SYS_sched_getaffinity, 0, sizeof mask, mask);
  unsigned n = 0;
  for (long i = 0; i < bytes / (long)sizeof *mask; i++)
    n += (unsigned)__builtin_popcountll(mask[i]);
  return n ? n : 1;
}

void os_die_with_parent(void) {
  os_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
}

void os_raise_file_limit(void) {
  struct rlimit limit;
  if (os_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  os_call(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

void os_kill(int pid, int sig) {
  os_call(SYS_kill, pid, sig);
}

bool os_has_ended(int pid) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  long r =
      os_call(SYS_waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL);
  return r != 0 || info.si_pid == pid;
}

int os_wait(int pid) {
  long r;
  do
    r = os_call(SYS_wait4, pid, NULL, __WALL, NULL);
  while (r == -EINTR);
  return r < 0 ? (int)r : 0;
}

uint64_t os_cpu_ns(int pid) {
  enum { BY_SCHEDULER = 2 }; /* CPUCLOCK_SCHED of the kernel's posix-timers.h */
  struct timespec used = {0};
  os_call(SYS_clock_gettime, (~(unsigned)pid << 3) | BY_SCHEDULER, &used);
  return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

int os_exec(const char *path, char *const arguments[], char *const environment[]) {
  return (int)os_call(SYS_execve, path, arguments, environment);
}

/* ---- barriers ------------------------------------------------------------------ */

bool os_barrier_register(void) {
  if (os_confined()) return false;
  return os_call(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool os_barrier_all_threads(void) {
  if (os_injected(OS_OP_MEMBARRIER)) return false;
  return os_call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}
