/* scratch.h - what the scan needs while it runs: memory, of which it frees little, and
 * variables. The copy of a process that is scanned ends soon; where the scan runs in the
 * program's own memory (reach.c), they are to be had back all at once. */
#ifndef ULLAGE_SCRATCH_H
#define ULLAGE_SCRATCH_H

#include "base/os.h"

#include <stddef.h>

/* Of each variable that a scan changes. */
#define SCAN_STATE __attribute__((section("scan_state")))

/* At least `bytes` bytes, zeroed, from a page's start. NULL: no memory. */
static inline void *scratch(size_t bytes) {
  return os_map(os_whole_pages(bytes + 1), OS_PAGE, OS_TOOL);
}
#endif
