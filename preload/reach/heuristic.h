/* heuristic.h - interior pointers that are as good as a pointer to a block's start:
 * those that C++ libraries and compilers make, and those that nearly all blocks of a
 * place are held by (handle.h). */
#ifndef ULLAGE_HEURISTIC_H
#define ULLAGE_HEURISTIC_H

#include "reach/census.h"

/* new T[0], of objects with a destructor: there is only their number, and the pointer to
 * the objects leads to the end of the block. */
bool heuristic_empty_array(const struct found *f, uintptr_t offset);
/* The first of those allowed (bit 1 << enum ul_heuristic) that fits a pointer `offset`
 * bytes (more than 0) into the block; UL_HEURISTICS: none. It reads the block, and what
 * looks like a vtable in it. Only in the scan's own process, after roots_load (roots.h).
 */
enum ul_heuristic heuristic_of(const struct found *f, uintptr_t offset, unsigned allowed);
#endif
