/* waste.h - who keeps memory that nobody uses, at this moment. */
#ifndef ULLAGE_WASTE_H
#define ULLAGE_WASTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes: of free blocks in pools, which the pools' live blocks keep from going back, in
 * equal parts; and usable but not requested. */
struct waste {
  int64_t pinned, slack;
};
/* Adds what there is to by_site[0] to by_site[sites - 1], from arena *next on, as far as
 * the steps go, one for each block, which are taken off; true: there is more. Takes the
 * arena lock for one arena at a time, with all signals blocked. */
bool waste_add(struct waste *by_site, size_t sites, uint64_t *next, int64_t *steps);
#endif
