/* finding.h - what to change in the program: causes, the largest gain first.
 *
 * What is lost is a leak, whether it grows or not; what grows and is not lost is growth.
 * Each live byte is in one of them, or in none. What lives among much that is free keeps
 * that resident: it is in the way, whatever else it is (waste.c). */
#ifndef ULLAGE_FINDING_H
#define ULLAGE_FINDING_H

#include "answers/answers.h"
#include "answers/cause.h"

enum finding_kind {
  FINDING_LEAK,
  FINDING_GROWTH,
  FINDING_UNUSED,
  FINDING_TEMPORARY,
  FINDING_KINDS
};

struct finding {
  enum finding_kind kind;
  const struct causes *causes;
  size_t cause;        /* index in them */
  struct ul_amount of; /* lost, with what it drags along; or what has been added; of
                          what is unused: its blocks (0: not known), and free bytes
                          that these keep resident */
  struct ul_amount estimated; /* the part of it that is one (estimate.h) */
  struct ul_amount grown;     /* of it, by call sites that grow by themselves */
  struct ul_amount live; /* of it: what grew may have been freed in the end; of what is
                            unused: the blocks that keep it; {0, 0}: not known */
  uint64_t since_ms;     /* of a leak: birth of the oldest block; of growth: its begin;
                            of what was unused: then. UINT64_MAX: not known, or the end */
  uint64_t rss_bytes;    /* of what is unused: at that moment; 0: not known */
  double rate;           /* bytes per second; 0: it does not grow, as far as is known */
  uint64_t temporary; /* blocks that were freed at once: they hold nothing, `of` is 0 */
  double chance;      /* of growth: how likely what does not grow looks like it */
  uint64_t
      gain; /* by which they are ranked: `of`, and what is free only as it is there */
};
struct findings {
  struct finding *at;
  size_t count;
  struct functions *functions;
  struct causes *lost, *growing, *pinning; /* NULL: nothing known */
  struct causes *temporary;                /* NULL: nothing that matters */
  struct ul_amount *grown; /* by site: what has been added, and is not lost */
};
/* The causes of what has one of these verdicts (a bit, 1 << verdict, for each); of what
 * is definitely lost with what it drags along, if both are asked for. NULL: no memory. */
#define FINDING_LOST (1u << UL_DEFINITE | 1u << UL_INDIRECT)
struct causes *findings_by_verdict(const struct recording *, const struct sites *,
                                   struct functions *, unsigned verdicts);
/* In which order they are told: less than 0, x before y. */
int finding_order(const struct finding *x, const struct finding *y);
/* Has a runtime (Ruby) taken its objects apart as the program exited, before the scan,
 * but not what they had allocated? What only they held looks lost. */
bool findings_taken_apart(const struct recording *);
/* What such a runtime allocated is a leak only if it grows, or went on to the end. NULL:
 * no memory. All must outlive it. */
struct findings *findings_load(const struct recording *r, const struct sites *sites,
                               const struct growth *growth, const struct unused *unused,
                               struct functions *functions);
void findings_free(struct findings *);
#endif
