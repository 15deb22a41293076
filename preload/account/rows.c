/* rows.c - see rows.h.
 *
 * The counters are walked once; that gives what each site holds. Then one loop goes
 * through the nodes above those sites, from the innermost to the outermost, for a parent
 * has a smaller number than its children. At each node there are two sums:
 *
 *   rest   what is below the share of a row is handed to the caller's node, until it
 *          reaches the share; the reserved nodes take whatever is left. So the rows of
 *          sites and nodes add up to the total, and no site is too small to be seen.
 *   all    what all the sites below hold: that of a code is the sum over its nodes that
 *          are not within another of them (recursion.h).
 *
 * The share is a power of two of bytes: 1/UL_ROWS_COARSEST of what is live or a little
 * less; of sites and codes as little as 1/UL_ROWS_FINEST, if there are so few that their
 * rows do not fill the room that a snapshot should take. */
#include "account/rows.h"

#include "account/recursion.h"
#include "account/waste.h"
#include "base/meta.h"
#include "recording/recording.h"
#include "recording/table.h"
#include "weight.h"

#include <string.h>

/* Blocks and bytes that live, summed over the heaps. */
struct sum {
  int64_t blocks, bytes;
};
struct node_sums {
  struct sum rest, all;
};
struct row {
  uint32_t number;
  struct sum sum;
};

/* All of it is taken anew for each snapshot: what nobody writes to is no memory. */
struct array {
  void *at;
  size_t bytes;
};
static struct array site_sums, node_sums, code_sums, waste_sums, met, made, text;
static size_t sites, nodes, codes, rows;

static uint64_t most_blocks; /* live at any snapshot so far */

enum { LOG2_BINS = 64, ROW_BYTES_MAX = 5 + 10 + 10 };
/* The room: rows of all snapshots, per stack, per live block, and at least. It should be
 * enough for so many snapshots with rows of about so many bytes. */
enum { ROOM_STACK = 16, ROOM_BLOCK = 4, ROOM_LEAST = 64 << 10 };
enum { SNAPSHOTS_WANTED = 64, ROW_BYTES = 8, GRAIN = 64 };

/* ---- memory -------------------------------------------------------------------- */

static void *take(struct array *a, size_t n, size_t size) {
  meta_free(a->at, a->bytes);
  a->bytes = (n + 1) * size;
  return a->at = meta_alloc(a->bytes);
}

static void give(struct array *a) {
  meta_free(a->at, a->bytes);
  *a = (struct array){0};
}

void rows_done(void) {
  give(&site_sums);
  give(&node_sums);
  give(&code_sums);
  give(&waste_sums);
  give(&met);
  give(&made);
  give(&text);
}

static struct sum *site_sum(size_t i) {
  return (struct sum *)site_sums.at + i;
}
static struct node_sums *node_sum(size_t i) {
  return (struct node_sums *)node_sums.at + i;
}
static struct sum *code_sum(size_t i) {
  return (struct sum *)code_sums.at + i;
}

static void add(struct sum *to, const struct sum *s) {
  to->blocks += s->blocks;
  to->bytes += s->bytes;
}

/* ---- sites --------------------------------------------------------------------- */

static bool is_of_others(size_t site) {
  return site == UL_SITE_ULLAGE || ul_is_inherited(recording, (uint32_t)site);
}

struct counts {
  int64_t allocations, allocated_bytes, frees, freed_bytes;
};

static void add_counts(size_t site, struct counts n, struct ul_snapshot *s) {
  struct sum live = {n.allocations - n.frees, n.allocated_bytes - n.freed_bytes};
  s->allocations += (uint64_t)n.allocations;
  s->allocated_bytes += (uint64_t)n.allocated_bytes;
  if (live.blocks || live.bytes) add(site_sum(site), &live);
  if (!is_of_others(site)) return;
  s->other_allocations += (uint64_t)n.allocations;
  s->other_allocated_bytes += (uint64_t)n.allocated_bytes;
}

static void add_chunk(uint64_t c, struct ul_snapshot *s) {
  const struct ul_chunk *chunk = table_at(UL_CHUNKS, c);
  const struct ul_counter *n = table_at(UL_COUNTERS, c * UL_CHUNK_SITES);
  for (uint32_t i = 0; i < UL_CHUNK_SITES && chunk->first_site + i < sites; i++, n++)
    if (n->allocations || n->frees)
      add_counts(
          chunk->first_site + i,
          (struct counts){n->allocations, n->allocated_bytes, n->frees, n->freed_bytes},
          s);
}

