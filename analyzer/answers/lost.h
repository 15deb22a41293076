/* lost.h - what is lost, of all processes of a context, by verdict and call site.
 *
 * Call sites that are the same stack of the same program in several processes are a
 * *group*. They are known by a hash of 64 bits over the modules (path and build id) and
 * addresses of their stacks; that two of a million differ and share it has a chance of
 * one in 10^7, and would put two lines into one. */
#ifndef ULLAGE_LOST_H
#define ULLAGE_LOST_H

#include "answers/folded.h"
#include "answers/tree.h"

struct lost_group {
  size_t processes;
  struct ul_leak sum;            /* site, births and example are the first one's */
  struct ul_amount estimated;    /* the part of it that is one (estimate.h) */
  uint64_t oldest_ms, newest_ms; /* ages at the scans */
};
struct lost_place {
  struct process *process;
  const struct ul_leak *leak;
  const struct lost_group *group; /* NULL: it is alone */
};
struct lost {
  struct context *context;
  struct tree *tree;
  struct folded *folded;
  /* By verdict, then most bytes of a group, then of a place. */
  struct lost_place *places;
  struct lost_group *groups;
  size_t first[UL_VERDICTS + 1]; /* of a verdict; behind the last verdict: their number */
  /* Sums over the processes. */
  struct ul_amount totals[UL_VERDICTS];
  struct ul_amount rescued[UL_HEURISTICS];
  struct ul_amount of_main, inherited;
  size_t scanned; /* processes */
};
/* The context must outlive it. NULL: no memory. */
struct lost *lost_load(struct context *);
void lost_free(struct lost *);
/* The verdict that matters most; UL_NO_VERDICT: nothing is lost. */
enum ul_verdict lost_worst(const struct lost *);
#endif
