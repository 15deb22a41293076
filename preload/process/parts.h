/* parts.h - what process.c, fork.c and end.c share, and nobody else. */
#ifndef ULLAGE_PROCESS_PARTS_H
#define ULLAGE_PROCESS_PARTS_H

#include "process/process.h"

extern int process_pid; /* 0 before the beginning; another's in a child of vfork */
extern bool
    process_unwanted; /* nothing is to be recorded: no reason for any system call */

/* false: somebody has been here before. */
bool process_advance(enum process_phase to);
/* A forked child that has no file yet? */
bool process_unsettled(void);
/* There may be threads that we were not told of (a raw clone, a timer's). */
bool process_has_one_thread(void);
/* The file of one that is unsettled. `alone`: nobody else is writing into the tables.
 * `for_good`: there is no other chance. */
void process_settle_now(bool alone, bool for_good);
/* Locks must not be waited for, nothing of the parent's recording be touched. */
void process_become_unrecorded(void);
/* The site of this process's blocks whose stack is not looked up. */
uint32_t process_make_sample_site(void);
/* A mark that somebody has asked for: an answer, if it is made; nobody asked the child.
 */
void process_answer_if_made(void);
void process_forget_asked(void);
#endif
