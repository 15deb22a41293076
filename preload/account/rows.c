/* rows.c - see rows.h.
 *
 * Runs of 2^k rows of UL_ROWS, with a free list for each k. */
#include "account/rows.h"

#include "base/meta.h"
#include "recording/recording.h"
#include "recording/table.h"

#include <string.h>

enum { ROW_BITS = 25 };
static uint32_t free_rows[ROW_BITS]; /* first row + 1 of a free run of 2^k */

/* A site's live blocks and bytes, summed over the heaps. */
struct sum {
  int64_t blocks, bytes;
};
static struct sum *sums;
static size_t sums_size, sites;

/* ---- rows ---------------------------------------------------------------------- */

static unsigned bits_for(uint32_t n) {
  return n <= 16 ? 4 : 32 - (unsigned)__builtin_clz(n - 1);
}

static struct ul_row *row_at(uint64_t i) {
  return table_at(UL_ROWS, i);
}

void rows_give(struct ul_snapshot *s) {
  if (!s->row_capacity) return;
  unsigned k = bits_for(s->row_capacity);
  row_at(s->row)->site = free_rows[k];
  free_rows[k] = (uint32_t)s->row + 1;
  s->row_capacity = s->rows = 0;
}

static bool rows_take(struct ul_snapshot *s, uint32_t n) {
  if (s->row_capacity >= n && s->row_capacity / 4 <= n) return true;
  rows_give(s);
  unsigned k = bits_for(n);
  if (k >= ROW_BITS) return false;
  uint32_t first = free_rows[k];
  if (first) {
    first--;
    free_rows[k] = row_at(first)->site;
  } else {
    first = table_append(UL_ROWS, 1u << k);
    if (first == TABLE_NONE) return false;
  }
  s->row = first;
  s->row_capacity = 1u << k;
  return true;
}

/* ---- sums over heaps ----------------------------------------------------------- */

static bool sums_clear(void) {
  if (sites > sums_size) {
    size_t size = sites + sites / 2 + 1024;
    struct sum *bigger = meta_alloc(size * sizeof *bigger);
    if (!bigger) return false;
    meta_free(sums, sums_size * sizeof *sums);
    sums = bigger;
    sums_size = size;
  }
  memset(sums, 0, sites * sizeof *sums);
  return true;
}

static void add_chunk(uint64_t c, struct ul_snapshot *s) {
  const struct ul_chunk *chunk = table_at(UL_CHUNKS, c);
  const struct ul_counter *n = table_at(UL_COUNTERS, c * UL_CHUNK_SITES);
  for (uint32_t i = 0; i < UL_CHUNK_SITES && chunk->first_site + i < sites; i++, n++) {
    if (!n->allocations && !n->frees) continue;
    struct sum *sum = &sums[chunk->first_site + i];
    sum->blocks += (int64_t)(n->allocations - n->frees);
    sum->bytes += (int64_t)(n->allocated_bytes - n->freed_bytes);
    s->allocations += n->allocations;
    s->allocated_bytes += n->allocated_bytes;
    if (chunk->first_site + i != UL_SITE_ULLAGE) continue;
    s->own_allocations += n->allocations;
    s->own_allocated_bytes += n->allocated_bytes;
  }
}

/* While other threads go on, one may have been seen to free what it was not yet seen to
 * allocate. */
static uint64_t positive(int64_t *n) {
  if (*n < 0) *n = 0;
  return (uint64_t)*n;
}

bool rows_sum(struct ul_snapshot *s) {
  sites = table_count(UL_SITES);
  if (!sums_clear()) return false;
  uint64_t chunks = table_count(UL_COUNTERS) / UL_CHUNK_SITES;
  if (chunks > table_count(UL_CHUNKS)) chunks = table_count(UL_CHUNKS);
  for (uint64_t c = 0; c < chunks; c++)
    add_chunk(c, s);
  for (size_t i = 1; i < sites; i++) {
    s->live_blocks += positive(&sums[i].blocks);
    s->live_bytes += positive(&sums[i].bytes);
  }
  s->own_blocks = (uint64_t)sums[UL_SITE_ULLAGE].blocks;
  s->own_bytes = (uint64_t)sums[UL_SITE_ULLAGE].bytes;
  return true;
}

static bool kept(const struct sum *sum, int64_t least) {
  return sum->bytes >= least && (sum->bytes > 0 || sum->blocks > 0);
}

void rows_write(struct ul_snapshot *s) {
  int64_t least = (int64_t)(s->live_bytes / UL_ROW_SHARE);
  uint32_t n = 0;
  for (size_t i = 1; i < sites; i++)
    n += kept(&sums[i], least);
  bool room = rows_take(s, n);
  s->rows = 0;
  for (size_t i = 1; i < sites; i++) {
    const struct sum *sum = &sums[i];
    if (sum->blocks <= 0 && sum->bytes <= 0) continue;
    if (room && kept(sum, least)) {
      uint32_t blocks = sum->blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)sum->blocks;
      *row_at(s->row + s->rows++) =
          (struct ul_row){(uint32_t)i, blocks, (uint64_t)sum->bytes};
      continue;
    }
    s->omitted_sites++;
    s->omitted_blocks += (uint64_t)sum->blocks;
    s->omitted_bytes += (uint64_t)sum->bytes;
  }
  if (s->omitted_sites) fallback(UL_FB_SNAPSHOT_OMITTED);
}

void rows_reset(void) {
  memset(free_rows, 0, sizeof free_rows);
  recording->table[UL_ROWS].count = 0;
}
