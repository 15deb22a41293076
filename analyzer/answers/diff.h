/* diff.h - two looks at a program compared: what is new, gone, more or less.
 *
 * A look is the end of a recording (or now, if its process runs), or a moment of it. Call
 * stacks are matched by the functions that both looks know (fingerprint.h), so neither
 * addresses nor lines nor builds matter; of another optimization, see diff.c.
 *
 * Changes are laid at the functions to change, as findings are (cause.h): what is lost,
 * and what lives besides. A moment knows only what lives. */
#ifndef ULLAGE_DIFF_H
#define ULLAGE_DIFF_H

#include "answers/context.h"
#include "answers/fingerprint.h"
#include "answers/moment.h"

enum { DIFF_BEFORE, DIFF_AFTER, DIFF_LOOKS };

struct diff_look {
  struct process *process;
  const struct moment *at; /* NULL: the end, or now */
  size_t processes;        /* of which it is one */
};

enum diff_kind {
  DIFF_LEAK,
  DIFF_GROWTH, /* lives, and grows there where it is more (findings) */
  DIFF_LIVE
};
#define DIFF_CALLERS 24u
struct diff_change {
  enum diff_kind kind;
  unsigned named_by; /* whose frames and site: of what is less, DIFF_BEFORE */
  struct ul_amount at[DIFF_LOOKS];
  const struct frame *frame; /* of the function to change */
  const struct frame *callers[DIFF_CALLERS];
  size_t callers_count; /* of them, in use */
  size_t stacks;        /* that have changed */
  uint32_t site;        /* the one that has changed most */
  struct fingerprint fingerprint;
};

/* All that was allocated in a function or further in. */
struct diff_function {
  const struct frame *frame;
  struct ul_amount at[DIFF_LOOKS];
  size_t depth; /* the innermost place that it has in a stack that has changed */
};

struct diff_measure {
  struct diff_change *changes; /* the largest difference first */
  size_t changes_count;
  struct diff_function *functions; /* likewise; of equal ones the innermost */
  size_t functions_count;
  /* Of what lives, what is at call sites too small to be told apart at a moment. */
  uint64_t untold[DIFF_LOOKS];
};

struct diff {
  struct diff_look look[DIFF_LOOKS];
  bool different;           /* programs: nothing is compared */
  bool same_build;          /* of the program and all libraries that matter */
  bool leaks;               /* both know what is lost */
  struct diff_measure live; /* what is lost included */
  struct diff_measure peak; /* of two ends: when most was live; else nothing */
};

/* `force`: whatever programs they are of. NULL: no memory. */
struct diff *diff_load(const struct diff_look look[DIFF_LOOKS], bool force);
void diff_free(struct diff *);
#endif
