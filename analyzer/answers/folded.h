/* folded.h - where processes that left only a line have lost something or freed wrongly,
 * as far as lines tell (children.h). The same stack of the same program is one place. */
#ifndef ULLAGE_FOLDED_H
#define ULLAGE_FOLDED_H

#include "answers/context.h"
#include "names/told.h"

struct folded_place {
  char *key; /* kind, program and stack, as the lines have them */
  char *program;
  int misuse; /* enum ul_misuse_kind; -1: it was lost */
  uint64_t blocks, bytes;
  uint64_t *pids; /* of the processes, as lines come */
  size_t processes, room;
  struct told_stack stack; /* empty without names */
  UT_hash_handle hh;
};
struct folded {
  struct folded_place *places; /* in order: what was lost, most bytes first; misuses */
};
/* Of the context's lines; none if a process was chosen. NULL: no memory. */
struct folded *folded_load(const struct context *);
void folded_free(struct folded *);
#endif
