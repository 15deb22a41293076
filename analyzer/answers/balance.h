/* balance.h - the balanced statement: what the resident memory of the process is made
 * of, in rows that add up to it exactly; and what the heap has mapped, whether it is
 * resident or not, in rows that add up to that.
 *
 * The heap's rows are those of the model of unused (waste.c), to the byte. Which pages
 * were resident is not known of a process that was killed: then there is one row, for no
 * class of memory can be told how much of it was.
 *
 * A row `unexplained` is what the sources do not agree about (pages that came and went
 * while they were counted); it is computed, never spread over other rows. Pages of the
 * heap that are in swap, or of zeros that were only read, are no part of RSS: what their
 * classes have of them is taken off in a row of its own. */
#ifndef ULLAGE_BALANCE_H
#define ULLAGE_BALANCE_H

#include "answers/answers.h"
#include "read/recording.h"

#define BALANCE_ROWS 24u
struct balance_row {
  const char *what;
  int64_t bytes;
};
struct balance_rows {
  size_t count;
  uint64_t bytes; /* their sum */
  struct balance_row at[BALANCE_ROWS];
};
enum balance_basis {
  BALANCE_NONE,    /* there is nothing to add up: no RSS known */
  BALANCE_MAPS,    /* mappings and pages: all rows measured */
  BALANCE_SNAPSHOT /* the last snapshot: only what is mapped is known */
};
struct balance {
  enum balance_basis basis;
  uint64_t rss_bytes; /* = resident.bytes */
  uint64_t ms;        /* the moment it is about */
  struct balance_rows resident;
  size_t heap_rows;                     /* of them, the first ones are the heap's ... */
  uint64_t heap_bytes;                  /* ... and their sum */
  struct balance_rows mapped;           /* by the heap */
  uint64_t tool_bytes, recording_bytes; /* of BALANCE_SNAPSHOT: mapped by ullage */
};
struct balance balance_of(const struct recording *r, const struct unused *u);
#endif
