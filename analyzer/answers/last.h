/* last.h - how the heap went in the last seconds before the end. What was killed at its
 * limit has no last word, but the ledger at its end and the snapshots before it are
 * measurements. */
#ifndef ULLAGE_LAST_H
#define ULLAGE_LAST_H

#include "answers/context.h"

struct last {
  uint64_t ms; /* before the end: at least LAST_MS, if the run and its snapshots allow */
  int64_t bytes;        /* what live bytes rose or fell by in that time */
  bool rose;            /* or fell, by more than is nothing */
  uint64_t limit;       /* the lowest that the process had; UINT64_MAX: none */
  const char *limit_of; /* "for its control group" */
  bool to_peak;         /* all that until the peak: most was freed in the end */
  bool matters;         /* it ended for want of memory, or may have */
};
#define LAST_MS 5000

/* Of how much memory it might have, the least; UINT64_MAX: there was no limit. */
uint64_t last_limit(const struct ul_header *, const char **of);
/* Did it fail having used the upper half of what it might? */
bool last_failed_at(const struct recording *, uint64_t bytes);
/* What the process had sites loaded for. */
struct last last_of(const struct process *);
#endif
