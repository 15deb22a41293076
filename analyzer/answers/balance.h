/* balance.h - the balanced statement: what the resident memory of the process is made
 * of, in rows that add up to it exactly.
 *
 * A row `unexplained` is what the sources do not agree about (pages that came and went
 * while they were counted); it is computed, never spread over other rows. */
#ifndef ULLAGE_BALANCE_H
#define ULLAGE_BALANCE_H

#include "read/recording.h"

#define BALANCE_ROWS 32u
struct balance_row {
  const char *what;
  int64_t bytes;
};
enum balance_basis {
  BALANCE_NONE,    /* there is nothing to add up: no RSS known */
  BALANCE_MAPS,    /* mappings and pages: all rows measured */
  BALANCE_SNAPSHOT /* the last snapshot: what is not the heap's is one row */
};
struct balance {
  enum balance_basis basis;
  uint64_t rss_bytes;  /* = sum of all rows */
  uint64_t ms;         /* the moment it is about */
  uint64_t heap_bytes; /* mapped by the heap: the sum of the first heap_rows rows */
  size_t rows, heap_rows;
  struct balance_row row[BALANCE_ROWS];
};
struct balance balance_of(const struct recording *r);
#endif
