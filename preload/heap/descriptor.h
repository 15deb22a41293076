/* descriptor.h - descriptors of arenas. Half a percent of what they describe, so they
 * must not stay when it has gone: they lie in groups, and the memory of a group goes back
 * to the OS with its last arena. The address space stays, and reads as zeros: whoever
 * looks at a descriptor too late finds no pool. All under the arena lock. */
#ifndef ULLAGE_DESCRIPTOR_H
#define ULLAGE_DESCRIPTOR_H

#include "heap/types.h"

/* One that describes nothing yet; NULL: no memory. Its pools have no heap. */
struct arena *descriptor_take(void);
void descriptor_give(struct arena *a);

/* Those in use, newest first; also when nothing else runs. */
struct arena *descriptor_first(void);
static inline struct arena *descriptor_next(const struct arena *a) {
  return a->link;
}

/* In the child of a raw fork, which may have come in the middle of an update: no group
 * is taken from again. */
void descriptor_raw_fork_child(void);
#endif