static void add_carry(const struct ul_carry *c, struct ul_snapshot *s) {
  const int64_t unit = INT64_C(1) << UL_CARRY_BITS;
  if (c->site < sites)
    add_counts(c->site,
               (struct counts){c->allocations * unit, c->allocated_bytes * unit,
                               c->frees * unit, c->freed_bytes * unit},
               s);
}

/* While other threads go on, one may have been seen to free what it was not yet seen to
 * allocate. */
static void settle(struct sum *s) {
  if (s->blocks < 0) s->blocks = 0;
  if (s->bytes < 0) s->bytes = 0;
}

/* A sum of sampled blocks becomes what they stand for, by their mean size. */
static void estimate(struct sum *s, double sample_bytes) {
  double weight =
      s->blocks > 0 ? weight_of((double)s->bytes / (double)s->blocks, sample_bytes) : 1;
  s->blocks = (int64_t)((double)s->blocks * weight + 0.5);
  s->bytes = (int64_t)((double)s->bytes * weight + 0.5);
}

static void cut(int64_t *part, int64_t all, int64_t most) {
  if (all > most) *part = (int64_t)((double)*part * ((double)most / (double)all));
}

/* What lives is known exactly, so the estimates together are no more than that; what they
 * leave is the unsampled blocks'. */
static void estimate_all(double sample_bytes) {
  uint32_t first = recording->sample_site;
  if (first < UL_SITE_RESERVED || first >= sites) return;
  struct sum *rest = site_sum(first), have = *rest, all = {0}, given = {0};
  for (size_t i = UL_SITE_RESERVED; i < sites; i++) {
    if (i == first || is_of_others(i)) continue;
    add(&have, site_sum(i));
    estimate(site_sum(i), sample_bytes);
    add(&all, site_sum(i));
  }
  for (size_t i = UL_SITE_RESERVED; i < sites; i++) {
    if (i == first || is_of_others(i)) continue;
    cut(&site_sum(i)->blocks, all.blocks, have.blocks);
    cut(&site_sum(i)->bytes, all.bytes, have.bytes);
    add(&given, site_sum(i));
  }
  *rest = (struct sum){have.blocks - given.blocks, have.bytes - given.bytes};
}

bool rows_count(struct ul_snapshot *s) {
  sites = table_count(UL_SITES);
  if (!take(&site_sums, sites, sizeof(struct sum))) return false;
  uint64_t chunks = table_count(UL_COUNTERS) / UL_CHUNK_SITES;
  if (chunks > table_count(UL_CHUNKS)) chunks = table_count(UL_CHUNKS);
  for (uint64_t c = 0; c < chunks; c++)
    add_chunk(c, s);
  for (uint64_t i = 0; i < table_count(UL_CARRIES); i++)
    add_carry(table_at(UL_CARRIES, i), s);
  struct sum live = {0}, others = {0};
  for (size_t i = 1; i < sites; i++) {
    if (site_sum(i)->blocks < 0 || site_sum(i)->bytes < 0) settle(site_sum(i));
    add(&live, site_sum(i));
    if (is_of_others(i)) add(&others, site_sum(i));
  }
  s->live_blocks = (uint64_t)live.blocks;
  s->live_bytes = (uint64_t)live.bytes;
  s->other_blocks = (uint64_t)others.blocks;
  s->other_bytes = (uint64_t)others.bytes;
  if (recording->sample_bytes) estimate_all((double)recording->sample_bytes);
  return true;
}

/* ---- the share ----------------------------------------------------------------- */

static unsigned log2_of(uint64_t n) {
  return 63 - (unsigned)__builtin_clzll(n | 1);
}

/* The least that has a row is two to the power of this, so that about `most` of the sums
 * have one. */
static uint8_t share(const struct ul_snapshot *s, const struct array *sums, size_t n,
                     size_t most) {
  size_t bins[LOG2_BINS] = {0}, have = 0;
  const struct sum *sum = sums->at;
  for (size_t i = 1; i < n; i++)
    if (sum[i].bytes > 0) bins[log2_of((uint64_t)sum[i].bytes)]++;
  unsigned finest = log2_of(s->live_bytes / UL_ROWS_FINEST);
  unsigned coarsest = log2_of(s->live_bytes / UL_ROWS_COARSEST), k = LOG2_BINS;
  while (k > finest && (k > coarsest || have + bins[k - 1] <= most))
    have += bins[--k];
  return (uint8_t)k;
}

/* ---- nodes and codes ----------------------------------------------------------- */

static void meet(uint32_t node) {
  ((uint64_t *)met.at)[node / 64] |= UINT64_C(1) << node % 64;
}

