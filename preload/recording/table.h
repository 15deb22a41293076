/* table.h - the tables of the recording as arrays in memory (format.h).
 *
 * An element never moves. Elements appended together lie side by side. Pages
 * are private memory at first and become shared mappings of the recording's file
 * when recording_open() (recording.h) gives it one. */
#ifndef ULLAGE_TABLE_H
#define ULLAGE_TABLE_H

#include "base/count.h"
#include "format.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_NONE UINT32_MAX

extern struct ul_header *recording; /* NULL until the tables exist */

/* Make the header and the first elements, all in private memory. false: no memory;
 * nothing is recorded. */
bool table_begin(void);
/* There is no recording any more; its memory stays as it is (it is another process's). */
void table_abandon(void);

/* Address of element i. Any thread, no lock. */
void *table_at(enum ul_table table, uint64_t i);
/* The elements from `first` up to `end` that lie side by side, i among them. Who goes
 * through a table asks once for each such run. */
struct table_run {
  uint64_t first, end;
  char *at;
};
struct table_run table_run(enum ul_table table, uint64_t i);
static inline void *table_in(struct table_run *run, enum ul_table table, uint64_t i,
                             size_t element_bytes) {
  if (i < run->first || i >= run->end) *run = table_run(table, i);
  return run->at + (i - run->first) * element_bytes;
}
/* Append `n` elements, zero but for what the caller writes, side by side; the index of
 * the first, or TABLE_NONE when the recording cannot grow (it then stops, with the reason
 * in the header). They count at once (table_head.count): all-zero is valid in every
 * table, and elements skipped to keep a run together stay so. Takes the table lock, which
 * lies inside all locks but the meta lock. */
uint32_t table_append(enum ul_table table, uint32_t n);
/* The same if there is room already: takes no lock and makes no system call. TABLE_NONE:
 * table_append() makes room. Side by side only where always as many are appended. */
uint32_t table_next(enum ul_table table, uint32_t n);
/* The header, to write what it has behind its segments: most processes never need the
 * room of that page. NULL: there is none. Takes the table lock. */
struct ul_header *table_header_rest(void);
/* Make the table at least `n` elements long; false as above. */
bool table_extend(enum ul_table table, uint64_t n);
uint64_t table_count(enum ul_table table);
/* Offset in UL_TEXT of a copy of the string; 0 (the empty string) when there is no room.
 */
uint32_t table_text(const char *text, size_t bytes_without_nul);
/* The first n elements of a table that is written once, at the end (or again, if the end
 * was none): room is appended as needed, elements too many are zeroed. NULL: no room, or
 * nothing to hold. One caller at a time for each table. */
void *table_replace_rows(enum ul_table table, size_t n);

void table_lock(void);
void table_unlock(void);
void table_fork_child(void);
#endif
