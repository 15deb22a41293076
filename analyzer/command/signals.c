#include "command/signals.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Not passed on: those of our own faults, which must act at once. */
static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

void signals_take(struct signals *signals) {
  sigfillset(&signals->blocked);
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    sigdelset(&signals->blocked, own[i]);
  sigprocmask(SIG_BLOCK, &signals->blocked, &signals->original);
  sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL},
            &signals->original_child);
}

void signals_restore(const struct signals *signals) {
  sigaction(SIGCHLD, &signals->original_child, NULL);
  sigprocmask(SIG_SETMASK, &signals->original, NULL);
}

static bool is_stop(int signal) {
  return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/* By the signal itself, which the kernel ignores where nobody could continue us. */
static void stop(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  raise(number);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  sigprocmask(SIG_BLOCK, &set, NULL);
}

/* A negative code or SI_USER: some process sent it, to us. Otherwise the kernel did: the
 * terminal, to the whole group. */
static void take_signal(const siginfo_t *info, pid_t child) {
  int number = info->si_signo;
  bool sent = info->si_code <= 0;
  if (number == SIGCHLD || number == SIGPIPE) return;
  if (sent) kill(child, number);
  if (is_stop(number)) stop(number); /* the shell waits for us to stop as well */
}

/* What came too late for the program must not end us before the last word. */
static void drain(const struct signals *signals) {
  while (sigtimedwait(&signals->blocked, NULL, &(struct timespec){0, 0}) > 0)
    ;
}

int signals_wait(const struct signals *signals, pid_t child) {
  int status = 0;
  for (;;) {
    pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child || (ended < 0 && errno != EINTR)) break;
    siginfo_t info;
    if (sigwaitinfo(&signals->blocked, &info) > 0) take_signal(&info, child);
  }
  drain(signals);
  return status;
}

void signals_die(int signal) {
  sigset_t set;
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* also a core that is piped to a program */
  sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
  raise(signal);
  sigemptyset(&set);
  sigaddset(&set, signal);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}
