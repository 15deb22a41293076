/* rows.c - see rows.h.
 *
 * The counters are walked once, at the moment of the snapshot; that gives what each site
 * holds. All else is made of these sums. Both are parts that can be done bit by bit: for
 * the program may have a million stacks, and no malloc shall wait for all of them. One
 * loop goes through the nodes above the sites, from the innermost to the outermost, for a
 * parent has a smaller number than its children. At each node there are two sums:
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

enum { LOG2_BINS = 64 };

/* What nobody has written to is no memory. */
struct array {
  void *at;
  size_t bytes;
};
static struct array site_sums, node_sums, code_sums, waste_sums, made, text;
static struct array sites_met, nodes_met, codes_met; /* a bit for each that has a sum */
static size_t sites, nodes, codes, rows;
static uint64_t chunks;

/* How far it is: steps are numbers of a table that have been looked at. */
static struct {
  unsigned part;
  size_t next;            /* number, in that part */
  size_t bins[LOG2_BINS]; /* sums by their size */
} at;

static uint64_t most_blocks; /* live at any snapshot so far */

enum { ROW_BYTES_MAX = 5 + 10 + 10 };
/* The room: rows of all snapshots, per stack, per live block, and at least. It should be
 * enough for so many snapshots with rows of about so many bytes. */
enum { ROOM_STACK = 16, ROOM_BLOCK = 4, ROOM_LEAST = 64 << 10 };
enum { SNAPSHOTS_WANTED = 64, ROW_BYTES = 8, GRAIN = 64 };

/* ---- memory -------------------------------------------------------------------- */

static struct array *const arrays[] = {&site_sums, &node_sums, &code_sums,
                                       &sites_met, &nodes_met, &codes_met,
                                       &made,      &text,      &waste_sums};
enum { ARRAYS = sizeof arrays / sizeof *arrays };

/* Rows of a few thousand stacks come often, and to fault their memory in would be a third
 * of what they cost: so it stays, if it is no more than KEPT, and who is done with a sum
 * leaves it zero. */
enum { KEPT = 4 << 20 };
static bool unclean; /* not all sums that there were are done with */

static void give(struct array *a) {
  meta_free(a->at, a->bytes);
  *a = (struct array){0};
}

static void *take(struct array *a, size_t n, size_t size) {
  size_t bytes = (n + 1) * size;
  if (a->at && bytes <= a->bytes) return a->at;
  give(a);
  a->bytes = bytes + bytes / 4;
  return a->at = meta_alloc(a->bytes);
}

static size_t bytes_taken(void) {
  size_t sum = 0;
  for (unsigned i = 0; i < ARRAYS; i++)
    sum += arrays[i]->bytes;
  return sum;
}

