/* array.h - arrays that grow by doubling. */
#ifndef ULLAGE_ARRAY_H
#define ULLAGE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

static inline bool array_grow(void **at, size_t count, size_t *room, size_t element) {
  enum { FIRST = 16 };
  if (count < *room) return true;
  size_t wanted = *room ? *room * 2 : FIRST;
  void *moved = reallocarray(*at, wanted, element);
  if (!moved) return false;
  *at = moved;
  *room = wanted;
  return true;
}
/* Room for one more behind `count`; false: no memory, and nothing has changed. */
#define ARRAY_GROW(array, count, room)                                                   \
  array_grow((void **)&(array), count, &(room), sizeof *(array))
#endif
