/* tree.h - the processes of a context by the program that they run, with their sums: of
 * what call sites did and hold as far as that is loaded. */
#ifndef ULLAGE_TREE_H
#define ULLAGE_TREE_H

#include "answers/context.h"

struct tree_sums {
  size_t recordings;   /* processes with one */
  uint64_t lines;      /* processes that left only a line (children.h) */
  uint64_t peak_bytes; /* of one process, the largest */
  uint64_t allocations;
  /* Of those with a recording. */
  uint64_t allocated_bytes, frees;
  struct ul_amount live; /* at their ends, or now */
  /* Of it, what findings say of, if they are loaded. */
  struct ul_amount leak, growth;
  /* ... and without, in bytes. */
  struct ul_amount lost; /* definitely, with what that drags along */
  struct ul_amount possible;
  size_t losers;      /* processes that have lost something */
  uint64_t unscanned; /* processes of which it is not known what they lost */
  uint64_t misuses;   /* blocks freed or resized wrongly */
};
struct tree_program {
  const char *name;
  const struct children_program *lines; /* NULL: none left only a line */
  const struct process *first; /* the one that matters most; NULL: none has a recording */
  struct tree_sums sums;
};
struct tree {
  struct tree_program
      *programs; /* in the order of their first processes, then by number */
  size_t count;
  struct tree_sums all;
};
/* The context must outlive it. NULL: no memory. */
struct tree *tree_load(const struct context *);
void tree_free(struct tree *);
/* Of one process; of those of a program that left only a line. */
struct tree_sums tree_of(const struct process *);
struct tree_sums tree_of_lines(const struct children_program *);
#endif
