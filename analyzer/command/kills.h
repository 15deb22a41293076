/* kills.h - how many processes the kernel has killed for want of memory, by its counters.
 *
 * It does not tell a parent why its child was killed. But each control group counts how
 * many of its processes the OOM killer took, whatever the shortage (version 2:
 * memory.events; version 1: memory.oom_control), and so does the machine (/proc/vmstat).
 * A child begins in the group of its parent, so two looks, before it starts and after its
 * end, tell what happened there meanwhile; not to which process. */
#ifndef ULLAGE_KILLS_H
#define ULLAGE_KILLS_H

#include "format.h"

/* So far; UINT32_MAX: there is no such counter. `root` stands before the paths of /proc
 * and /sys: "" but for tests. */
struct ul_kills kills_count(const char *root);
/* Between two looks. */
struct ul_kills kills_between(struct ul_kills before, struct ul_kills after);
#endif
