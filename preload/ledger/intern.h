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
  bool is_trie;  /* of words that are intern_below() */
  struct intern_directory *_Atomic directory;
};

/* In a trie: the word of a child. */
static inline uint64_t intern_below(uint32_t parent, uint32_t key) {
  return (uint64_t)key << 32 | parent;
}

/* The number of `word`, which is not 0; 0 when there is no room for it. It is larger than
 * all numbers that were known when it was first asked for. look: only if it has one; 0
 * also while its page is being shared out. Any thread. */
uint32_t intern(struct intern *, uint64_t word, bool look);

/* The same in a trie for n words, each below the one before, the first below `parent`:
 * their numbers come in place of the keys. How many have one; a key of 0 ends the path.
 * Words that are new together have numbers one after the other. */
uint32_t intern_path(struct intern *, uint32_t parent, uint32_t *path, uint32_t n,
                     bool look);

/* From now on all words are new; the numbers that there are stay. Only one thread. */
void intern_begin_anew(struct intern *);

/* Around fork: the lock of the slow path ("intern" in lock.h). */
void intern_fork_prepare(void);
void intern_fork_parent(void);
void intern_fork_child(void);
#endif
