/* temporary.h - what is allocated and freed at once: no memory is gained where it is
 * changed, but time, so it is a finding only where that is a part of the run's time.
 *
 * A pair of malloc and free costs a program some 20 ns. So a function is told from so
 * many on that they take a hundredth of the run's time, if they are a tenth of all that
 * the program allocates, and 1,000,000: 20 ms. */
#ifndef ULLAGE_TEMPORARY_H
#define ULLAGE_TEMPORARY_H

#include "answers/cause.h"

/* So many of all the program's? */
bool temporary_matters(const struct recording *r, const struct sites *sites,
                       uint64_t allocations);
/* The functions that allocate temporarily as a habit, `of.blocks` times; *causes is NULL
 * if no function can matter. false: no memory. */
bool temporary_load(const struct recording *r, const struct sites *sites,
                    struct functions *functions, struct causes **causes);
#endif
