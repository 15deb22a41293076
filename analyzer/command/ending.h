/* ending.h - the last word of recordings whose programs had none. */
#ifndef ULLAGE_ENDING_H
#define ULLAGE_ENDING_H

#include "format.h"

#include <sys/types.h>

struct children;

/* The program `pid`, whose recording is `path`, has ended with that status of wait, and
 * all that came of it; first the recordings of heirs (process/file.c of the preload) get
 * their names. */
void ending_settle(const char *path, pid_t pid);
void ending_complete(const char *path, pid_t pid, int status, struct ul_kills,
                     const struct children *children);
#endif
