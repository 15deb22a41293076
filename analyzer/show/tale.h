/* tale.h - the findings of all processes in words, the same one of several as one.
 *
 * Of processes that left only lines there are places: what is at the same function as
 * another place, or goes through the function of a finding of the same program, belongs
 * to that. */
#ifndef ULLAGE_SHOW_TALE_H
#define ULLAGE_SHOW_TALE_H

#include "show/verbs.h"

#define TOLD_CALLERS 64u
struct told {
  struct finding finding; /* sums over the processes; its causes are the first one's */
  const struct finding *origin; /* that of the first one */
  struct cause cause;
  size_t processes;            /* with a recording */
  const struct process *first; /* of these; NULL: there is none */
  size_t lines;                /* processes without one */
  const char *program;
  char *function, *callers;
  const struct frame *of; /* where the function allocates; NULL: there is no stack */
  const struct frame *common[TOLD_CALLERS]; /* of all of it, if there are lines */
  size_t common_count;
  uint64_t *pids; /* of those processes, each as often as it has places */
  size_t pid_count;
  uint64_t live, peak, allocations;
  uint64_t since_ms; /* of the first one; since its start, UINT64_MAX: unknown */
  bool from_start;
};
struct tale {
  struct told *at; /* the largest gain first */
  size_t count, room;
};

/* `columns`: room for callers. All it is of must outlive it. */
struct tale tale_load(const struct context *, const struct folded *, size_t columns);
void tale_free(struct tale *);
/* In which order findings of the same gain are told, here and in JSON. */
int tale_order(const struct process *p, const struct finding *x, const struct process *q,
               const struct finding *y);
#endif
