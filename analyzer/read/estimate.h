/* estimate.h - what the sampled blocks of a recording stand for (weight.h): where not all
 * call stacks were looked up, what a call site has is an estimate. Totals are not: each
 * block is in the ledger, and in the scan.
 *
 * A program that was sampled from some time on has blocks from before it, whose sites are
 * exact. So a stack may have two sites, and is known by the exact one; what it has is a
 * sum of which a part is an estimate. */
#ifndef ULLAGE_ESTIMATE_H
#define ULLAGE_ESTIMATE_H

#include "read/recording.h"

/* How a recording was sampled: `bytes` from one looked-up stack to the next, on average;
 * 0: all were. Until `ms` of the process's time, after so many allocations and frees,
 * they were as well; 0: sampled from the start. */
struct sampling {
  uint64_t bytes, ms, work;
};
struct sampling estimate_sampling(const struct recording *r);

/* Once, before all below: leaks and whom they drag along become estimates, and those that
 * have no stack are left out: what they come to is in the scan's totals. false: no
 * memory.
 */
bool estimate_begin(struct recording *r);

/* The site by which its stack is known. */
uint32_t estimate_stack(const struct recording *r, uint32_t site);
/* Are its blocks samples? */
bool estimate_is_of_samples(const struct recording *r, uint32_t site);
/* The site that stands for all blocks whose stack was not looked up. */
bool estimate_is_rest(const struct recording *r, uint32_t site);

/* How many blocks one of so many bytes at that site stands for: 1 if it is no sample. */
double estimate_weight(const struct recording *r, uint32_t site, uint64_t bytes);
/* What sampled blocks of a site stand for, by their mean size; others as they are. */
struct ul_amount estimate_of(const struct recording *r, uint32_t site,
                             struct ul_amount amount);
/* Of what a leak has come to, without what it drags along: so much is an estimate. */
struct ul_amount estimate_in_leak(const struct recording *r, const struct ul_leak *leak);
#endif
