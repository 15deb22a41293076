/* end.h - the last words of a process: a final snapshot, the account of the address
 * space, the leak scan.
 *
 * The end comes through one of: on_exit (return from main, exit, the last thread's end),
 * quick_exit, _exit and _Exit, abort, exec. Our on_exit handler is registered before any
 * other, so it runs last. A death by a signal or a raw exit_group is not seen here: the
 * ledger is right all the same, and `ullage run` adds how it ended. */
#ifndef ULLAGE_END_H
#define ULLAGE_END_H

#include "format.h"

/* The program ends (enum ul_state, status): last snapshot, scan, header. At most once,
 * unless end_take_back() takes it back. Any thread; returns without doing anything in a
 * vfork child and where it could deadlock. */
void end_finish(enum ul_state state, int status);
void end_before_exec(const char *program); /* the same, before an exec ... */
void end_take_back(void);                  /* ... that failed */

/* Its handler, before anybody has one. */
void end_begin(void);
#endif
