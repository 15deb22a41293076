/* suite_findings.h - the findings of a suite (suite.h): what is to fail, over all its
 * processes.
 *
 * A *finding* is one cause of something that is to fail. Of what is lost (with all that
 * it drags along) and of what grows it is the function to change: all its call stacks are
 * one finding, in whatever process and program, if it is of one source file or one
 * module. A block that is freed wrongly is a finding by its call stacks.
 *
 * The function is that which cause.h blames in the process, as a report does. A process
 * may have seen little, though: a test that calls a faulty function once has lost all
 * that it asked for, and is blamed. So where several functions are blamed, in one process
 * or another, for what is made by one further in, and nearly wherever that is called
 * something is lost, it is the inner one's. */
#ifndef ULLAGE_SUITE_FINDINGS_H
#define ULLAGE_SUITE_FINDINGS_H

#include "answers/budget.h"
#include "names/frame.h"
#include "read/recording.h"

struct suite;
struct suppression;
struct baseline_line;

enum suite_kind {
  SUITE_DEFINITE,
  SUITE_INDIRECT, /* by themselves: what leaders drag along is in SUITE_DEFINITE */
  SUITE_POSSIBLE,
  SUITE_REACHABLE,
  SUITE_GROWTH, /* of what is not lost */
  SUITE_BAD_FREE,
  SUITE_MISMATCH,      /* freed by another family, or with another size */
  SUITE_OVERRUN,       /* this and the next: only where blocks were guarded (--guard) */
  SUITE_WRITTEN_FREED, /* after it was freed */
  SUITE_BUDGET,        /* exceeded */
  SUITE_UNCHECKED,     /* --strict: a process that could not be judged */
  SUITE_KINDS
};
/* As --fail-on has them, but for the last two, which other options ask for. */
#define SUITE_KIND_NAMES                                                                 \
  {                                                                                      \
    "definite", "indirect", "possible", "reachable", "growth", "bad-free", "mismatch",   \
        "overrun", "write-after-free", "budget", "unchecked"                             \
  }

struct suite_stack {
  const struct frame *frames; /* innermost first; `linkage` is frame_symbol() */
  size_t count;               /* 0: there is none */
  size_t blamed;              /* frame_guilty() */
  size_t guilty;              /* to tell it by: the same, or the user's own (ours.h) */
};

enum suite_state {
  SUITE_NEW,
  SUITE_SUPPRESSED,
  SUITE_FOREIGN, /* not of the user's own code (ours.h) */
  SUITE_KNOWN,   /* this and the next: by the baseline */
  SUITE_GREW
};

/* In which process, and how much of it there; the one before it. */
struct suite_sighting {
  size_t process;
  struct ul_amount of, dragged;
  uint64_t times, value;
  struct suite_sighting *before;
};

/* The function to change. */
struct suite_cause {
  const char *key; /* of function and family; NULL: the stack itself is the finding */
  uint64_t print;  /* fingerprint_of_blamed() */
  bool shared;     /* it is a library's: the same in whatever program */
};

/* A function of a stack, whose blocks it has made as well as others'. */
struct suite_made {
  size_t frame; /* in the stack */
  struct suite_cause cause;
  struct suite_maker *maker;
};

/* A finding, and likewise each of its call stacks by itself, which have `stacks` NULL. */
struct suite_finding {
  const char *key; /* what tells its first stack from all others */
  enum suite_kind kind;
  enum ul_misuse_kind misuse;         /* of a misuse */
  enum suite_state state;             /* of all its stacks */
  const struct suite_finding *stacks; /* most bytes first: `at`, `exact`, `process` ... */
  size_t stack_count;                 /* ... are those of the first; sums are of all */
  size_t process;                     /* the first in which it was found */
  struct suite_sighting *seen;        /* in all of them */
  size_t processes;                   /* in how many */
  struct ul_amount of;                /* of what is lost: with what it drags along */
  struct ul_amount dragged;           /* of it */
  uint64_t times;                     /* of a misuse */
  struct ul_misuse first;             /* the first of these */
  enum budget_measure measure;        /* of a budget: this, ... */
  uint64_t value, limit;              /* ... of which there was so much */
  struct suite_stack at;              /* where it was allocated, or freed wrongly */
  struct suite_stack allocated, freed; /* of a bad free: where the block was, before */
  struct suite_cause cause;
  const struct suite_made *makers; /* of a stack: innermost first */
  size_t maker_count;
  uint64_t exact, loose; /* fingerprint.h; of a bad free of both stacks. Of a finding with
                            a cause, `exact` is that */
  const uint64_t *functions; /* of a stack: fingerprint_functions() */
  size_t function_count;
  enum ul_family family;              /* of what is lost; 0: not known */
  const struct baseline_line *known;  /* what it was; NULL: it is new */
  struct ul_amount was;               /* there, with what is compared together with it */
  const struct suppression *accepted; /* by which it is suppressed; NULL: by none */
};
static inline bool suite_is_write(const struct suite_finding *f) {
  return f->kind == SUITE_OVERRUN || f->kind == SUITE_WRITTEN_FREED;
}
static inline bool suite_is_misuse(const struct suite_finding *f) {
  return f->kind == SUITE_BAD_FREE || f->kind == SUITE_MISMATCH || suite_is_write(f);
}

/* It, or its stacks. */
static inline size_t suite_stacks(const struct suite_finding *f,
                                  const struct suite_finding **stacks) {
  *stacks = f->stacks ? f->stacks : f;
  return f->stacks ? f->stack_count : 1;
}

/* ---- while they are gathered ------------------------------------------------------ */

struct suite_found *suite_found_new(void); /* NULL: no memory */
void suite_found_free(struct suite_found *);
/* What was found in a process, of one stack; those of a process after each other. */
void suite_found_add(struct suite *, const struct suite_finding *);
/* After the last: the stacks become the suite's findings. false: no memory. */
bool suite_found_unite(struct suite *);
/* What is known of the function of that name; NULL: nothing, unless it is to be made. */
struct suite_maker *suite_maker_of(struct suite *, const char *name, bool make);
/* It made so many blocks at a stack, of which some were lost. */
void suite_maker_add(struct suite_maker *, uint64_t made, bool lost);

/* ---- the verdict ------------------------------------------------------------------ */

/* All that is not suppressed is accepted. */
void suite_accept(struct suite *);
/* Does it make the check fail? It is new, or grew. */
bool suite_counts(const struct suite_finding *);
size_t suite_in_state(const struct suite *, enum suite_state);
bool suite_fails(const struct suite *);
/* Was it found in that process? Then *part is what of it was, at its largest stack there.
 */
bool suite_part(const struct suite_finding *, size_t process, struct suite_finding *part);
#endif
