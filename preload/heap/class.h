/* class.h - size classes: which blocks a request is rounded up to.
 *
 *   1..16    multiples of 16 up to 256
 *   17..24   multiples of 32 up to 512
 *   25..28   multiples of 128 up to 1 KiB
 *   29..63   seven to each doubling up to 32 KiB: 18, 20, 22, 24, 27, 30 and 32
 *            sixteenths of the power of two below
 *
 * So from 1 KiB on a block is at most 1/8 larger than the request, and sizes keep the
 * powers of two that cache lines and pages ask for.
 *
 * A pool of its own for each class would cost a heap that holds one block of each a page
 * a class: 1,000 threads that do took 140 MiB. So the first FEW_BLOCKS blocks of each
 * class up to 1 KiB come from a pool of class_shared(), which wastes at most 20 KiB a
 * heap and fills four times fewer pages (60 MiB; glibc 43). Once a class has a pool of
 * its own, a page of it is at least one eighth full. */
#ifndef ULLAGE_CLASS_H
#define ULLAGE_CLASS_H

#include "heap/types.h"

/* By sixteenths above the power of two: the step. */
#define CLASS_STEP_OF UINT64_C(0x6655544433221100)

#define CLASS_STEPS_MAX 256 /* up to here all steps are equal */
static inline size_t class_of_steps(size_t bytes) {
  return (bytes + 15) >> 4;
}

/* 1 <= bytes <= UL_MEDIUM_MAX */
static inline unsigned class_of(size_t bytes) {
  if (LIKELY(bytes <= CLASS_STEPS_MAX)) return (unsigned)class_of_steps(bytes);
  if (bytes <= 512) return 8 + (unsigned)((bytes + 31) >> 5);
  if (bytes <= 1024) return 20 + (unsigned)((bytes + 127) >> 7);
  unsigned top = 63 - (unsigned)__builtin_clzll(bytes - 1); /* 10..14 */
  unsigned sixteenth = (unsigned)((bytes - 1) >> (top - 4) & 15);
  return 29 + (top - 10) * 7 + (CLASS_STEP_OF >> sixteenth * 4 & 15);
}

/* UL_SPAN: 0. */
extern const uint16_t class_sizes[UL_CLASSES] __attribute__((visibility("hidden")));
static inline uint32_t class_bytes(unsigned class) {
  return class_sizes[class];
}

/* Of what is asked for, so much may be more than what counts as requested (guard.h). */
#define CLASS_ROOM 16

#define FEW_BLOCKS 8

/* The class that serves the first few blocks of a class: of 64, 256, 512, 768 and 1024
 * bytes, and above each by its own. */
static inline unsigned class_shared(unsigned class) {
  return class <= 4    ? 4
         : class <= 16 ? 16
         : class <= 24 ? 24
         : class > 28  ? class
         : class <= 26 ? 26
                       : 28;
}

/* Units of a pool: at least eight blocks up to 8 KiB, four above. */
static inline unsigned class_units(unsigned class) {
  uint32_t bytes = class_bytes(class);
  return bytes <= 2048 ? 1 : bytes <= 8192 ? 4 : 8;
}

/* The smallest class whose blocks hold `bytes` and are aligned to `align` (a power of
 * two, above 16); UL_SPAN if there is none, or whole pages waste less. Blocks start at
 * multiples of their size from a pool's base, and pools at multiples of a unit. */
static inline unsigned class_of_aligned(size_t bytes, size_t align) {
  if (align >= UL_UNIT_BYTES || bytes > UL_MEDIUM_MAX) return UL_SPAN;
  for (unsigned c = class_of(bytes > align ? bytes : align); c < UL_CLASSES; c++) {
    if (class_bytes(c) % align) continue;
    /* An entry can say no more of what is left over. */
    return class_bytes(c) - bytes > UL_SLACK_MAX - CLASS_ROOM ? UL_SPAN : c;
  }
  return UL_SPAN;
}
#endif
