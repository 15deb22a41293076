/* rows.h - a snapshot's rows: what each call site holds. Under the snapshot lock. */
#ifndef ULLAGE_ROWS_H
#define ULLAGE_ROWS_H

#include "format.h"

#include <stdbool.h>

/* Add up the counters of all heaps: the totals of s, and what rows_write() will write.
 * false: no memory, and no rows. */
bool rows_sum(struct ul_snapshot *s);
void rows_write(struct ul_snapshot *s);
/* Those of s are no more. */
void rows_give(struct ul_snapshot *s);
/* All rows are (in a forked child). */
void rows_reset(void);
#endif
