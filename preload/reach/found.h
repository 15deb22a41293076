/* found.h - the live blocks, as the scan finds them in its frozen copy of the process.
 *
 * Each has two bytes for whoever marks (mark.c). Only in the scan's own process, which
 * has one thread: module state, no locks. */
#ifndef ULLAGE_FOUND_H
#define ULLAGE_FOUND_H

#include "format.h"
#include "heap/types.h"

/* The scan reads whatever is there, red zones too. */
#define READS_ANYTHING __attribute__((no_sanitize("address")))

/* What a state is at first; the others are the marker's. */
enum { FOUND_DEAD, FOUND_LIVE };

struct found_marks {
  uint8_t state; /* never FOUND_DEAD */
  uint8_t notes; /* 0 at first */
};

/* A live block. Valid as long as the process. */
struct found {
  struct found_marks *marks;
  uintptr_t start;
  const uint64_t *entry;    /* in the ledger */
  size_t requested, usable; /* bytes; requested <= usable */
};

/* Take a copy of the ledger and give every live block the state FOUND_LIVE. Once, before
 * all else here, and before the program's threads run on; the heap's locks were held
 * when the process was copied. `moves`: somebody can change the ledger while the scan
 * looks. false: no memory, and the rest cannot be used. */
bool found_prepare(bool moves);
/* All of the heap lies in [low, low + bytes). */
struct found_extent {
  uintptr_t low, bytes;
};
struct found_extent found_extent(void);
/* The live block around an address, any address; false: none. */
bool found_at(uintptr_t address, struct found *f);
/* Is it free memory of the heap: of a block that was freed, or given back? Not where
 * blocks are not recorded. */
bool found_free(uintptr_t address);
/* Visit every live block, by address. */
void found_each(void (*visit)(const struct found *f));
/* Call scan(start, end) for each piece of the heap whose blocks are not recorded, so that
 * nobody can say which are live: pools up to where they were ever carved, and whole
 * large blocks, which may be huge (`large`). */
typedef void found_piece(uintptr_t start, uintptr_t end);
void found_unrecorded(found_piece *pool, found_piece *large);
#endif
