/* handle.h - the offset at which a program holds the blocks of one place, in place of
 * their start: behind a header that it hides from itself. There may be a few, for headers
 * of different sizes.
 *
 * Only in the scan's own process, while it marks (mark.h): module state, no locks. */
#ifndef ULLAGE_HANDLE_H
#define ULLAGE_HANDLE_H

#include "reach/census.h"

enum { HANDLE_OFFSET_MAX = 1024 };

/* Before the first pointer is met. sites: in UL_SITES. false: no memory. */
bool handle_prepare(uint32_t sites);
/* A pointer `offset` bytes into the block (more than 0), from outside of it; `strong`:
 * from a root or a block that is reachable. In whatever order, and by several threads. */
void handle_met(const struct found *f, uintptr_t offset, bool strong);
/* Would that change anything, of a block that is reachable or of a pointer that is not
 * strong? offset: 1 to HANDLE_OFFSET_MAX. */
static inline bool handle_tells(size_t number, uintptr_t offset);
/* All pointers have been met, and `reached` tells the blocks they led to: find the
 * handles. *any: there are some. false: no memory. */
bool handle_choose(bool reached(const struct found *f), bool *any);
/* Is the offset a handle of the block's site? Never before they were chosen. */
bool handle_is(const struct found *f, uintptr_t offset);
/* Has a strong pointer to a handle been met? */
bool handle_holds(const struct found *f);

/* ---- the note of a block -------------------------------------------------------- */

/* The lot of an offset, from 1 on, in the lower half; which strong pointers were met in
 * the upper one. */
enum { HANDLE_LOT_BITS = 16, HANDLE_LOT_MASK = (1 << HANDLE_LOT_BITS) - 1 };

/* Another order of the offsets for each block; its own inverse, but for the 1. */
static inline uint32_t handle_order(size_t number) {
  return (uint32_t)number * UINT32_C(0x9e3779b1) >> 22; /* < HANDLE_OFFSET_MAX */
}
static inline uint32_t handle_lot(size_t number, uintptr_t offset) {
  return ((uint32_t)(offset - 1) ^ handle_order(number)) + 1;
}
static inline bool handle_tells(size_t number, uintptr_t offset) {
  uint32_t note = __atomic_load_n(&census.notes[number], __ATOMIC_RELAXED);
  return handle_lot(number, offset) > (note & HANDLE_LOT_MASK);
}
#endif
