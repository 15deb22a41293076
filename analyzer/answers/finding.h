/* finding.h - what to change in the program: causes, the largest gain first.
 *
 * What is lost is a leak, whether it grows or not; what grows and is not lost is growth.
 */
#ifndef ULLAGE_FINDING_H
#define ULLAGE_FINDING_H

#include "answers/answers.h"
#include "answers/cause.h"

enum finding_kind { FINDING_LEAK, FINDING_GROWTH };

struct finding {
  enum finding_kind kind;
  const struct causes *causes;
  size_t cause;               /* index in them */
  struct ul_amount of;        /* lost, with what it drags along; or what has been added */
  struct ul_amount estimated; /* the part of it that is one (estimate.h) */
  struct ul_amount grown;     /* of it, by call sites that grow by themselves */
  struct ul_amount live;      /* of it: what grew may have been freed in the end */
  uint64_t since_ms; /* of a leak: birth of the oldest block; of growth: its begin */
  double rate;       /* bytes per second; 0: it does not grow, as far as is known */
};
struct findings {
  struct finding *at;
  size_t count;
  struct functions *functions;
  struct causes *lost, *growing; /* NULL: nothing known */
  struct ul_amount *grown;       /* by site: what has been added, and is not lost */
};
/* NULL: no memory. All must outlive it. */
struct findings *findings_load(const struct recording *r, const struct sites *sites,
                               const struct growth *growth, struct functions *functions);
void findings_free(struct findings *);
#endif
