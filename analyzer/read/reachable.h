/* reachable.h - the rows of what can be reached, by call site. A recorder leaves them out
 * (UL_FEATURE_LEAKS_ONLY), for they are most, and few ask for them; the ledger and the
 * verdict of each block tell the same. */
#ifndef ULLAGE_REACHABLE_H
#define ULLAGE_REACHABLE_H

#include "read/recording.h"

/* Give the recording the rows that it lacks, before estimate.h makes estimates of them.
 * false: no memory. */
bool reachable_add(struct recording *r);
#endif
