/* waste.c - the model of unused: who keeps memory that nobody uses (answers.h).
 *
 * A pool's free blocks cannot be given back while one block of it lives; an arena's
 * empty pools cannot while one block of the arena does. So the space is charged to
 * those survivors, in equal parts, to the byte: the i-th of n blocks that share b bytes
 * gets b / n, and one more if i < b % n. Therefore
 *
 *   sum over sites of pinned_pool  = resident free bytes of all pools with live blocks
 *   sum over sites of pinned_arena = empty_pool_bytes - unpinned_bytes
 *
 * Of these the blocks of ullage's own libraries are no site of the program's: own_pool
 * and own_arena are theirs. With what blocks have of their pages, and the tails of pools,
 * that is all that the heap's pools and large blocks have resident: each page is in one
 * class by its bytes, which the balanced statement (balance.c) shows as they are.
 *
 * Each arena is visited to count, and again to charge if there is anything to. */
#include "answers/answers.h"
#include "read/blocks.h"
#include "read/estimate.h"
#include "read/rows.h"
#include "read/timeline.h"

#include <stdlib.h>

struct load {
  const struct recording *r;
  const struct ul_header *h;
  struct unused *u;
  struct unused_site *by_site;
};

/* Who shares something: how many blocks, of which site if all are of one. */
struct sharers {
  uint64_t blocks, site;
  bool several;
  uint64_t used; /* resident bytes of the blocks themselves */
};

/* ---- pages --------------------------------------------------------------------- */

static bool bit(const uint64_t *bits, uint64_t page) {
  return bits[page / 64] >> page % 64 & 1;
}

/* Bytes of [start, end) of an arena on pages that are resident, and not written if
 * `unwritten`; everything counts as resident when that was not looked at. */
static uint64_t on_pages(const struct load *l, const struct ul_arena *a, uint64_t start,
                         uint64_t end, bool unwritten) {
  uint64_t bytes = 0;
  while (start < end) {
    uint64_t page = start / UL_PAGE_BYTES, next = (page + 1) * UL_PAGE_BYTES;
    bool counts = l->h->residency == UL_EVIDENCE_NONE || bit(a->resident, page);
    if (unwritten && bit(a->written, page)) counts = false;
    if (next > end) next = end;
    if (counts) bytes += next - start;
    start = next;
  }
  return bytes;
}

static uint64_t resident(const struct load *l, const struct ul_arena *a, uint64_t start,
                         uint64_t end) {
  return on_pages(l, a, start, end, false);
}

/* What of [start, end) lies behind the last resident page. */
static uint64_t behind_pages(const struct load *l, const struct ul_arena *a,
                             uint64_t start, uint64_t end) {
  uint64_t from = end;
  if (l->h->residency == UL_EVIDENCE_NONE) return 0;
  while (from > start && !bit(a->resident, (from - 1) / UL_PAGE_BYTES))
    from = (from - 1) / UL_PAGE_BYTES * UL_PAGE_BYTES;
  return from > start ? end - from : end - start;
}

/* ---- a block by itself --------------------------------------------------------- */

static bool old_enough(const struct load *l, uint64_t entry) {
  return l->h->writes != UL_EVIDENCE_NONE &&
         ul_birth_ms(ul_entry_birth(entry)) <= l->h->writes_ms;
}

/* Gives what of the block is resident. */
static uint64_t small_pages(const struct load *l, const struct live_block *b) {
  struct unused_site *s = &l->by_site[ul_entry_site(b->entry)];
  uint64_t start = b->address - b->arena->base, end = start + b->requested;
  uint64_t used = resident(l, b->arena, start, end);
  uint64_t slack = resident(l, b->arena, end, start + b->usable);
  s->blocks++;
  s->live_bytes += b->requested;
  s->untouched += b->requested - used;
  if (b->requested > UL_PAGE_BYTES && used < b->requested)
    s->tail += behind_pages(l, b->arena, start, end);
  s->slack += slack;
  if (old_enough(l, b->entry)) s->unwritten += on_pages(l, b->arena, start, end, true);
  return used + slack;
}

/* Of a large block only sums are known; the slack is behind the requested bytes, on the
 * last page. */
