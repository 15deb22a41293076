/* scratch.h - memory of the scan's own process, which ends soon and so frees nothing. */
#ifndef ULLAGE_SCRATCH_H
#define ULLAGE_SCRATCH_H

#include "base/os.h"

#include <stddef.h>

/* At least `bytes` bytes, zeroed, from a page's start. NULL: no memory. */
static inline void *scratch(size_t bytes) {
  return os_map(os_whole_pages(bytes + 1), OS_PAGE, OS_TOOL);
}
#endif
