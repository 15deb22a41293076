#include "answers/balance.h"

#include "read/blocks.h"
#include "read/timeline.h"

/* Unsigned, so that sums of hostile numbers wrap instead of being undefined. */
static void add(struct balance *b, const char *what, uint64_t bytes) {
  if (bytes && b->rows < BALANCE_ROWS)
    b->row[b->rows++] = (struct balance_row){what, (int64_t)bytes};
}

static uint64_t sum(const struct balance *b) {
  uint64_t total = 0;
  for (size_t i = 0; i < b->rows; i++)
    total += (uint64_t)b->row[i].bytes;
  return total;
}

static void add_heap(struct balance *b, const struct block_sums *s, uint64_t cached) {
  add(b, "live blocks, as requested",
      s->small_requested + s->large_requested - s->own_requested -
          s->inherited_requested);
  add(b, "live blocks inherited from the parent", s->inherited_requested);
  add(b, "ullage: blocks of its own libraries", s->own_requested);
  add(b, "slack: usable but not requested", s->small_slack + s->large_slack);
  add(b, "free blocks in used pools", s->free_bytes);
  add(b, "tails of pools, too short for a block", s->tail_bytes);
  add(b, "empty pools", s->empty_bytes);
  add(b, "freed large blocks kept for reuse", cached);
  b->heap_rows = b->rows;
  b->heap_bytes = sum(b);
}

/* ---- from mappings ------------------------------------------------------------- */

struct resident {
  uint64_t heap, tool, recording;
  uint64_t other[UL_MAP_RECORDING + 1];
};

static struct resident resident_by_mappings(const struct recording *r) {
  struct resident res = {0};
  const struct ul_mapping *m;
  for (uint64_t i = 0; (m = recording_mapping(r, i)); i++) {
    uint64_t ours = m->heap_rss + m->tool_rss;
    res.heap += m->heap_rss;
    res.tool += m->tool_rss;
    res.other[m->kind] += m->rss - ours;
  }
  res.recording = res.other[UL_MAP_RECORDING];
  return res;
}

/* The blocks' own pages, by the bits; the rest of the heap's is cached mappings. */
static uint64_t resident_by_bits(const struct recording *r) {
  const struct ul_arena *a;
  const struct ul_large *l;
  uint64_t bytes = 0;
  for (uint64_t i = 0; (a = recording_arena(r, i)); i++)
    for (unsigned w = 0; a->base && w < UL_ARENA_PAGES / 64; w++)
      bytes += (uint64_t)__builtin_popcountll(a->resident[w]) * UL_PAGE_BYTES;
  for (uint64_t i = 0; (l = recording_large(r, i)); i++)
    if (l->base) bytes += l->resident_bytes;
  return bytes;
}

/* Of the heap's mapped bytes; with bits a disagreement stays visible. */
static uint64_t not_resident(const struct recording *r, const struct balance *b,
                             const struct resident *res, uint64_t cached) {
  if (recording_header(r)->residency == UL_EVIDENCE_NONE)
    return b->heap_bytes - res->heap;
  uint64_t bits = resident_by_bits(r);
  uint64_t in_cache = res->heap > bits ? res->heap - bits : 0;
  if (in_cache > cached) in_cache = cached;
  return b->heap_bytes - bits - in_cache;
}

static void by_mappings(const struct recording *r, struct balance *b) {
  static const char *const others[] = {
      [UL_MAP_ANONYMOUS] = "the program's own anonymous memory",
      [UL_MAP_STACK] = "the main thread's stack",
      [UL_MAP_BRK] = "brk heap, not ullage's",
      [UL_MAP_CODE] = "code and constants of program and libraries",
      [UL_MAP_DATA] = "variables of program and libraries",
      [UL_MAP_SHARED] = "shared memory and files"};
  const struct ul_header *h = recording_header(r);
  const struct ul_snapshot *last = timeline_last(r);
  struct block_sums s = blocks_sum(r);
  struct resident res = resident_by_mappings(r);
  uint64_t cached = last ? last->cached_bytes : 0;
  b->basis = BALANCE_MAPS;
  b->rss_bytes = h->end_rss_bytes;
  b->ms = recording_duration_ms(r);
  add_heap(b, &s, cached);
  add(b, "of these not resident: never touched, or given back",
      -not_resident(r, b, &res, cached));
  for (int kind = 0; kind < UL_MAP_RECORDING; kind++)
    add(b,
        kind == UL_MAP_ANONYMOUS && recording_end(r) == RECORDING_RUNNING
            ? "anonymous memory of the program and of ullage"
            : others[kind],
        res.other[kind]);
  add(b, "ullage: the recording, as far as mapped and resident", res.recording);
  add(b, "ullage: its private memory", res.tool);
  add(b, "unexplained", b->rss_bytes - sum(b));
}

/* ---- from a snapshot ----------------------------------------------------------- */

/* In a forked child, what ullage's own libraries have is with what is inherited. */
static void by_snapshot(struct balance *b, const struct ul_snapshot *s, bool inherits) {
  struct block_sums sums = {.small_requested = s->small_requested,
                            .large_requested = s->large_requested,
                            .small_slack = s->small_slack,
                            .large_slack = s->large_slack,
                            .free_bytes = s->free_bytes,
                            .tail_bytes = s->tail_bytes,
                            .empty_bytes = s->empty_bytes,
                            .own_requested = inherits ? 0 : s->other_bytes,
                            .inherited_requested = inherits ? s->other_bytes : 0};
  b->basis = BALANCE_SNAPSHOT;
  b->rss_bytes = s->rss_bytes;
  b->ms = s->ms;
  add_heap(b, &sums, s->cached_bytes);
  add(b, "ullage: its private memory, as mapped", s->tool_bytes);
  add(b, "ullage: the recording, as mapped", s->recording_bytes);
  int64_t rest = b->rss_bytes - sum(b);
  add(b,
      rest < 0 ? "of these not resident, at least"
               : "everything else, less what of the above is not resident",
      rest);
}

struct balance balance_of(const struct recording *r) {
  struct balance b = {0};
  const struct ul_snapshot *last = timeline_last(r);
  if (recording_header(r)->end_rss_bytes)
    by_mappings(r, &b);
  else if (last && last->rss_bytes)
    by_snapshot(&b, last, recording_header(r)->features & UL_FEATURE_INHERITED);
  return b;
}
