/* tails.h - capacity that was never used: the untouched ends of blocks that were made
 * larger, each time by a factor, for what was still to come.
 *
 * Whether a call site does that, its functions tell (a container of C++ or Rust), or how
 * often it allocated, and how much, for each block that lives: what doubles from nothing
 * to n bytes asks for some 2n. */
#ifndef ULLAGE_TAILS_H
#define ULLAGE_TAILS_H

#include "answers/context.h"

enum tails_kind { TAILS_OF_CONTAINERS, TAILS_OF_RESIZED, TAILS_KINDS };
struct tails {
  struct tails_sum {
    uint64_t bytes;
    size_t sites;
  } of[TAILS_KINDS]; /* those that matter; else 0 */
};
/* Of a process whose unused memory is loaded. false: no memory. */
bool tails_load(struct process *, struct tails *);
#endif
