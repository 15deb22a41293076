/* rows.h - a snapshot's rows: who holds what (format.h). Under the snapshot lock. */
#ifndef ULLAGE_ROWS_H
#define ULLAGE_ROWS_H

#include "format.h"

#include <stdbool.h>
#include <stddef.h>

/* Add up the counters of all heaps: the totals of s, and what the rows will say. false:
 * no memory, and no rows. */
bool rows_count(struct ul_snapshot *s);
/* Then make the rows of s, those of waste too if wanted, and say in it what they are;
 * false: no memory. */
bool rows_make(struct ul_snapshot *s, bool with_waste);
/* Give them a place in the table where no other snapshot's rows lie, those of `slot`
 * excepted, and without making it longer than `bytes`; UINT64_MAX: than it may be. */
bool rows_place(struct ul_snapshot *s, const struct ul_snapshot *slot, uint64_t bytes);
/* How many bytes the rows of all snapshots should take at most. */
uint64_t rows_room(const struct ul_snapshot *s);
/* Done with them. */
void rows_done(void);
/* In a forked child, whose snapshots begin anew. */
void rows_reset(void);
#endif
