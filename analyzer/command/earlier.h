/* earlier.h - an earlier recording of the same name makes way for a new one. */
#ifndef ULLAGE_EARLIER_H
#define ULLAGE_EARLIER_H

#include <stdbool.h>

/* Does it begin as a recording does? */
bool earlier_is_recording(const char *path);
/* Is it what such a one is called? */
bool earlier_is_name(const char *name);
/* It is kept as FILE.old, with those of its children; what is no recording stays, and
 * what cannot be moved is said. */
void earlier_make_way(const char *path);
#endif
