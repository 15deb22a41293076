/* rows.h - a snapshot's rows: who holds what (format.h). Under the snapshot lock, but not
 * all at once: what is under way stays so until rows_done(). */
#ifndef ULLAGE_ROWS_H
#define ULLAGE_ROWS_H

#include "format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rows_state { ROWS_NOT_YET, ROWS_MADE, ROWS_FAILED /* no memory */ };

/* Nothing has been counted so far. false: no memory, and no rows. */
bool rows_begin(void);
/* Go on to add up the counters of all heaps, for about so many steps, which are taken
 * off: the totals of s, and what the rows will say. A step is some 5 ns. */
enum rows_state rows_count(struct ul_snapshot *s, int64_t *steps);
/* Then rows can be made of that, those of waste too if wanted; false: no memory. */
bool rows_prepare(bool with_waste);
/* Go on making them, for about so many steps of some 10 to 50 ns; what they are is said
 * in s. */
enum rows_state rows_make(struct ul_snapshot *s, int64_t *steps);
/* Give them a place in the table where no other snapshot's rows lie, without making it
 * longer than `bytes`; UINT64_MAX: than it may be. */
bool rows_place(struct ul_snapshot *s, uint64_t bytes);
/* How many bytes the rows of all snapshots should take at most. */
uint64_t rows_room(const struct ul_snapshot *s);
/* Done with them. */
void rows_done(void);
/* In a forked child, whose snapshots begin anew. */
void rows_reset(void);
#endif
