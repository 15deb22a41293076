/* branches.h - who calls a cause: its stacks from the function to change outwards, merged
 * by function, with what of the finding goes through each.
 *
 * A branch is a set of nodes of the recording's trie, and is only made where it is shown:
 * the whole tree of a million stacks has millions. Frames of the runtime are left out,
 * and what calls itself, or each other, is in it once. */
#ifndef ULLAGE_BRANCHES_H
#define ULLAGE_BRANCHES_H

#include "answers/cause.h"

#define BRANCH_FRAMES 64u
struct branch {
  /* The caller, and those that nearly all of it comes through behind it: where each
   * calls, in the stack with most bytes. */
  const struct frame *frames[BRANCH_FRAMES];
  size_t frame_count;
  unsigned depth;      /* how often the tree has forked before it */
  struct ul_amount of; /* the finding's that goes through it */
  size_t others;       /* its callers that are too small to be told */
  bool cut;            /* there are more callers, not looked for */
};
/* Callers with less than one part in so many of the finding are too small. */
#define BRANCH_SMALL 20u
struct branches {
  struct branch *at; /* each followed by its callers, most bytes first */
  size_t count;
  size_t others; /* the cause's callers that are too small */
};
/* At most `most` of them. NULL: no memory. */
struct branches *branches_load(struct functions *, const struct causes *, size_t cause,
                               size_t most);
void branches_free(struct branches *);
#endif
