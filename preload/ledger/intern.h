/* intern.h - a number for each word: a table of the recording that holds every word of 8
 * bytes once, found again by what it is.
 *
 * A word that is there is found, and nearly every new one entered, without a lock and
 * without a system call; whoever is interrupted in the middle of it, for ever even,
 * leaves nothing behind that others would wait for. */
#ifndef ULLAGE_INTERN_H
#define ULLAGE_INTERN_H

#include "recording/table.h"

struct intern_directory;
struct intern {
  enum ul_table table;
  unsigned bits; /* of a number, at most 27: there are fewer than 2^bits */
  struct intern_directory *_Atomic directory;
};

/* The number of `word`, which is not 0; 0 when there is no room for it. It is larger than
 * all numbers that were known when it was first asked for. Any thread. */
uint32_t intern(struct intern *, uint64_t word);
/* The number that it has; 0: none, or its page is being shared out. */
uint32_t intern_find(struct intern *, uint64_t word);

/* It will be asked for soon. */
void intern_expect(const struct intern *, uint64_t word);

/* From now on all words are new; the numbers that there are stay. Only one thread. */
void intern_begin_anew(struct intern *);

/* Around fork: the lock of the slow path ("intern" in lock.h). */
void intern_fork_prepare(void);
void intern_fork_parent(void);
void intern_fork_child(void);
#endif
