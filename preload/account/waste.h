/* waste.h - who keeps memory that nobody uses, at this moment. */
#ifndef ULLAGE_WASTE_H
#define ULLAGE_WASTE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes: of free blocks in pools, which the pools' live blocks keep from going back, in
 * equal parts; and usable but not requested. */
struct waste {
  int64_t pinned, slack;
};
/* Adds what there is to by_site[0] to by_site[sites - 1]. Takes the arena lock for one
 * arena at a time, with all signals blocked. */
void waste_add(struct waste *by_site, size_t sites);
#endif
