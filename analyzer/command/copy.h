/* copy.h - a copy of the recording of a running process, as it is now. */
#ifndef ULLAGE_COPY_H
#define ULLAGE_COPY_H

#include "format.h"

#include <stdbool.h>
#include <stddef.h>

/* What is in use of the recording `fd`, whose header is mapped at `header`, to the file
 * `path`, which must not exist or be a recording. *quiet: the process has changed nothing
 * meanwhile, so that the copy is of one moment. false: `error` says why, and there is no
 * file. */
bool copy_recording(int fd, const struct ul_header *header, const char *path, bool *quiet,
                    char *error, size_t error_bytes);
#endif
