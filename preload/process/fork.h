/* fork.h - how a child of fork() comes to a recording of its own.
 *
 * fork: our handlers take all locks, copy the recording's used parts and close a gate
 * (lock.h); the child puts the copy in place of the file. What is live then was its
 * parent's; its own history begins here. It gets a file of its own when it lives for
 * FORK_SETTLE_MS, allocates much at once, starts a thread, or has something to tell at its end (process_settle,
 * end.c): most children exec at once. What may be lost in it: the heaps of the threads
 * that are not there (quarantined), and what they had on their stacks.
 *
 * vfork, posix_spawn: the child runs in our memory with another pid; it may allocate, and
 * nothing else is done for it. Raw clone without handlers: the wiped page reads 0; the
 * child goes on as an allocator that records nothing. */
#ifndef ULLAGE_FORK_H
#define ULLAGE_FORK_H

/* On slow paths, before a lock is taken: is this the child of a raw clone? */
void fork_check(void);

/* Our handlers, once; whoever registers some later has them called nearer to the fork. */
void fork_begin(void);
#endif
