/* live.h - a look at a running process from outside: its mappings and which of its
 * pages are resident, from /proc. The process is neither stopped nor disturbed. */
#ifndef ULLAGE_LIVE_H
#define ULLAGE_LIVE_H

#include "read/recording.h"

/* Give the recording what it lacks while its process runs. False: the process does not
 * run, or /proc may not be read; the recording is as before. */
bool live_look(struct recording *r);
#endif
