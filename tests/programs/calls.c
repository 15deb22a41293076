/* calls.c - how many system calls a program and its children make, and how many of them
 * are sleeps: on standard error, "calls N sleeps N", after they have ended. Counted from
 * its exec on.
 *   calls PROGRAM [ARGUMENT...] */
#define _GNU_SOURCE
#include "common.h"
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

enum { AT_CALL = SIGTRAP | 0x80 };

static long calls, sleeps;

/* Each call stops its thread twice; at the first stop RAX is -ENOSYS. */
static void count(pid_t pid) {
  struct user_regs_struct r;
  CHECK(ptrace(PTRACE_GETREGS, pid, 0, &r) == 0);
  if ((long)r.rax != -ENOSYS) return;
  calls++;
  sleeps += r.orig_rax == SYS_nanosleep || r.orig_rax == SYS_clock_nanosleep;
}

static bool is_event(int status) {
  return status >> 16 || WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP;
}

static int trace(pid_t first) {
  int status, result = 1;
  pid_t pid;
  while ((pid = waitpid(-1, &status, __WALL)) > 0) {
    int sig = 0;
    if (WIFSTOPPED(status)) {
      if (WSTOPSIG(status) == AT_CALL)
        count(pid);
      else if (!is_event(status))
        sig = WSTOPSIG(status);
      ptrace(PTRACE_SYSCALL, pid, 0, sig);
    } else if (pid == first) {
      result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
  }
  return result;
}

int main(int argc, char **argv) {
  int status;
  CHECK(argc > 1);
  pid_t pid = fork();
  if (pid == 0) {
    char *preload = getenv("CALLS_PRELOAD");
    if (preload) setenv("LD_PRELOAD", preload, 1);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    execv(argv[1], argv + 1);
    _exit(127);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
  CHECK(ptrace(PTRACE_SETOPTIONS, pid, 0,
               PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL) == 0);
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  int result = trace(pid);
  fprintf(stderr, "calls %ld sleeps %ld\n", calls, sleeps);
  return result;
}
