/* below.h - sorted arrays of what begins at an address: ranges, functions, symbols. */
#ifndef ULLAGE_BELOW_H
#define ULLAGE_BELOW_H

#include <stddef.h>
#include <stdint.h>

/* How many of the elements begin at or below the address: the last of these is the one
 * before the returned index. Each is `bytes` long and has its address (uint64_t) first;
 * they are sorted by it. */
static inline size_t below(const void *elements, size_t count, size_t bytes,
                           uint64_t address) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const uint64_t *begin = (const void *)((const char *)elements + middle * bytes);
    if (*begin <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}
#endif
