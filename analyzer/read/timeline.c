#include "read/timeline.h"

#include "read/rows.h"

#include <stdlib.h>

uint64_t timeline_start_ms(const struct recording *r) {
  const struct ul_header *h = recording_header(r);
  return h->forked ? h->forked_ms : 0;
}

static bool used(const struct ul_snapshot *s, bool peaks) {
  return s->kind != UL_SNAPSHOT_FREE && (peaks || s->kind != UL_SNAPSHOT_PEAK);
}

static uint64_t without(uint64_t all, uint64_t others) {
  return all > others ? all - others : 0;
}
uint64_t timeline_live_bytes(const struct ul_snapshot *s) {
  return without(s->live_bytes, s->other_bytes);
}
uint64_t timeline_live_blocks(const struct ul_snapshot *s) {
  return without(s->live_blocks, s->other_blocks);
}
uint64_t timeline_allocations(const struct ul_snapshot *s) {
  return without(s->allocations, s->other_allocations);
}

static bool higher(const struct ul_snapshot *s, const struct ul_snapshot *than) {
  return !than || timeline_live_bytes(s) > timeline_live_bytes(than);
}

const struct ul_snapshot *timeline_peak(const struct recording *r) {
  const struct ul_snapshot *best = NULL, *s;
  for (uint64_t i = 0; (s = recording_snapshot(r, i)); i++)
    if (used(s, true) && higher(s, best)) best = s;
  return best;
}

const struct ul_snapshot *timeline_pictured(const struct recording *r) {
  const struct ul_snapshot *best = NULL, *s;
  for (uint64_t i = 0; (s = recording_snapshot(r, i)); i++)
    if (used(s, true) && s->row_bytes && higher(s, best)) best = s;
  return best;
}

uint64_t timeline_peak_bytes(const struct recording *r) {
  const struct ul_snapshot *peak = timeline_peak(r);
  if (!peak) return 0;
  uint64_t missed = without(recording_header(r)->missed_bytes, peak->other_bytes);
  return missed > timeline_live_bytes(peak) ? missed : timeline_live_bytes(peak);
}

/* The clock has ticks of some milliseconds: in the same one the final snapshot is the
 * last, and of others that which has seen more allocations. */
static int compare(const struct ul_snapshot *x, const struct ul_snapshot *y) {
  if (x->ms != y->ms) return x->ms < y->ms ? -1 : 1;
  bool fx = x->kind == UL_SNAPSHOT_FINAL, fy = y->kind == UL_SNAPSHOT_FINAL;
  if (fx != fy) return fx - fy;
  if (x->allocations != y->allocations) return x->allocations < y->allocations ? -1 : 1;
  return x < y ? -1 : x > y;
}

static int by_time(const void *a, const void *b) {
  return compare(*(const struct ul_snapshot *const *)a,
                 *(const struct ul_snapshot *const *)b);
}

const struct ul_snapshot *timeline_last(const struct recording *r) {
  const struct ul_snapshot *best = NULL, *s;
  for (uint64_t i = 0; (s = recording_snapshot(r, i)); i++)
    if (used(s, true) && (!best || compare(s, best) > 0)) best = s;
  return best;
}

const struct ul_snapshot *timeline_worse(const struct recording *r) {
  const struct ul_snapshot *last = timeline_last(r);
  const struct ul_snapshot *most = recording_snapshot(r, recording_header(r)->waste_slot);
  bool worse = most && last && most->kind != UL_SNAPSHOT_FREE &&
               most->waste_bytes / 2 > last->waste_bytes;
  return worse ? most : NULL;
}

struct timeline timeline_load(const struct recording *r, bool peaks) {
  struct timeline t = {0};
  const struct ul_snapshot *s;
  t.at = malloc((recording_count(r, UL_SNAPSHOTS) + 1) * sizeof *t.at);
  for (uint64_t i = 0; t.at && (s = recording_snapshot(r, i)); i++)
    if (used(s, peaks)) t.at[t.count++] = s;
  if (t.count) qsort(t.at, t.count, sizeof *t.at, by_time);
  return t;
}

void timeline_free(struct timeline *t) {
  free(t->at);
  *t = (struct timeline){0};
}

uint64_t timeline_unseen(const struct recording *r, const struct ul_snapshot *s) {
  uint64_t handed_up = 0;
  struct rows rows = rows_of(r, s);
  struct row row;
  if (!s->row_bytes) return timeline_live_bytes(s);
  while (rows_next(&rows, &row))
    if (row.kind == UL_ROW_NODE) handed_up += row.bytes;
  uint64_t least = ul_row_least(s, UL_ROW_SITE);
  return handed_up < least ? handed_up : least - 1;
}

uint64_t timeline_work(const struct ul_snapshot *s) {
  uint64_t allocations = timeline_allocations(s);
  return allocations + without(allocations, timeline_live_blocks(s));
}

double timeline_work_at(const struct timeline *t, uint64_t ms) {
  size_t after = 0;
  while (after < t->count && t->at[after]->ms <= ms)
    after++;
  if (!t->count) return 0;
  if (after == t->count) return (double)timeline_work(t->at[t->count - 1]);
  const struct ul_snapshot *y = t->at[after], *x = after ? t->at[after - 1] : NULL;
  double ms_x = x ? (double)x->ms : 0, work_x = x ? (double)timeline_work(x) : 0;
  double part = ((double)ms - ms_x) / ((double)y->ms - ms_x);
  return work_x + part * ((double)timeline_work(y) - work_x);
}
