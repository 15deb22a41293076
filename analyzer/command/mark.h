/* mark.h - `ullage mark`: a moment of a running process gets a name. */
#ifndef ULLAGE_MARK_H
#define ULLAGE_MARK_H

#include <limits.h>
#include <stdbool.h>

/* argv[0] is "mark". Returns the exit status. */
int mark_main(int argc, char *argv[]);

/* Is it a process id? */
bool mark_is_process(const char *word);
/* The recording into which that process writes. Returns the exit status, and says what is
 * wrong. */
enum { MARK_PATH_BYTES = PATH_MAX + 64 };
int mark_find(const char *pid, char path[MARK_PATH_BYTES]);
#endif
