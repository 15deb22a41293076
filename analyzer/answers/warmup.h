/* warmup.h - what a process allocates before a moment is its warm-up, and not counted. */
#ifndef ULLAGE_WARMUP_H
#define ULLAGE_WARMUP_H

#include "read/recording.h"

struct warmup {
  const struct recording *recording;
  uint64_t start_ms;                   /* of the process */
  uint64_t end_ms;                     /* 0: there is none */
  bool each;                           /* it is known of each block whether it is lost */
  struct ul_amount *late[UL_VERDICTS]; /* by site: what was allocated since; NULL */
};
/* `end`: NULL, a time, or the name of a mark (moment.h): a process that did not make it
 * has no warm-up. false: no memory. */
bool warmup_load(struct warmup *, const struct recording *, const char *end);
void warmup_free(struct warmup *);
/* Of what is lost, leaves what was allocated since; false: nothing. What earlier and
 * later blocks drag along together is then nobody's. */
bool warmup_leaves(const struct warmup *, struct ul_leak *);
#endif
