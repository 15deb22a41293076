/* estimate.h - what the sampled blocks of a recording stand for (weight.h): where not all
 * call stacks were looked up, what a call site has is an estimate. Totals are not: each
 * block is in the ledger, and in the scan. */
#ifndef ULLAGE_ESTIMATE_H
#define ULLAGE_ESTIMATE_H

#include "read/recording.h"

/* Bytes from one looked-up stack to the next, on average; 0: all were. */
uint64_t estimate_sample_bytes(const struct recording *r);
/* What sampled blocks of a site stand for, by their mean size; without samples as it is.
 */
struct ul_amount estimate_of(const struct recording *r, uint32_t site,
                             struct ul_amount sampled);
/* The leaks become estimates, and those that have no stack are left out: what they come
 * to is in the scan's totals. At most once. false: no memory. */
bool estimate_leaks(struct recording *r);
/* The site that stands for all blocks whose stack was not looked up. */
static inline bool estimate_is_rest(const struct recording *r, uint32_t site) {
  return estimate_sample_bytes(r) && site == recording_header(r)->sample_site;
}
#endif
