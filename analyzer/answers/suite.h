/* suite.h - the verdict on the processes of a run: what `ullage check` finds.
 *
 * *Ours* are processes whose program fits the rules' pattern. If none is, all of them are
 * judged: the program that was named, and what it has forked. Otherwise the others (a
 * runner of tests, its shells and interpreters) are not.
 *
 * Everything here outlives the recordings that it came from. */
#ifndef ULLAGE_SUITE_H
#define ULLAGE_SUITE_H

#include "answers/answers.h"
#include "answers/budget.h"
#include "answers/fingerprint.h"
#include "answers/ours.h"
#include "answers/suite_findings.h"
#include "answers/suppressions.h"
#include "read/recording.h"

#include <obstack.h>

struct suite_rules {
  const char *programs;     /* pattern.h */
  bool only_programs;       /* and nobody else, if there are none */
  unsigned fail_on;         /* bit 1 << enum suite_kind for each that fails */
  struct ul_amount least;   /* what is lost at one stack counts from so much on ... */
  struct ul_amount allowed; /* ... and fails only if all together is more than this */
  struct suppressions *suppressions; /* count what they match */
  struct ours ours;
  struct budgets budgets;
  const char *warmup; /* a time or a mark (moment.h): what was allocated before does not
                         count; NULL: all does */
};

enum suite_standing {
  SUITE_JUDGED,
  SUITE_NOT_OURS,
  SUITE_UNSCANNED,  /* what it lost is not known; bad frees are */
  SUITE_UNRECORDED, /* nothing is known */
  SUITE_STANDINGS
};

struct suite_process {
  const char *file;      /* its recording; NULL: it has none */
  const char *program;   /* path */
  const char *arguments; /* each with a 0 behind it; after the last another 0 */
  const char *command;   /* the same, with blanks between */
  const char *exec;      /* the program that it became, as it was named; NULL: none */
  int pid, ppid;
  bool forked;
  bool bare; /* its LD_PRELOAD was taken away */
  enum suite_standing standing;
  enum recording_end end;
  int status; /* of the end */
  uint64_t duration_ms;
  struct ul_scan scan; /* its state and error say why there is no verdict */
  uint32_t stop;       /* enum ul_stop */
  bool confined;
  bool unmarked; /* something was lost in it, and the mark of the warm-up is not there */
  bool cold;     /* something was lost in it, and all of it was warm-up */
  uint64_t number;        /* that it stands for: forked children that have no recording */
  const char *unreadable; /* why its recording cannot be read; NULL: it can */
};

/* Judged, found clean, and left no recording but a line: the one before it. */
struct suite_silent {
  const char *command; /* its first 199 bytes */
  uint64_t ms;
  const struct suite_silent *before;
};

struct suite {
  struct suite_rules rules;
  int main_pid;                   /* of the program that was named; 0: there is none */
  struct suite_finding *findings; /* gravest first */
  size_t count;
  struct suite_found *found;       /* what they are gathered in */
  struct suite_process *processes; /* in order of the files */
  size_t process_count;
  uint64_t silent; /* ours that were judged, found clean, and left no recording */
  const struct suite_silent *told; /* those of them that have a line each */
  bool ours;                       /* some process is ours */
  const struct baseline *baseline; /* that it was compared with; NULL: with none */
  struct obstack *memory;
};

static inline bool suite_fails_on(const struct suite *s, enum suite_kind kind) {
  return s->rules.fail_on & 1u << kind;
}

/* NULL: no memory. Each file is a recording; its children are not looked for. */
struct suite *suite_new(const struct suite_rules *);
bool suite_add(struct suite *, const char *path, const struct symbols_options *);
/* What the lines beside the recording tell: of processes that left none. */
void suite_add_lines(struct suite *, const char *path);
/* After the last: judges, merges, sorts. false: no memory. */
bool suite_judge(struct suite *, const struct symbols_options *);
void suite_free(struct suite *);

/* Was a program of that name among the silent ones, as far as their command tells? */
bool suite_is_silent(const struct suite *, const char *program);
/* Was there a program that is to be judged, even if it could not be? */
bool suite_has_ours(const struct suite *);
/* Has it a recording that was looked at? */
bool suite_is_judged(const struct suite_process *);
/* Processes of which everything is known. */
size_t suite_judged(const struct suite *);
/* Those, and others of which something is known, as of who ended by its own bad free. */
size_t suite_looked_at(const struct suite *);
/* A copy that lives as long as the suite; NULL of NULL. */
const char *suite_keep(struct suite *, const char *text);
#endif
