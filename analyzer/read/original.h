/* original.h - the recording that another one is a copy of (cp), which does not say of
 * itself that it is one.
 *
 * While the process runs it is told by the file that it has mapped. Later, if the
 * original lies beside the copy and has gone on: it knows how it ended, or more than the
 * copy does. */
#ifndef ULLAGE_ORIGINAL_H
#define ULLAGE_ORIGINAL_H

#include "format.h"

#include <stdbool.h>

/* Is the open file another one than its process, which runs, writes to? Where files have
 * other numbers than their mappings (an overlay, btrfs), or we may not look, it cannot be
 * told. */
bool original_is_another(const struct ul_header *, int fd);
/* Is there one in the directory of the file, which is open, that has gone on? */
bool original_has_gone_on(const struct ul_header *, const char *path, int fd);
#endif
