/* class.h - size classes (types.h): multiples of 16 up to 512, then four steps
 * to each doubling up to 32 KiB. */
#ifndef ULLAGE_CLASS_H
#define ULLAGE_CLASS_H

#include "heap/types.h"

/* 1 <= bytes <= UL_MEDIUM_MAX */
static inline unsigned class_of(size_t bytes) {
  if (LIKELY(bytes <= UL_SMALL_MAX)) return (unsigned)((bytes + 15) >> 4);
  unsigned top = 63 - (unsigned)__builtin_clzll(bytes - 1); /* 9..14 */
  return 33 + (top - 9) * 4 + (unsigned)((bytes - 1) >> (top - 2) & 3);
}

/* 1 <= class < UL_CLASSES */
static inline uint32_t class_bytes(unsigned class) {
  if (class <= 32) return class * 16;
  unsigned doubling = (class - 33) / 4, step = (class - 33) % 4;
  return (5 + step) << (doubling + 7);
}

/* Units of a pool: at least eight blocks of each size, 64 where that is cheap. */
static inline unsigned class_units(unsigned class) {
  uint32_t bytes = class_bytes(class);
  return bytes <= 2048 ? 1 : bytes <= 8192 ? 4 : 8;
}

/* The smallest class whose blocks hold `bytes` and are aligned to `align` (a power of
 * two, above 16); UL_SPAN if there is none. Blocks start at multiples of their size from
 * a pool's base, and pools at multiples of a unit. */
static inline unsigned class_of_aligned(size_t bytes, size_t align) {
  /* From a unit on, the slack could be more than an entry can say (UL_SLACK_MAX). */
  if (align > UL_UNIT_BYTES / 2 || bytes > UL_MEDIUM_MAX) return UL_SPAN;
  for (unsigned c = class_of(bytes > align ? bytes : align); c < UL_CLASSES; c++)
    if (class_bytes(c) % align == 0) return c;
  return UL_SPAN;
}
#endif
