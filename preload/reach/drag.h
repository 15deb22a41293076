/* drag.h - what lost blocks drag along, by the sites of both: a row for each pair. */
#ifndef ULLAGE_DRAG_H
#define ULLAGE_DRAG_H

#include "format.h"

#include <stddef.h>

/* All zero at first. What finds no room is in the last row, of no sites. */
enum { DRAG_SLOTS = 1 << 16, DRAG_MOST = DRAG_SLOTS / 4 * 3 };
struct drags {
  uint32_t used;
  struct ul_drag slots[DRAG_SLOTS + 1];
};

void drag_add(struct drags *d, uint32_t leader, uint32_t dragged, uint64_t bytes);
/* Copies the rows side by side, if `rows` is not NULL; how many there are. */
size_t drag_rows(const struct drags *d, struct ul_drag *rows);
#endif