static void large_pages(const struct live_block *b, void *context) {
  const struct load *l = context;
  struct unused_site *s = &l->by_site[ul_entry_site(b->entry)];
  const struct ul_large *large = b->large;
  uint64_t in_slack = large->resident_end > b->requested &&
                              large->resident_bytes >= large->resident_end - b->requested
                          ? large->resident_end - b->requested
                          : 0;
  uint64_t touched = large->resident_bytes - in_slack;
  s->blocks++;
  s->live_bytes += b->requested;
  if (l->h->residency == UL_EVIDENCE_NONE) {
    s->slack += b->usable - b->requested;
  } else {
    s->slack += in_slack;
    if (b->requested > touched) s->untouched += b->requested - touched;
    if (b->requested > large->resident_end) s->tail += b->requested - large->resident_end;
  }
  if (old_enough(l, b->entry) && touched > large->written_bytes)
    s->unwritten += touched - large->written_bytes;
}

/* ---- what blocks share --------------------------------------------------------- */

struct counting {
  const struct load *l;
  struct sharers *of;
};

static void count_block(const struct live_block *b, void *context) {
  const struct counting *c = context;
  uint32_t site = ul_entry_site(b->entry);
  if (c->of->blocks++ && c->of->site != site) c->of->several = true;
  c->of->site = site;
  c->of->used += small_pages(c->l, b);
}

static struct sharers pool_sharers(const struct load *l, const struct ul_arena *a,
                                   const struct ul_pool *p) {
  struct sharers of = {0};
  blocks_each_in_pool(l->r, a, p, count_block, &(struct counting){l, &of});
  return of;
}

/* Running number of the next block, among those that share. */
struct charging {
  const struct load *l;
  uint64_t pool_bytes, pool_blocks, pool_next;
  uint64_t arena_bytes, arena_blocks, arena_next;
};

static uint64_t part(uint64_t bytes, uint64_t n, uint64_t i) {
  return bytes / n + (i < bytes % n);
}

static void charge_block(const struct live_block *b, void *context) {
  struct charging *c = context;
  struct unused_site *s = &c->l->by_site[ul_entry_site(b->entry)];
  s->pinned_pool += part(c->pool_bytes, c->pool_blocks, c->pool_next++);
  s->pinned_arena += part(c->arena_bytes, c->arena_blocks, c->arena_next++);
}

/* Where its blocks end, and its tail begins. */
static uint64_t blocks_end(const struct load *l, const struct ul_arena *a,
                           const struct ul_pool *p) {
  return (uint64_t)(p - a->pools) * UL_UNIT_BYTES +
         recording_pool_blocks(l->r, p) * recording_block_bytes(l->r, p);
}

static void keep_alone(const struct load *l, const struct sharers *of, uint64_t bytes) {
  if (of->blocks && !of->several) l->by_site[of->site].sole += bytes;
}

static void each_arena(struct load *l, const struct ul_arena *a) {
  struct sharers arena = {0}, of[UL_UNITS] = {{0}};
  uint64_t free_bytes[UL_UNITS] = {0};
  uint64_t empty = resident(l, a, 0, UL_ARENA_BYTES);
  for (unsigned u = 0; u < UL_UNITS; u++) {
    const struct ul_pool *p = &a->pools[u];
    if (!p->units) continue;
    of[u] = pool_sharers(l, a, p);
    if (!of[u].blocks) continue;
    uint64_t start = u * UL_UNIT_BYTES, end = (u + p->units) * UL_UNIT_BYTES;
    free_bytes[u] = resident(l, a, start, blocks_end(l, a, p)) - of[u].used;
    l->u->tail_bytes += resident(l, a, blocks_end(l, a, p), end);
    empty -= resident(l, a, start, end);
    if (arena.blocks && (of[u].several || of[u].site != arena.site)) arena.several = true;
    if (of[u].several) arena.several = true;
    arena.site = of[u].site;
    arena.blocks += of[u].blocks;
    keep_alone(l, &of[u], free_bytes[u]);
  }
  l->u->empty_pool_bytes += empty;
  if (!arena.blocks) l->u->unpinned_bytes += empty;
  keep_alone(l, &arena, empty);
  struct charging c = {.l = l, .arena_bytes = empty, .arena_blocks = arena.blocks};
  for (unsigned u = 0; u < UL_UNITS; u++) {
    if (!of[u].blocks) continue;
    c.pool_bytes = free_bytes[u];
    c.pool_blocks = of[u].blocks;
    c.pool_next = 0;
    if (c.pool_bytes || c.arena_bytes)
      blocks_each_in_pool(l->r, a, &a->pools[u], charge_block, &c);
  }
}

