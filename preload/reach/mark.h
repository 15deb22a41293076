/* mark.h - which live blocks can be reached from the roots, and what leads the others.
 *
 * Only in the scan's own process, once, after roots_load (roots.h) and census_take
 * (census.h): module state, no locks. */
#ifndef ULLAGE_MARK_H
#define ULLAGE_MARK_H

#include "reach/census.h"
#include "reach/freeze.h"
#include "reach/roots.h"
#include "reach/trace.h"

/* Where to begin, and how far to go. */
struct mark_from {
  struct roots_self self; /* its threads, when the process was copied */
  struct trace_from trace;
  uint32_t sites; /* in UL_SITES, at the moment of the copy; at least UL_SITE_RESERVED */
  bool own;       /* of what a forked child has inherited nothing is asked */
  unsigned heuristics; /* bit 1 << enum ul_heuristic: that one counts */
};
/* How far it came before it was enough. */
enum mark_extent {
  MARK_REACHED, /* some of what can be reached: the others have no verdict */
  MARK_LOST,    /* all of it, but not all leaders: what may be led is definite, too */
  MARK_ASKED,   /* all that is asked for can be reached: the others have no verdict */
  MARK_ALL
};
/* A leader, a definite block, drags along f, which no leader told before it leads to. */
typedef void mark_led(const struct found *leader, const struct found *f);

/* Mark all blocks, telling who drags whom along meanwhile. *root_bytes: what was scanned
 * as roots; *stacks_known: as roots_each says. Pages that cannot be read must read as
 * zeros by now, or by the caller's handler of the fault. false: no memory, and there are
 * no verdicts. (Too little for the work list alone is no error: it takes longer.) */
bool mark_blocks(const struct mark_from *from, mark_led *tell, uint64_t *root_bytes,
                 bool *stacks_known);

/* What of the definite and indirect blocks main's own frame held. */
struct ul_amount mark_of_main(void);

/* Of a block, afterwards. */
enum mark_extent mark_extent(void);
enum ul_verdict mark_verdict(const struct found *f);
/* The heuristic without which it would not be reachable; UL_HEURISTICS: none. */
enum ul_heuristic mark_rescuer(const struct found *f);
#endif