void rows_done(void) {
  give(&waste_sums); /* if there are any, somebody wants them */
  if (!unclean && bytes_taken() <= KEPT) return;
  for (unsigned i = 0; i < ARRAYS; i++)
    give(arrays[i]);
  unclean = false;
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

/* ---- what has a sum ------------------------------------------------------------ */

static void meet(struct array *bits, size_t i) {
  ((uint64_t *)bits->at)[i / 64] |= UINT64_C(1) << i % 64;
}

static void forget(struct array *bits, size_t i) {
  ((uint64_t *)bits->at)[i / 64] &= ~(UINT64_C(1) << i % 64);
}

/* The first from *i on; false: there is none below n. */
static bool next_met(const struct array *bits, size_t n, size_t *i) {
  const uint64_t *word = bits->at;
  for (; *i < n; *i = (*i / 64 + 1) * 64) {
    uint64_t rest = word[*i / 64] >> *i % 64;
    if (!rest) continue;
    *i += (size_t)__builtin_ctzll(rest);
    return *i < n;
  }
  *i = n;
  return false;
}

/* ---- sites --------------------------------------------------------------------- */

static bool is_of_others(size_t site) {
  return site == UL_SITE_ULLAGE || ul_is_inherited(recording, (uint32_t)site);
}

struct counts {
  int64_t allocations, allocated_bytes, frees, freed_bytes;
};

static void add_counts(size_t site, const struct counts *n, struct ul_snapshot *s) {
  struct sum live = {n->allocations - n->frees, n->allocated_bytes - n->freed_bytes};
  if (live.blocks || live.bytes) {
    add(site_sum(site), &live);
    meet(&sites_met, site);
  }
  s->allocations += (uint64_t)n->allocations;
  s->allocated_bytes += (uint64_t)n->allocated_bytes;
  if (!is_of_others(site)) return;
  s->other_allocations += (uint64_t)n->allocations;
  s->other_allocated_bytes += (uint64_t)n->allocated_bytes;
}

static void add_chunk(uint64_t c, struct ul_snapshot *s) {
  static struct table_run chunk_run, counter_run;
  const struct ul_chunk *chunk = table_in(&chunk_run, UL_CHUNKS, c, sizeof *chunk);
  const struct ul_counter *n =
      table_in(&counter_run, UL_COUNTERS, c * UL_CHUNK_SITES, sizeof *n);
  for (uint32_t i = 0; i < UL_CHUNK_SITES && chunk->first_site + i < sites; i++, n++) {
    struct counts counts = {n->allocations, n->allocated_bytes, n->frees, n->freed_bytes};
    if (counts.allocations || counts.frees) add_counts(chunk->first_site + i, &counts, s);
  }
}

static void add_carry(const struct ul_carry *c, struct ul_snapshot *s) {
  const int64_t unit = INT64_C(1) << UL_CARRY_BITS;
  struct counts counts = {c->allocations * unit, c->allocated_bytes * unit,
                          c->frees * unit, c->freed_bytes * unit};
  if (c->site < sites) add_counts(c->site, &counts, s);
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

static bool is_estimated(size_t site) {
  static struct table_run run;
  const struct ul_site *s = table_in(&run, UL_SITES, site, sizeof *s);
  return s->code & UL_SITE_OF_SAMPLES && !is_of_others(site);
}

/* What lives is known exactly, so the estimates together are no more than that; what they
 * leave is the unsampled blocks'. */
static void estimate_all(double sample_bytes) {
  uint32_t without = recording->sample_site;
  if (without < UL_SITE_RESERVED || without >= sites) return;
  struct sum *rest = site_sum(without), have = *rest, all = {0}, given = {0};
  for (size_t i = UL_SITE_RESERVED; next_met(&sites_met, sites, &i); i++) {
    if (!is_estimated(i)) continue;
    add(&have, site_sum(i));
    estimate(site_sum(i), sample_bytes);
    add(&all, site_sum(i));
  }
  for (size_t i = UL_SITE_RESERVED; next_met(&sites_met, sites, &i); i++) {
    if (!is_estimated(i)) continue;
    cut(&site_sum(i)->blocks, all.blocks, have.blocks);
    cut(&site_sum(i)->bytes, all.bytes, have.bytes);
    add(&given, site_sum(i));
  }
  *rest = (struct sum){have.blocks - given.blocks, have.bytes - given.bytes};
  meet(&sites_met, without);
}

static enum rows_state done(bool is) {
  return is ? ROWS_MADE : ROWS_NOT_YET;
}

static enum rows_state add_chunks(struct ul_snapshot *s, int64_t *steps) {
  for (; *steps > 0 && at.next < chunks; at.next++, *steps -= UL_CHUNK_SITES)
    add_chunk(at.next, s);
  return done(at.next >= chunks);
}

static enum rows_state add_carries(struct ul_snapshot *s, int64_t *steps) {
  (void)steps;
  for (uint64_t i = 0; i < table_count(UL_CARRIES); i++)
    add_carry(table_at(UL_CARRIES, i), s);
  return ROWS_MADE;
}

static enum rows_state add_sites(struct ul_snapshot *s, int64_t *steps) {
  struct sum live = {0}, others = {0};
  for (; *steps > 0 && next_met(&sites_met, sites, &at.next); at.next++, --*steps) {
    struct sum *sum = site_sum(at.next);
    if (sum->blocks < 0 || sum->bytes < 0) settle(sum);
    add(&live, sum);
    if (is_of_others(at.next)) add(&others, sum);
  }
  s->live_blocks += (uint64_t)live.blocks;
  s->live_bytes += (uint64_t)live.bytes;
  s->other_blocks += (uint64_t)others.blocks;
  s->other_bytes += (uint64_t)others.bytes;
  return done(at.next >= sites);
}

static enum rows_state estimate_sites(struct ul_snapshot *s, int64_t *steps) {
  (void)s, (void)steps;
  if (recording->sample_bytes) estimate_all((double)recording->sample_bytes);
  return ROWS_MADE;
}

/* ---- parts --------------------------------------------------------------------- */

typedef enum rows_state part(struct ul_snapshot *, int64_t *steps);

static void start(void) {
  at.part = 0;
  at.next = 0;
}

static enum rows_state run(part *const *parts, unsigned n, struct ul_snapshot *s,
                           int64_t *steps) {
  for (; at.part < n; at.part++, at.next = 0) {
    enum rows_state is = *steps > 0 ? parts[at.part](s, steps) : ROWS_NOT_YET;
    if (is != ROWS_MADE) return is;
  }
  return ROWS_MADE;
}

bool rows_begin(void) {
  rows_done();
  unclean = true;
  start();
  sites = table_count(UL_SITES);
  chunks = table_count(UL_COUNTERS) / UL_CHUNK_SITES;
  if (chunks > table_count(UL_CHUNKS)) chunks = table_count(UL_CHUNKS);
  return take(&site_sums, sites, sizeof(struct sum)) &&
         take(&sites_met, sites / 64, sizeof(uint64_t));
}

enum rows_state rows_count(struct ul_snapshot *s, int64_t *steps) {
  static part *const parts[] = {add_chunks, add_carries, add_sites, estimate_sites};
  return run(parts, sizeof parts / sizeof *parts, s, steps);
}

/* ---- the share ----------------------------------------------------------------- */

static unsigned log2_of(uint64_t n) {
  return 63 - (unsigned)__builtin_clzll(n | 1);
}

static bool sort_out(const struct sum *sums, const struct array *met, size_t n,
                     int64_t *steps) {
  if (!at.next) memset(at.bins, 0, sizeof at.bins);
  for (; *steps > 0 && next_met(met, n, &at.next); at.next++, --*steps)
    if (sums[at.next].bytes > 0) at.bins[log2_of((uint64_t)sums[at.next].bytes)]++;
  return at.next >= n;
}

/* Of what was sorted out, the least that has a row is two to the power of this, so that
 * about as many have one as there should be. */
static uint8_t share(const struct ul_snapshot *s) {
  size_t most = rows_room(s) / SNAPSHOTS_WANTED / ROW_BYTES, have = 0;
  unsigned finest = log2_of(s->live_bytes / UL_ROWS_FINEST);
  unsigned coarsest = log2_of(s->live_bytes / UL_ROWS_COARSEST), k = LOG2_BINS;
  while (k > finest && (k > coarsest || have + at.bins[k - 1] <= most))
    have += at.bins[--k];
  return (uint8_t)k;
}

/* ---- nodes and codes ----------------------------------------------------------- */

/* The innermost of those met that are left; taken off. */
static bool innermost(size_t *word, uint32_t *node) {
  uint64_t *bits = nodes_met.at;
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

static void add_code(uint32_t code, const struct sum *s) {
  add(code_sum(code), s);
  meet(&codes_met, code);
}

static void hand_over_site(uint32_t i, int64_t least, int64_t *steps) {
  static struct table_run run;
  const struct ul_site *site = table_in(&run, UL_SITES, i, sizeof *site);
  const struct sum *sum = site_sum(i);
  uint32_t parent = parent_of(site);
  struct node_sums *to = node_sum(parent);
  meet(&nodes_met, parent);
  if (sum->bytes >= least)
    add_row(i, sum);
  else
    add(&to->rest, sum);
  add(&to->all, sum);
  uint32_t code = ul_site_code(site);
  if (code && code < codes && !recursion_at_site(i, steps)) add_code(code, sum);
}

static void hand_over_node(uint32_t i, int64_t least, int64_t *steps) {
  static struct table_run run;
  const struct ul_node *node = table_in(&run, UL_NODES, i, sizeof *node);
  struct node_sums sums = *node_sum(i);
  bool outermost = i < UL_NODE_RESERVED;
  *node_sum(i) = (struct node_sums){0};
  if (sums.rest.bytes >= least || (outermost && (sums.rest.bytes || sums.rest.blocks)))
    add_row(i, &sums.rest);
  else if (!outermost)
    add(&node_sum(node->parent)->rest, &sums.rest);
  if (outermost) return;
  meet(&nodes_met, node->parent);
  add(&node_sum(node->parent)->all, &sums.all);
  if (node->code < codes && !recursion_at_node(i, steps)) add_code(node->code, &sums.all);
}

/* Those of node_rows() come from the innermost on. */
static void reverse(struct row *row, size_t n) {
  for (size_t i = 0; i + 1 < n; i++) {
    struct row last = row[--n];
    row[n] = row[i];
    row[i] = last;
  }
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

uint64_t rows_room(const struct ul_snapshot *s) {
  if (s->live_blocks > most_blocks) most_blocks = s->live_blocks;
  return ROOM_LEAST + ROOM_STACK * sites + ROOM_BLOCK * most_blocks;
}

/* ---- parts of making them ------------------------------------------------------ */

static int64_t least(const struct ul_snapshot *s, enum ul_row_kind kind) {
  return (int64_t)ul_row_least(s, kind);
}

/* First of all, while the blocks are those of the moment. */
static enum rows_state look_for_waste(struct ul_snapshot *s, int64_t *steps) {
  (void)s;
  return done(!waste_sums.at || !waste_add(waste_sums.at, sites, &at.next, steps));
}

/* Rows of sites and nodes do not overlap, nor those of waste; those of codes do. */
static enum rows_state sort_sites(struct ul_snapshot *s, int64_t *steps) {
  if (!sort_out(site_sums.at, &sites_met, sites, steps)) return ROWS_NOT_YET;
  s->least_log2[UL_ROW_SITE] = share(s);
  s->least_log2[UL_ROW_NODE] = (uint8_t)log2_of(s->live_bytes / UL_ROWS_COARSEST);
  size_t most = (s->live_bytes >> s->least_log2[UL_ROW_SITE]) + UL_NODE_RESERVED + codes +
                2 * UL_ROWS_COARSEST;
  return take(&made, most, sizeof(struct row)) ? ROWS_MADE : ROWS_FAILED;
}

static enum rows_state make_site_rows(struct ul_snapshot *s, int64_t *steps) {
  for (; *steps > 0 && next_met(&sites_met, sites, &at.next); at.next++, --*steps) {
    if (!is_of_others(at.next))
      hand_over_site((uint32_t)at.next, least(s, UL_ROW_SITE), steps);
    *site_sum(at.next) = (struct sum){0};
    forget(&sites_met, at.next);
  }
  s->rows[UL_ROW_SITE] = (uint32_t)rows;
  return done(at.next >= sites);
}

static enum rows_state make_node_rows(struct ul_snapshot *s, int64_t *steps) {
  size_t word = nodes / 64 - at.next;
  uint32_t node;
  bool more = true;
  for (; *steps > 0 && (more = innermost(&word, &node)); --*steps)
    hand_over_node(node, least(s, UL_ROW_NODE), steps);
  at.next = nodes / 64 - word;
  if (more) return ROWS_NOT_YET;
  s->rows[UL_ROW_NODE] = (uint32_t)(rows - s->rows[UL_ROW_SITE]);
  reverse((struct row *)made.at + s->rows[UL_ROW_SITE], s->rows[UL_ROW_NODE]);
  return ROWS_MADE;
}

static enum rows_state sort_codes(struct ul_snapshot *s, int64_t *steps) {
  if (!sort_out(code_sums.at, &codes_met, codes, steps)) return ROWS_NOT_YET;
  s->least_log2[UL_ROW_CODE] = share(s);
  return ROWS_MADE;
}

static enum rows_state make_code_rows(struct ul_snapshot *s, int64_t *steps) {
  for (; *steps > 0 && next_met(&codes_met, codes, &at.next); at.next++, --*steps) {
    struct sum sum = *code_sum(at.next);
    *code_sum(at.next) = (struct sum){0};
    forget(&codes_met, at.next);
    if (sum.bytes < least(s, UL_ROW_CODE)) continue;
    add_row(at.next, &sum);
    s->rows[UL_ROW_CODE]++;
  }
  return done(at.next >= codes);
}

/* Of sites, in what their blocks keep. */
static enum rows_state make_waste_rows(struct ul_snapshot *s, int64_t *steps) {
  const struct waste *by_site = waste_sums.at;
  size_t before = rows;
  int64_t all = 0;
  if (!by_site) return ROWS_MADE;
  *steps -= (int64_t)sites;
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
  return ROWS_MADE;
}

static enum rows_state write_rows(struct ul_snapshot *s, int64_t *steps) {
  uint8_t *start = take(&text, rows, ROW_BYTES_MAX), *to = start;
  if (!start) return ROWS_FAILED;
  *steps -= (int64_t)rows;
  const struct row *row = made.at;
  for (int kind = 0; kind < UL_ROW_KINDS; row += s->rows[kind++])
    to = put_rows(to, row, s->rows[kind]);
  s->row_bytes = (uint32_t)(to - start);
  return ROWS_MADE;
}

bool rows_prepare(bool with_waste) {
  start();
  nodes = table_count(UL_NODES);
  codes = table_count(UL_CODES);
  rows = 0;
  if (with_waste && !recording->sample_bytes) /* few would have one; no memory, no rows */
    take(&waste_sums, sites, sizeof(struct waste));
  return take(&node_sums, nodes, sizeof(struct node_sums)) &&
         take(&nodes_met, nodes / 64, sizeof(uint64_t)) &&
         take(&code_sums, codes, sizeof(struct sum)) &&
         take(&codes_met, codes / 64, sizeof(uint64_t)) &&
         recursion_begin(sites, nodes, codes);
}

enum rows_state rows_make(struct ul_snapshot *s, int64_t *steps) {
  static part *const parts[] = {look_for_waste,  sort_sites, make_site_rows,
                                make_node_rows,  sort_codes, make_code_rows,
                                make_waste_rows, write_rows};
  enum rows_state is = run(parts, sizeof parts / sizeof *parts, s, steps);
  if (is == ROWS_MADE) unclean = false;
  return is;
}

/* ---- places -------------------------------------------------------------------- */

/* Where rows lie, by place. */
struct run {
  uint64_t start, end;
};

static unsigned runs_in_use(struct run *runs) {
  unsigned n = 0;
  for (uint64_t i = 0; i < table_count(UL_SNAPSHOTS); i++) {
    const struct ul_snapshot *s = table_at(UL_SNAPSHOTS, i);
    if (s->kind == UL_SNAPSHOT_FREE || !s->row_bytes) continue;
    unsigned place = n++;
    for (; place > 0 && runs[place - 1].start > s->row; place--)
      runs[place] = runs[place - 1];
    runs[place] = (struct run){s->row, s->row + s->row_bytes};
  }
  return n;
}

static bool find_gap(uint64_t n, uint64_t *start) {
  struct run runs[UL_SNAPSHOT_SLOTS + 1];
  unsigned used = runs_in_use(runs);
  runs[used].start = table_count(UL_ROWS);
  *start = 0;
  for (unsigned i = 0; i <= used; i++) {
    if (runs[i].start >= *start + n) return true;
    if (i < used) *start = runs[i].end;
  }
  return false;
}

/* The table's pieces are whole grains. */
static void copy(uint64_t to, const uint8_t *from, size_t n) {
  for (size_t step; n; to += step, from += step, n -= step) {
    step = GRAIN - to % GRAIN;
    if (step > n) step = n;
    memcpy(table_at(UL_ROWS, to), from, step);
  }
}

bool rows_place(struct ul_snapshot *s, uint64_t bytes) {
  uint64_t n = s->row_bytes, start;
  if (!find_gap(n, &start)) {
    if (table_count(UL_ROWS) + n > bytes) return false;
    uint32_t first = table_append(UL_ROWS, (uint32_t)n);
    if (first == TABLE_NONE) return false;
    start = first;
  }
  copy(start, text.at, n);
  s->row = start;
  return true;
}

/* Memory stays for the next snapshot: to give it back is to write into each piece, of
 * which the kernel makes a copy first, and most children take none. */
void rows_reset(void) {
  most_blocks = 0;
}
