#include "answers/balance.h"

#include "read/blocks.h"
#include "read/timeline.h"

/* Unsigned, so that sums of hostile numbers wrap instead of being undefined. */
static void add(struct balance_rows *rows, const char *what, uint64_t bytes) {
  if (!bytes || rows->count == BALANCE_ROWS) return;
  rows->at[rows->count++] = (struct balance_row){what, (int64_t)bytes};
  rows->bytes += bytes;
}

/* The heap's classes, in this order in both accounts. */
struct classes {
  uint64_t requested, inherited, own, slack, free, tail, empty, cached;
};

static void add_classes(struct balance_rows *rows, const struct classes *c) {
  add(rows, "live blocks, as requested", c->requested);
  add(rows, "live blocks inherited from the parent", c->inherited);
  add(rows, "ullage: blocks of its own libraries", c->own);
  add(rows, "slack: usable but not requested", c->slack);
  add(rows, "free blocks in used pools", c->free);
  add(rows, "tails of pools, too short for a block", c->tail);
  add(rows, "empty pools", c->empty);
  add(rows, "freed large blocks kept for reuse", c->cached);
}

static struct classes classes_of(const struct block_sums *s, uint64_t cached) {
  return (struct classes){.requested = s->small_requested + s->large_requested -
                                       s->own_requested - s->inherited_requested,
                          .inherited = s->inherited_requested,
                          .own = s->own_requested,
                          .slack = s->small_slack + s->large_slack,
                          .free = s->free_bytes,
                          .tail = s->tail_bytes,
                          .empty = s->empty_bytes,
                          .cached = cached};
}

/* ---- from mappings ------------------------------------------------------------- */

struct by_kind {
  uint64_t heap, tool, recording;
  uint64_t other[UL_MAP_RECORDING + 1];
};

static struct by_kind resident_by_mappings(const struct recording *r) {
  struct by_kind res = {0};
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

/* What is resident by the mappings and in no block's pages is cached; with more pages of
 * blocks than the mappings have, some are not in RSS. */
static void add_heap(struct balance *b, const struct unused *u, uint64_t resident,
                     uint64_t cached) {
  uint64_t pages = unused_heap(u), rest = resident > pages ? resident - pages : 0;
  struct classes classes = {.requested = unused_requested(u),
                            .inherited = u->inherited_requested,
                            .own = u->own_requested,
                            .slack = u->total.slack + u->own_slack,
                            .free = u->total.pinned_pool + u->own_pool,
                            .tail = u->tail_bytes,
                            .empty = u->empty_pool_bytes,
                            .cached = rest < cached ? rest : cached};
  if (u->residency == UL_EVIDENCE_NONE) {
    add(&b->resident, "the heap; which of its pages is not known", resident);
  } else {
    add_classes(&b->resident, &classes);
    if (pages > resident)
      add(&b->resident, "of these in swap, or pages of zeros: not in RSS",
          resident - pages);
  }
  b->heap_rows = b->resident.count;
  b->heap_bytes = b->resident.bytes;
}

static void by_mappings(const struct recording *r, const struct unused *u,
                        struct balance *b) {
  static const char *const others[] = {
      [UL_MAP_ANONYMOUS] = "the program's own anonymous memory",
      [UL_MAP_STACK] = "the main thread's stack",
      [UL_MAP_BRK] = "brk heap, not ullage's",
      [UL_MAP_CODE] = "code and constants of program and libraries",
      [UL_MAP_DATA] = "variables of program and libraries",
      [UL_MAP_SHARED] = "shared memory and files"};
  const struct ul_header *h = recording_header(r);
  const struct ul_snapshot *last = timeline_last(r);
  struct block_sums sums = blocks_sum(r);
  struct by_kind res = resident_by_mappings(r);
  uint64_t cached = last ? last->cached_bytes : 0;
  struct classes mapped = classes_of(&sums, cached);
  b->basis = BALANCE_MAPS;
  b->rss_bytes = h->end_rss_bytes;
  b->ms = recording_duration_ms(r);
  add_classes(&b->mapped, &mapped);
  add_heap(b, u, res.heap, cached);
  for (int kind = 0; kind < UL_MAP_RECORDING; kind++)
    add(&b->resident,
        kind == UL_MAP_ANONYMOUS && recording_end(r) == RECORDING_RUNNING
            ? "anonymous memory of the program and of ullage"
            : others[kind],
        res.other[kind]);
  add(&b->resident, "ullage: the recording, as far as mapped and resident",
      res.recording);
  add(&b->resident, "ullage: its private memory", res.tool);
  add(&b->resident, "unexplained", b->rss_bytes - b->resident.bytes);
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
  struct classes mapped = classes_of(&sums, s->cached_bytes);
  b->basis = BALANCE_SNAPSHOT;
  b->rss_bytes = s->rss_bytes;
  b->ms = s->ms;
  add_classes(&b->mapped, &mapped);
  b->tool_bytes = s->tool_bytes;
  b->recording_bytes = s->recording_bytes;
  add(&b->resident, "all together; which pages of what were resident is not known",
      s->rss_bytes);
}

struct balance balance_of(const struct recording *r, const struct unused *u) {
  struct balance b = {0};
  const struct ul_snapshot *last = timeline_last(r);
  if (recording_header(r)->end_rss_bytes)
    by_mappings(r, u, &b);
  else if (last && last->rss_bytes)
    by_snapshot(&b, last, recording_header(r)->features & UL_FEATURE_INHERITED);
  return b;
}
