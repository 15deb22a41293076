/* filter.c - prctl and syscall, interposed because a filter of system calls (seccomp)
 * comes through them: seccomp has no function of its own in libc, and libseccomp uses
 * these two; and because a process may end by one. What a program does by its own
 * instructions, or what it was started with, is not seen. */
#include "base/next.h"
#include "base/os.h"
#include "process/allow.h"
#include "process/end.h"
#include "process/process.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Without a filter it is only asked what the kernel can do (libseccomp does). */
static bool forbids_something(long filter) {
  return filter && !allow_all((const struct sock_fprog *)filter);
}

static bool will_confine(long number, long a, long b, long c) {
  if (number == SYS_prctl && a == PR_SET_SECCOMP)
    return b == SECCOMP_MODE_STRICT || (b == SECCOMP_MODE_FILTER && forbids_something(c));
  if (number == SYS_seccomp)
    return a == SECCOMP_SET_MODE_STRICT
               ? !b && !c
               : a == SECCOMP_SET_MODE_FILTER && forbids_something(c);
  return false;
}

/* ---- libc's own ----------------------------------------------------------------- */

/* Whose instruction makes a system call can matter: with system call user dispatch a
 * program takes those for its own business that are not libc's. So it is libc's function
 * that calls, as without us; but for what comes before our constructor. */
__attribute__((used)) static long filter_failed(long result) {
  errno = (int)-result;
  return -1;
}

/* The instructions of libc's: no frame, for the call may be a vfork or a clone, whose
 * child returns on the same stack first. */
static __attribute__((naked)) long early_syscall(__attribute__((unused)) long number,
                                                 ...) {
  __asm__("movq %rdi, %rax\n\t"
          "movq %rsi, %rdi\n\t"
          "movq %rdx, %rsi\n\t"
          "movq %rcx, %rdx\n\t"
          "movq %r8, %r10\n\t"
          "movq %r9, %r8\n\t"
          "movq 8(%rsp), %r9\n\t"
          "syscall\n\t"
          "cmpq $-4095, %rax\n\t"
          "jae 0f\n\t"
          "ret\n\t"
          "0:\n\t"
          "movq %rax, %rdi\n\t"
          "jmp filter_failed");
}

__attribute__((used)) static long (*filter_next)(long, ...) = early_syscall;
static int (*next_prctl)(int, ...);

__attribute__((constructor)) static void find_libcs(void) {
  int saved = errno;
  *(void **)&filter_next = next_symbol("syscall");
  *(void **)&next_prctl = next_symbol("prctl");
  errno = saved;
}

/* ---- ours ------------------------------------------------------------------------ */

static bool confine_before(long number, long a, long b, long c) {
  return will_confine(number, a, b, c) && process_confine();
}

static long unconfine_after(bool confined, long result) {
  int saved = errno;
  if (confined && result < 0) process_unconfine();
  errno = saved;
  return result;
}

/* As prctl of libc, which asks for all arguments there can be. */
EXPORT int prctl(int option, ...) {
  long argument[4];
  va_list list;
  va_start(list, option);
  for (int i = 0; i < 4; i++)
    argument[i] = va_arg(list, long);
  va_end(list);
  long a = argument[0], b = argument[1], c = argument[2], d = argument[3];
  bool confined = confine_before(SYS_prctl, option, a, b);
  long result = next_prctl ? next_prctl(option, a, b, c, d)
                           : early_syscall(SYS_prctl, (long)option, a, b, c, d, 0L);
  return (int)unconfine_after(confined, result);
}

/* For syscall below, in whose place it returns. */
__attribute__((used)) static long filter_call(long number, long a, long b, long c, long d,
                                              long e, long f) {
  bool confined = confine_before(number, a, b, c);
  if (number == SYS_exit_group) end_finish(UL_STATE_EXITED, (int)a);
  return unconfine_after(confined, filter_next(number, a, b, c, d, e, f));
}

_Static_assert(SYS_prctl == 157 && SYS_seccomp == 317 && SYS_exit_group == 231,
               "numbers below");

/* Without a frame, for the reason above. */
EXPORT __attribute__((naked)) long syscall(__attribute__((unused)) long number, ...) {
  __asm__("cmpq $157, %rdi\n\t"
          "je filter_call\n\t"
          "cmpq $317, %rdi\n\t"
          "je filter_call\n\t"
          "cmpq $231, %rdi\n\t"
          "je filter_call\n\t"
          "jmp *filter_next(%rip)");
}
