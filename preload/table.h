/* table.h - the tables of the recording as arrays in memory (format.h).
 *
 * Each table is contiguous in the process: table_at(t, i) never moves. Memory
 * is private at first and becomes a shared mapping of the recording's file when
 * recording_materialize() (recording.h) gives it one. */
#ifndef ULLAGE_TABLE_H
#define ULLAGE_TABLE_H

#include "format.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_NONE UINT32_MAX

extern struct ul_header *recording; /* NULL until the tables exist */

/* Address of element i (i below the capacity asked for so far). */
void *table_at(enum ul_table table, uint64_t i);
/* Append `n` zeroed elements; the index of the first, or TABLE_NONE when the
 * recording has stopped or cannot grow (it then stops, with the reason in the header).
 * Elements are counted (table_head.count) at once: all-zero must be valid. Takes the
 * table lock; may be called with any other lock of ours held. */
uint32_t table_append(enum ul_table table, uint32_t n);
uint64_t table_count(enum ul_table table);
/* Intern nothing, just append; 0 (the empty string) when there is no room. */
uint32_t table_text(const char *text, size_t bytes_without_nul);

void fallback(enum ul_fallback which); /* count one; any thread, any moment */
#endif
