/* baseline.h - findings that were accepted one day, in a text file that is kept with the
 * sources: a ratchet. What is in it passes, unless it has grown since that day; what is
 * not, is new; what is gone can never come back unseen, once it is removed.
 *
 * A line is a finding of one program, by its fingerprints (fingerprint.h), which outlive
 * rebuilds:
 *
 *     PROGRAM KIND EXACT LOOSE BLOCKS BYTES  # WHERE
 *
 * BLOCKS are times where KIND is bad-free or unchecked, and what was used of a budget.
 * Lines are sorted when written, and may be in any order: git merges them, by union too;
 * of two lines for one finding the larger figures count. */
#ifndef ULLAGE_BASELINE_H
#define ULLAGE_BASELINE_H

#include "answers/suite.h"

struct baseline_line {
  const char *program; /* name without directories */
  enum suite_kind kind;
  uint64_t exact, loose;
  struct ul_amount of;
  const char *where;      /* for persons */
  struct ul_amount found; /* now, at all of its stacks; blocks 0: nothing is */
  bool moved;             /* found by `loose` alone: `exact` is what it was */
  bool judged;            /* its program was, now */
};

struct baseline {
  struct baseline_line *lines;
  size_t count;
  struct obstack *memory;
};

/* What a known finding may grow by: less than so many blocks, or at most so many percent
 * of what it was. */
struct baseline_slack {
  unsigned blocks, percent;
};

/* NULL: no such file, or none that is understood; `error` says what to do. */
struct baseline *baseline_read(const char *path, char *error, size_t size);
/* One without a line. NULL: no memory. */
struct baseline *baseline_new(void);
void baseline_free(struct baseline *);

/* Findings become known, or have grown. */
void baseline_compare(struct baseline *, struct suite *, struct baseline_slack);
/* Is it gone? */
bool baseline_is_fixed(const struct baseline_line *);
size_t baseline_fixed(const struct baseline *);
size_t baseline_moved(const struct baseline *);

/* What it is to be if all that was found, but for what is suppressed, is accepted: what
 * is known keeps its figures unless it has grown or there is less now; what is fixed
 * goes; lines of programs that were not judged stay. `where` tells a person of a finding,
 * in memory to be freed. NULL: no memory. */
struct baseline *baseline_next(const struct baseline *, const struct suite *,
                               char *(*where)(const struct suite_finding *));
/* In place of what is there; false: errno says why not. */
bool baseline_write(const struct baseline *, const char *path);
#endif
