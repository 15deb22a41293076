/* baseline.h - findings that were accepted one day, in a text file that is kept with the
 * sources: a ratchet. What is in it passes, unless it has grown since that day; what is
 * not, is new; what is gone can never come back unseen, once it is removed.
 *
 * A line is what one program has of a finding:
 *
 *     PROGRAM KIND EXACT LOOSE BLOCKS BYTES  # WHERE
 *
 * EXACT is the function to change (fingerprint_of_blamed), LOOSE the innermost function
 * of the program's own: of its largest stack. Both outlive rebuilds. Of a bad free, and
 * in files of the first version, EXACT is a whole call stack. BLOCKS are times where KIND
 * is bad-free or unchecked, and what was used of a budget. Lines are sorted when written,
 * and may be in any order: git merges them, by union too; of two lines for one finding
 * the larger figures count.
 *
 * Which lines are a finding's:
 *   - those of its programs with its function; if that is a library's, those of any
 *     program: a new test that reaches a known fault has found nothing new;
 *   - else it has *moved*: those with a function that is in its stacks, or with their
 *     innermost one, as far as nothing else has these lines. The function to blame may
 *     be another when more or fewer stacks are known, and a build may inline it.
 *   - one that has its function in common with a finding that has become smaller, and is
 *     no more than what is missing there, was split off it, and has moved as well.
 * Findings and lines that belong together, be it by others, are a *pile*: what was, and
 * what is found now, are compared in sum. Lines of programs that did not run count only
 * if there are no others. */
#ifndef ULLAGE_BASELINE_H
#define ULLAGE_BASELINE_H

#include "answers/suite.h"

struct baseline_line {
  const char *program; /* name without directories */
  enum suite_kind kind;
  uint64_t exact, loose;
  struct ul_amount of;
  const char *where; /* for persons */
  bool found;        /* something is, in its program */
  bool taken;        /* it is some finding's */
  bool moved;        /* of another function, or stack: `exact` is what it was */
  bool judged;       /* its program was, now */
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

/* Findings become known, or have grown. false: no memory. */
bool baseline_compare(struct baseline *, struct suite *, struct baseline_slack);
/* Is it gone? */
bool baseline_is_fixed(const struct baseline_line *);
size_t baseline_fixed(const struct baseline *);
size_t baseline_moved(const struct baseline *);

/* What it is to be if all that was found, but for what is suppressed, is accepted: what
 * is known keeps its figures unless it has grown or there is less now; what is fixed
 * goes; lines of programs that were not judged stay. What was compared with it must have
 * been. `where` tells a person of a finding, in memory to be freed. NULL: no memory. */
struct baseline *baseline_next(struct baseline *, const struct suite *,
                               char *(*where)(const struct suite_finding *));
/* In place of what is there; false: errno says why not. */
bool baseline_write(const struct baseline *, const char *path);
#endif