/* The innermost of those met that are left; taken off. */
static bool innermost(size_t *word, uint32_t *node) {
  uint64_t *bits = met.at;
  while (!bits[*word])
    if ((*word)-- == 0) return false;
  unsigned bit = log2_of(bits[*word]);
  bits[*word] &= ~(UINT64_C(1) << bit);
  *node = (uint32_t)(*word * 64 + bit);
  return true;
}

static void add_row(size_t number, const struct sum *s) {
  ((struct row *)made.at)[rows++] = (struct row){(uint32_t)number, *s};
}

static uint32_t parent_of(const struct ul_site *site) {
  return site->parent < nodes ? site->parent : UL_NODE_ROOT;
}

static void hand_over_site(uint32_t i, int64_t least) {
  static struct table_run run;
  const struct ul_site *site = table_in(&run, UL_SITES, i, sizeof *site);
  const struct sum *sum = site_sum(i);
  uint32_t parent = parent_of(site);
  struct node_sums *to = node_sum(parent);
  meet(parent);
  if (sum->bytes >= least)
    add_row(i, sum);
  else
    add(&to->rest, sum);
  add(&to->all, sum);
  if (site->code && site->code < codes && !recursion_at_site(i))
    add(code_sum(site->code), sum);
}

static void hand_over_node(uint32_t i, int64_t least) {
  static struct table_run run;
  const struct ul_node *node = table_in(&run, UL_NODES, i, sizeof *node);
  const struct node_sums *sums = node_sum(i);
  bool outermost = i < UL_NODE_RESERVED;
  if (sums->rest.bytes >= least || (outermost && (sums->rest.bytes || sums->rest.blocks)))
    add_row(i, &sums->rest);
  else if (!outermost)
    add(&node_sum(node->parent)->rest, &sums->rest);
  if (outermost) return;
  meet(node->parent);
  add(&node_sum(node->parent)->all, &sums->all);
  if (node->code < codes && !recursion_at_node(i)) add(code_sum(node->code), &sums->all);
}

static uint32_t site_rows(int64_t least) {
  size_t before = rows;
  for (uint32_t i = 1; i < sites; i++)
    if (!is_of_others(i) && (site_sum(i)->blocks || site_sum(i)->bytes))
      hand_over_site(i, least);
  return (uint32_t)(rows - before);
}

static uint32_t node_rows(int64_t least) {
  size_t before = rows, word = nodes / 64;
  uint32_t node;
  while (innermost(&word, &node))
    hand_over_node(node, least);
  for (size_t i = before, k = rows; i + 1 < k; i++) { /* by number */
    struct row *row = made.at, last = row[--k];
    row[k] = row[i];
    row[i] = last;
  }
  return (uint32_t)(rows - before);
}

static uint32_t code_rows(int64_t least) {
  size_t before = rows;
  for (size_t i = UL_CODE_RESERVED; i < codes; i++)
    if (code_sum(i)->bytes >= least) add_row(i, code_sum(i));
  return (uint32_t)(rows - before);
}

/* ---- bytes --------------------------------------------------------------------- */

static uint8_t *put(uint8_t *to, uint64_t n) {
  for (; n > 0x7f; n >>= 7)
    *to++ = (uint8_t)(n | 0x80);
  *to++ = (uint8_t)n;
  return to;
}

static uint8_t *put_rows(uint8_t *to, const struct row *row, uint32_t n) {
  uint32_t before = 0;
  for (; n; n--, row++) {
    to = put(to, row->number - before);
    to = put(to, (uint64_t)row->sum.blocks);
    to = put(to, (uint64_t)row->sum.bytes);
    before = row->number;
  }
  return to;
}

/* Rows of sites and nodes do not overlap, nor those of waste; those of codes do. */
static bool take_all(const struct ul_snapshot *s) {
  size_t most = (s->live_bytes >> s->least_log2[UL_ROW_SITE]) + UL_NODE_RESERVED + codes +
                2 * UL_ROWS_COARSEST;
  return take(&node_sums, nodes, sizeof(struct node_sums)) &&
         take(&met, nodes / 64, sizeof(uint64_t)) &&
         take(&code_sums, codes, sizeof(struct sum)) &&
         take(&made, most, sizeof(struct row)) && recursion_learn();
}

uint64_t rows_room(const struct ul_snapshot *s) {
  if (s->live_blocks > most_blocks) most_blocks = s->live_blocks;
  return ROOM_LEAST + ROOM_STACK * sites + ROOM_BLOCK * most_blocks;
}

