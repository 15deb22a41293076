/* signals.h - `ullage run` stands between a program and whoever sends it signals.
 *
 * The program is in the same process group, so what the terminal sends reaches both,
 * and is not passed on; what a process sends to ullage alone is. ullage itself handles
 * nothing asynchronously: all signals are blocked and taken one by one. */
#ifndef ULLAGE_SIGNALS_H
#define ULLAGE_SIGNALS_H

#include <signal.h>
#include <sys/types.h>

struct signals {
  sigset_t blocked, original;
  struct sigaction original_child; /* a SIGCHLD that is ignored would eat the status */
};

/* Before fork. */
void signals_take(struct signals *);
/* In the child, before exec: mask and dispositions as ullage got them. */
void signals_restore(const struct signals *);
/* Waits for the end of the child, passing signals on. Returns its wait status. */
int signals_wait(const struct signals *, pid_t child);
/* Ends this process by a signal, without a core file of its own. Returns only if that
 * is impossible. */
void signals_die(int signal);
#endif
