/* locks.h - all locks at once, in their order (lock.h), so that nobody is in the middle
 * of anything: for a fork, the scan, a filter of system calls. */
#ifndef ULLAGE_LOCKS_H
#define ULLAGE_LOCKS_H

/* Signals are blocked if any of them needs that. */
void locks_take(void);
/* ... but the snapshot's, which is held. Who has that one waits for nobody outside, but
 * in fork(). */
void locks_take_rest(void);
void locks_give(void);
#endif
