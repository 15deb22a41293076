/* suite_stacks.h - what one process of a suite (suite.h) has that is to fail, each at its
 * call stack: what it lost, freed wrongly, had grow, and used beyond its budget. */
#ifndef ULLAGE_SUITE_STACKS_H
#define ULLAGE_SUITE_STACKS_H

#include "names/frame.h"
#include "read/recording.h"

struct suite;

/* Of a recording, which is that of a process. false: no memory. */
bool suite_stacks_of(struct suite *, struct recording *, size_t process,
                     const struct symbols_options *);
/* Of those processes that could not be judged. */
void suite_stacks_unchecked(struct suite *);
#endif