/* Of sites, in what their blocks keep; no memory, no rows. */
static void make_waste_rows(struct ul_snapshot *s) {
  struct waste *by_site = take(&waste_sums, sites, sizeof *by_site);
  size_t before = rows;
  int64_t all = 0;
  if (!by_site) return;
  waste_add(by_site, sites);
  for (size_t i = 1; i < sites; i++)
    all += by_site[i].pinned + by_site[i].slack;
  unsigned log2 = log2_of((uint64_t)all / UL_ROWS_COARSEST);
  for (uint32_t i = 1; i < sites; i++) {
    struct waste w = by_site[i];
    if (w.pinned + w.slack >= INT64_C(1) << log2 && !is_of_others(i))
      add_row(i, &(struct sum){w.pinned, w.slack});
  }
  s->least_log2[UL_ROW_WASTE] = (uint8_t)log2;
  s->rows[UL_ROW_WASTE] = (uint32_t)(rows - before);
}

static int64_t least(const struct ul_snapshot *s, enum ul_row_kind kind) {
  return (int64_t)ul_row_least(s, kind);
}

bool rows_make(struct ul_snapshot *s, bool with_waste) {
  size_t most = rows_room(s) / SNAPSHOTS_WANTED / ROW_BYTES;
  nodes = table_count(UL_NODES);
  codes = table_count(UL_CODES);
  rows = 0;
  s->least_log2[UL_ROW_SITE] = share(s, &site_sums, sites, most);
  s->least_log2[UL_ROW_NODE] = (uint8_t)log2_of(s->live_bytes / UL_ROWS_COARSEST);
  if (!take_all(s)) return false;
  s->rows[UL_ROW_SITE] = site_rows(least(s, UL_ROW_SITE));
  s->rows[UL_ROW_NODE] = node_rows(least(s, UL_ROW_NODE));
  s->least_log2[UL_ROW_CODE] = share(s, &code_sums, codes, most);
  s->rows[UL_ROW_CODE] = code_rows(least(s, UL_ROW_CODE));
  if (with_waste && !recording->sample_bytes) make_waste_rows(s); /* few would have one */
  uint8_t *start = take(&text, rows, ROW_BYTES_MAX), *to = start;
  if (!start) return false;
  const struct row *row = made.at;
  for (int kind = 0; kind < UL_ROW_KINDS; row += s->rows[kind++])
    to = put_rows(to, row, s->rows[kind]);
  s->row_bytes = (uint32_t)(to - start);
  return true;
}

/* ---- places -------------------------------------------------------------------- */

/* Where the rows of other snapshots lie, by place. */
struct run {
  uint64_t start, end;
};

static unsigned runs_of_others(struct run *runs, const struct ul_snapshot *slot) {
  unsigned n = 0;
  for (uint64_t i = 0; i < table_count(UL_SNAPSHOTS); i++) {
    const struct ul_snapshot *s = table_at(UL_SNAPSHOTS, i);
    if (s == slot || s->kind == UL_SNAPSHOT_FREE || !s->row_bytes) continue;
    unsigned at = n++;
    for (; at > 0 && runs[at - 1].start > s->row; at--)
      runs[at] = runs[at - 1];
    runs[at] = (struct run){s->row, s->row + s->row_bytes};
  }
  return n;
}

static bool find_gap(const struct ul_snapshot *slot, uint64_t n, uint64_t *start) {
  struct run runs[UL_SNAPSHOT_SLOTS + 1];
  unsigned others = runs_of_others(runs, slot);
  runs[others].start = table_count(UL_ROWS);
  *start = 0;
  for (unsigned i = 0; i <= others; i++) {
    if (runs[i].start >= *start + n) return true;
    if (i < others) *start = runs[i].end;
  }
  return false;
}

/* The table's pieces are whole grains. */
static void copy(uint64_t at, const uint8_t *from, size_t n) {
  for (size_t step; n; at += step, from += step, n -= step) {
    step = GRAIN - at % GRAIN;
    if (step > n) step = n;
    memcpy(table_at(UL_ROWS, at), from, step);
  }
}

bool rows_place(struct ul_snapshot *s, const struct ul_snapshot *slot, uint64_t bytes) {
  uint64_t n = s->row_bytes, start;
  if (!find_gap(slot, n, &start)) {
    if (table_count(UL_ROWS) + n > bytes) return false;
    uint32_t first = table_append(UL_ROWS, (uint32_t)n);
    if (first == TABLE_NONE) return false;
    start = first;
  }
  copy(start, text.at, n);
  s->row = start;
  return true;
}

void rows_reset(void) {
  most_blocks = 0;
}
