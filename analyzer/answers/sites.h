/* sites.h - what each call site holds and did, over the whole run. */
#ifndef ULLAGE_SITES_H
#define ULLAGE_SITES_H

#include "read/recording.h"

#define SITE_GENERATIONS 16u

/* Counters with what they carry. */
struct site_count {
  uint64_t allocations, allocated_bytes;
  uint64_t frees, freed_bytes;
  uint64_t temporary, lifetime_ms;
};

/* Of what samples stand for (estimate.h). */
struct site_estimate {
  struct ul_amount live, peak, allocated;
};

/* There may be millions of them. */
struct site_sum {
  uint32_t site;
  bool of_others;                /* ullage's own, or inherited */
  uint16_t generations;          /* bit g: blocks born in the g-th 16th of the run live */
  uint64_t blocks, bytes;        /* live, from the ledger; requested bytes */
  uint64_t slack;                /* usable minus requested, of the live blocks */
  uint64_t oldest_ms, newest_ms; /* births of the live blocks */
  uint64_t peak_blocks, peak_bytes; /* in the picture of the peak */
  struct site_count count;          /* summed over all heaps */
  struct site_estimate *estimated;  /* the parts of these that are; NULL: all is exact */
};

struct sites {
  struct site_sum *sum;            /* indexed by site, that by which a stack is known */
  struct site_estimate *estimated; /* likewise; NULL: the recording is not sampled */
  size_t count;
  /* This process's, without what is of others. Of a sampled recording what is temporary
   * is an estimate; else both bounds are what it is. */
  struct site_count total;
  uint64_t temporary_low, temporary_high;
  uint64_t blocks, bytes; /* live in the ledger */
  uint64_t inherited_bytes;
  uint64_t peak_bytes, peak_ms; /* of the picture of the peak, which may be near it */
  /* Sites whose counters and ledger disagree: none when the program was at rest. */
  uint64_t disagreeing;
};

static inline struct site_estimate site_estimated(const struct site_sum *s) {
  return s->estimated ? *s->estimated : (struct site_estimate){.live = {0, 0}};
}

/* NULL: no memory. */
struct sites *sites_load(const struct recording *r);
void sites_free(struct sites *s);

/* This process's sites for which key is not 0, largest first (equal: lowest site first);
 * *count of them. The caller frees the array; NULL if there is no memory. */
typedef uint64_t sites_key(const struct site_sum *s);
const struct site_sum **sites_sorted(const struct sites *s, sites_key *key,
                                     size_t *count);
#endif
