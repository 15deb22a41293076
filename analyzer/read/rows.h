/* rows.h - a snapshot's rows: who held what (format.h). */
#ifndef ULLAGE_ROWS_H
#define ULLAGE_ROWS_H

#include "read/recording.h"

struct row {
  enum ul_row_kind kind;
  uint32_t number;        /* of the site, node or code */
  uint64_t blocks, bytes; /* of waste: pinned, slack */
};

/* Where one who reads them is. */
struct rows {
  const uint8_t *at, *end;
  uint32_t left[UL_ROW_KINDS];
  struct row last;
};
struct rows rows_of(const struct recording *r, const struct ul_snapshot *s);
/* Those of sites, of nodes, of codes, of waste, each by number. false: there are no more.
 */
bool rows_next(struct rows *rows, struct row *row);
/* Do its rows exist, name what exists, and fill their bytes? (Of opened recordings all
 * do.) */
bool rows_are_sound(const struct recording *r, const struct ul_snapshot *s);
#endif
