/* timeline.h - the snapshots of a recording in order of time, and what single sites
 * held at each. */
#ifndef ULLAGE_TIMELINE_H
#define ULLAGE_TIMELINE_H

#include "read/recording.h"

/* When the process began: 0, but for a fork, whose ms 0 is its parent's. */
uint64_t timeline_start_ms(const struct recording *r);
/* The snapshot with the most live bytes; NULL if there are none. */
const struct ul_snapshot *timeline_peak(const struct recording *r);
/* Of those that say who held what. */
const struct ul_snapshot *timeline_pictured(const struct recording *r);
/* The most live bytes there were. More than that snapshot's where one at the very peak
 * would have cost too much (header.missed_bytes). */
uint64_t timeline_peak_bytes(const struct recording *r);
/* The one of most waste, if that was more than twice the last one's; NULL: it was not. */
const struct ul_snapshot *timeline_worse(const struct recording *r);
/* The newest; NULL if there are none. */
const struct ul_snapshot *timeline_last(const struct recording *r);

/* What the program itself has, without ullage's libraries. */
uint64_t timeline_live_bytes(const struct ul_snapshot *s);
uint64_t timeline_live_blocks(const struct ul_snapshot *s);
uint64_t timeline_allocations(const struct ul_snapshot *s);

struct timeline {
  const struct ul_snapshot **at; /* by time */
  size_t count;
};
/* Snapshots of all kinds; those of kind PEAK only if `peaks`. Free with
 * timeline_free(); at is NULL when there is no memory. */
struct timeline timeline_load(const struct recording *r, bool peaks);
void timeline_free(struct timeline *t);

/* What a site without a row may have held at most: what is too little for one is in the
 * rows of nodes. */
uint64_t timeline_unseen(const struct recording *r, const struct ul_snapshot *s);

/* The clock of work: the program's allocations and frees so far; and at any time, by
 * what lies between the two snapshots next to it. */
uint64_t timeline_work(const struct ul_snapshot *s);
double timeline_work_at(const struct timeline *t, uint64_t ms);
#endif
