/* kept.h - the folder in which `ullage check` has its recordings made, and what stays of
 * it.
 *
 * It lies below $TMPDIR and not in the current directory, for checks run side by side
 * there (as wrappers of tests), in trees of sources, and where nobody may write. It stays
 * only if something is found: then the recording of the program that was named, and those
 * of the first KEPT_FILES processes in which something was; and of folders that earlier
 * checks have left, finished or killed, the latest, so that there are KEPT_FOLDERS. A
 * check that still runs holds a lock on its own. */
#ifndef ULLAGE_KEPT_H
#define ULLAGE_KEPT_H

#include "answers/suite.h"

#include <limits.h>

#define KEPT_FILES 100
#define KEPT_FOLDERS 100

struct kept {
  char folder[PATH_MAX]; /* "": there is none */
  char recording[PATH_MAX + 16];
  int lock;
};

/* Make it; an exit status, said. */
int kept_make(struct kept *);
/* Something was found: leave only what stays. */
void kept_reduce(const struct kept *, const struct suite *);
/* Nothing was. */
void kept_remove(struct kept *);
#endif