/* ---- the whole ----------------------------------------------------------------- */

uint64_t unused_sum(const struct unused_site *s) {
  return s->pinned_pool + s->pinned_arena + s->slack + s->untouched;
}

static int compare(const void *a, const void *b) {
  const struct unused_site *x = a, *y = b;
  uint64_t sx = unused_sum(x), sy = unused_sum(y);
  if (sx != sy) return sx > sy ? -1 : 1;
  return x->site < y->site ? -1 : x->site > y->site;
}

static void add_site(struct unused_site *to, const struct unused_site *s) {
  to->blocks += s->blocks;
  to->live_bytes += s->live_bytes;
  to->estimated.blocks += s->estimated.blocks;
  to->estimated.bytes += s->estimated.bytes;
  to->pinned_pool += s->pinned_pool;
  to->pinned_arena += s->pinned_arena;
  to->sole += s->sole;
  to->slack += s->slack;
  to->untouched += s->untouched;
  to->tail += s->tail;
  to->unwritten += s->unwritten;
}

/* What a site's sampled blocks stand for. */
static void estimate(const struct recording *r, struct unused_site *s) {
  struct ul_amount live =
      estimate_of(r, s->site, (struct ul_amount){s->blocks, s->live_bytes});
  double weight = (double)live.blocks / (double)s->blocks;
  uint64_t *const all[] = {&s->blocks,       &s->live_bytes, &s->pinned_pool,
                           &s->pinned_arena, &s->sole,       &s->slack,
                           &s->untouched,    &s->tail,       &s->unwritten};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    *all[i] = (uint64_t)((double)*all[i] * weight + 0.5);
  s->estimated = (struct ul_amount){s->blocks, s->live_bytes};
}

/* The sums over all blocks are exact; those of stacks become what is known of them. */
static void estimate_all(const struct recording *r, struct unused_site *by_site,
                         size_t sites) {
  for (uint32_t i = 0; i < sites; i++) {
    if (!by_site[i].blocks) continue;
    if (estimate_is_rest(r, i)) by_site[i] = (struct unused_site){0};
    if (estimate_is_of_samples(r, i)) estimate(r, &by_site[i]);
    if (estimate_stack(r, i) == i) continue;
    add_site(&by_site[estimate_stack(r, i)], &by_site[i]);
    by_site[i] = (struct unused_site){0};
  }
}

/* Only the sites with live blocks stay. */
static void finish(const struct recording *r, struct unused *u, size_t sites) {
  for (uint32_t i = 0; i < sites; i++) {
    struct unused_site *s = &u->sites[i];
    if (!s->blocks) continue; /* memory that is not written to costs nothing */
    s->site = i;
    if (recording_site_is_inherited(r, i))
      u->inherited_requested += s->live_bytes - s->untouched;
    if (!recording_site_is_own(i)) {
      add_site(&u->total, s);
      continue;
    }
    u->own_pool += s->pinned_pool;
    u->own_arena += s->pinned_arena;
    u->own_slack += s->slack;
    u->own_requested += s->live_bytes - s->untouched;
    s->blocks = 0;
  }
  if (estimate_sampling(r).bytes) estimate_all(r, u->sites, sites);
  for (uint32_t i = 0; i < sites; i++)
    if (u->sites[i].blocks) u->sites[u->count++] = u->sites[i];
}

void unused_sort(struct unused *u) {
  if (!u->sorted && u->count) qsort(u->sites, u->count, sizeof *u->sites, compare);
  u->sorted = true;
}

/* ---- the moment of most waste --------------------------------------------------- */

