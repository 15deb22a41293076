/* sample.h - which allocations have their stack looked up: all, or those on which a point
 * of a random process lies (weight.h). Each heap counts down the bytes to its next point;
 * what is left after a block is as random as any distance is, so a new one is drawn. */
#ifndef ULLAGE_SAMPLE_H
#define ULLAGE_SAMPLE_H

#include "base/page.h"
#include "ledger/book.h"

extern uint64_t sample_bytes; /* from one point to the next, on average; 0: all stacks */
extern uint32_t sample_site;  /* of blocks without a stack */

/* `seed` 0: nobody can know it. Before there are other threads. */
void sample_begin(uint64_t bytes, uint64_t seed, uint32_t site);
/* From now on blocks without a stack have this site: a forked child's are its own. */
void sample_renew(uint32_t site);
/* Where the dynamic loader lies: its blocks have no stack, but a site, for the scan has
 * to know them (mark.c). */
void sample_set_loader(uint64_t start, uint64_t end);
extern uint64_t sample_loader_start, sample_loader_bytes;
static inline bool sample_is_loader(uint64_t ip) {
  return ip - sample_loader_start < sample_loader_bytes;
}

/* A distance, at least 1, exponential with mean `bytes`; moves the random state on. */
uint64_t sample_distance(uint64_t *random, uint64_t bytes);

bool sample_reached(struct book *b, size_t size);
/* No point lies on an allocation of `size` bytes by h's thread: it has no stack. */
static inline bool sample_passes(struct heap *h, size_t size) {
  struct book *b = book_of(h);
  if (UNLIKELY(b->sample.left <= size)) return !sample_reached(b, size);
  b->sample.left -= size | !size;
  return true;
}
#endif
