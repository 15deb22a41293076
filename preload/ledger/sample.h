/* sample.h - which allocations have their stack looked up: all, or, from the start or
 * from some time on, those on which a point of a random process lies (weight.h). Each
 * heap counts down the bytes to its next point; what is left after a block is as random
 * as any distance is, so a new one is drawn.
 *
 * Nearly all blocks have no stack, so malloc and free do for them what is needed to know
 * each of them, and no more (entry.h): the entry is a word that is at hand, with the
 * block's slack and family; of the counters only numbers and bytes are kept, no lifetime;
 * and one comparison says that nothing else is due. For that a heap is granted so many
 * bytes that while they last it meets no point, nor does what lives reach the bounds of
 * its window (peak.h), nor can a counter get heavy. The clock is read at the next grant,
 * for births and timed snapshots; so both may be late or early by as many bytes of the
 * thread's own allocations as are granted at once: SAMPLE_GRANT_MAX, or less
 * where points lie close together. */
#ifndef ULLAGE_SAMPLE_H
#define ULLAGE_SAMPLE_H

#include "base/page.h"
#include "ledger/book.h"

#include <stdbool.h>

/* From one point to the next, on average; 0: all stacks. */
extern _Atomic uint64_t sample_bytes __attribute__((visibility("hidden")));
/* Of blocks without a stack; 0: there are none. And what the entries of those that live
 * have in common; 0: as none has. */
extern uint32_t sample_site __attribute__((visibility("hidden")));
extern uint64_t sample_entry __attribute__((visibility("hidden")));

/* `seed` 0: nobody can know it. Where all stacks were known before, another epoch begins
 * behind it: so nobody believes a walk that was kept, and who goes on with what he saw
 * before enters a block as one of those. */
void sample_begin(uint64_t bytes, uint64_t seed, uint32_t site);
/* It may begin when stacks cost too much: they are timed (site.c). */
extern bool sample_watches __attribute__((visibility("hidden")));
/* From now on blocks without a stack have this site: a forked child's are its own. */
void sample_renew(uint32_t site);
/* Where the dynamic loader lies: its blocks have no stack, but a site, for the scan has
 * to know them (mark.c). */
void sample_set_loader(uint64_t start, uint64_t end);
extern uint64_t sample_loader_start __attribute__((visibility("hidden"))),
    sample_loader_bytes __attribute__((visibility("hidden")));
static inline bool sample_is_loader(uint64_t ip) {
  return ip - sample_loader_start < sample_loader_bytes;
}
/* Is it that of blocks without a stack? Of these no lifetimes are counted. */
static inline bool sample_is_site(uint32_t site) {
  return site == sample_site;
}
/* Is the entry that of such a block, which lives? */
static inline bool sample_is_entry(uint64_t entry) {
  return (entry & (UL_ENTRY_LIVE | (UL_SITES_MAX - 1))) == sample_entry;
}

/* A distance, at least 1, exponential with mean `bytes`; moves the random state on. */
uint64_t sample_distance(uint64_t *random, uint64_t bytes);

/* No point lies on an allocation of `size` bytes by h's thread: it has no stack. */
bool sample_passes(struct heap *h, size_t size);

/* Grant the calling thread's heap what it may allocate from now on, which is that of its
 * clock, or free, without a further look; true: that includes a block of `size` bytes. */
bool sample_grant(struct heap *h, size_t size);
bool sample_grant_to_free(struct heap *h, size_t size);

/* Was so much granted? */
static inline bool sample_granted(int64_t left, size_t bytes) {
  return (uint64_t)left - bytes < SAMPLE_GRANT_MAX;
}
/* The same of at most UL_MEDIUM_MAX bytes, which are used up then. By one instruction, as
 * book_add(): who finds too little puts back what he took. */
static inline __attribute__((always_inline)) bool sample_use(int64_t *left,
                                                             size_t bytes) {
  bool lacks;
  __asm__("subq %2, %1" : "=@ccs"(lacks), "+m"(*left) : "er"(bytes));
  if (LIKELY(!lacks)) return true;
  book_add(left, (int64_t)bytes);
  return false;
}
#endif