static int by_waste(const void *a, const void *b) {
  const struct unused_then *x = a, *y = b;
  uint64_t sx = x->pinned + x->slack, sy = y->pinned + y->slack;
  if (sx != sy) return sx > sy ? -1 : 1;
  return x->site < y->site ? -1 : x->site > y->site;
}

static bool load_moment(const struct recording *r, struct unused_moment *m) {
  const struct ul_snapshot *s = recording_snapshot(r, recording_header(r)->waste_slot);
  if (!s || s->kind == UL_SNAPSHOT_FREE || !s->rows[UL_ROW_WASTE]) return true;
  m->sites = calloc(s->rows[UL_ROW_WASTE], sizeof *m->sites);
  if (!m->sites) return false;
  m->at = s;
  m->waste_bytes = s->waste_bytes;
  m->free_bytes = s->free_bytes;
  m->slack = s->small_slack + s->large_slack;
  struct rows rows = rows_of(r, s);
  struct row row;
  while (rows_next(&rows, &row))
    if (row.kind == UL_ROW_WASTE)
      m->sites[m->count++] =
          (struct unused_then){estimate_stack(r, row.number), row.blocks, row.bytes};
  qsort(m->sites, m->count, sizeof *m->sites, by_waste);
  return true;
}

uint64_t unused_at_end(const struct unused *u) {
  uint64_t bytes =
      u->total.pinned_pool + u->total.pinned_arena + u->unpinned_bytes + u->total.slack;
  return bytes > u->rss_bytes ? u->rss_bytes : bytes;
}

uint64_t unused_requested(const struct unused *u) {
  return u->total.live_bytes - u->total.untouched - u->inherited_requested;
}

uint64_t unused_heap(const struct unused *u) {
  return u->total.live_bytes - u->total.untouched + u->own_requested + u->total.slack +
         u->own_slack + u->total.pinned_pool + u->own_pool + u->tail_bytes +
         u->empty_pool_bytes;
}

static uint64_t most_resident(const struct recording *r) {
  const struct ul_snapshot *last = timeline_last(r);
  bool pages = recording_header(r)->residency != UL_EVIDENCE_NONE;
  return pages || !last || !last->rss_bytes ? UINT64_MAX : last->rss_bytes;
}

bool unused_was_worse(const struct unused *u) {
  return u->most.at && u->most.waste_bytes / 2 > unused_at_end(u);
}

static bool is_by_end(const struct recording *r, const struct unused *u) {
  enum { SHORT = 4, LITTLE = 16 }; /* parts of the run, and of what lived */
  struct timeline t = timeline_load(r, true);
  bool by_end = false;
  if (t.count > 1 && t.at[t.count - 1]->kind == UL_SNAPSHOT_FINAL) {
    const struct ul_snapshot *before = t.at[t.count - 2], *end = t.at[t.count - 1];
    uint64_t lived = timeline_live_bytes(before), left = timeline_live_bytes(end);
    by_end = (end->ms - before->ms) * SHORT <= end->ms - timeline_start_ms(r) &&
             left <= lived / LITTLE && lived - left >= unused_at_end(u) / 2;
  }
  timeline_free(&t);
  return by_end;
}

struct unused *unused_load(const struct recording *r) {
  struct unused *u = calloc(1, sizeof *u);
  size_t sites = recording_count(r, UL_SITES);
  if (u) u->sites = calloc(sites + 1, sizeof *u->sites);
  if (!u || !u->sites) {
    free(u);
    return NULL;
  }
  struct load l = {r, recording_header(r), u, u->sites};
  const struct ul_arena *a;
  u->residency = l.h->residency;
  u->writes = l.h->writes;
  u->rss_bytes = most_resident(r);
  blocks_each_large(r, large_pages, &l);
  for (uint64_t i = 0; (a = recording_arena(r, i)); i++)
    if (a->base) each_arena(&l, a);
  finish(r, u, sites);
  u->by_end = is_by_end(r, u);
  if (load_moment(r, &u->most) && fills_load(r, &u->fills)) return u;
  unused_free(u);
  return NULL;
}

void unused_free(struct unused *u) {
  if (!u) return;
  free(u->fills.sites);
  free(u->most.sites);
  free(u->sites);
  free(u);
}
