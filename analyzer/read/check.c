/* check.c - only what is possible is let through: every offset, count and index, the
 * ledger's entries, and that no two things claim the same place. */
#include "read/parts.h"
#include "read/rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BIRTH_MAX 0xffffffu

/* ---- checks of elements -------------------------------------------------------- */

static bool text_exists(const struct recording *r, uint32_t offset) {
  return offset == 0 || offset < r->tables[UL_TEXT].count;
}

static bool site_exists(const struct recording *r, uint32_t site) {
  return site < r->tables[UL_SITES].count;
}

static bool check_header_texts(struct recording *r) {
  struct ul_header *h = &r->header;
  uint32_t *texts[] = {&h->program, &h->command, &h->directory, &h->ullage, &h->exec};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (!text_exists(r, *texts[i])) {
      if (!part_damaged(r, "the header's text %zu is outside the table", i)) return false;
      *texts[i] = 0;
    }
  uint64_t offset = h->command;
  for (uint32_t i = 0; i < h->command_count; i++) {
    if (offset >= r->tables[UL_TEXT].count) {
      if (!part_damaged(r, "argument %" PRIu32 " is outside the table text", i))
        return false;
      h->command_count = i;
      break;
    }
    offset += strlen(r->tables[UL_TEXT].data + offset) + 1;
  }
  uint32_t *slots[] = {&h->peak_slot, &h->waste_slot};
  for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
    if (*slots[i] == UINT32_MAX || *slots[i] < r->tables[UL_SNAPSHOTS].count) continue;
    if (!part_damaged(r, "the %s is in snapshot %" PRIu32,
                      i ? "moment of most waste" : "peak", *slots[i]))
      return false;
    *slots[i] = UINT32_MAX;
  }
  return true;
}

static bool check_modules(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_MODULES].count; i++) {
    struct ul_module *m = part_at(r, UL_MODULES, i);
    if (m->end >= m->start && text_exists(r, m->name) &&
        m->build_id_bytes <= sizeof m->build_id)
      continue;
    if (!part_damaged(r, "module %" PRIu64 " has an impossible extent, name or build id",
                      i))
      return false;
    memset(m, 0, sizeof *m);
  }
  return true;
}

static bool check_codes(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_CODES].count; i++) {
    uint64_t *code = part_at(r, UL_CODES, i);
    unsigned module = ul_code_module(*code);
    if (!*code || module == UL_NO_MODULE || module < r->tables[UL_MODULES].count)
      continue;
    if (!part_damaged(r, "code %" PRIu64 " is in module %u of %" PRIu64, i, module,
                      r->tables[UL_MODULES].count))
      return false;
    *code = ul_code(UL_NO_MODULE, ul_code_offset(*code));
  }
  return true;
}

static bool code_exists(const struct recording *r, uint32_t code) {
  return code == 0 || code < r->tables[UL_CODES].count;
}

/* Damage in the trie is never a moment of the writer: a node is complete before
 * anything leads to it, and zeros are valid. */
static bool check_nodes(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_NODES].count; i++) {
    struct ul_node *n = part_at(r, UL_NODES, i);
    if (i >= UL_NODE_RESERVED && n->parent >= i)
      return part_fail(r,
                       "damaged recording: node %" PRIu64 " has the later node %" PRIu32
                       " as parent; copy or record it again",
                       i, n->parent);
    if (code_exists(r, n->code)) continue;
    if (!part_damaged(r, "node %" PRIu64 " has code %" PRIu32 " of %" PRIu64, i, n->code,
                      r->tables[UL_CODES].count))
      return false;
    n->code = 0;
  }
  return true;
}

static bool check_sites(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_SITES].count; i++) {
    struct ul_site *s = part_at(r, UL_SITES, i);
    bool good = s->parent < UL_NODE_RESERVED || s->parent < r->tables[UL_NODES].count;
    if (good && code_exists(r, ul_site_code(s))) continue;
    if (!part_damaged(r,
                      "site %" PRIu64 " has node %" PRIu32 " of %" PRIu64
                      " and code %" PRIu32 " of %" PRIu64,
                      i, s->parent, r->tables[UL_NODES].count, ul_site_code(s),
                      r->tables[UL_CODES].count))
      return false;
    *s = (struct ul_site){0};
  }
  return true;
}

static bool check_chunks(struct recording *r) {
  uint64_t counted = r->tables[UL_COUNTERS].count / UL_CHUNK_SITES;
  if (r->tables[UL_CHUNKS].count > counted) {
    if (!part_damaged(r, "%" PRIu64 " chunks, but counters for %" PRIu64,
                      r->tables[UL_CHUNKS].count, counted))
      return false;
    r->tables[UL_CHUNKS].count = counted;
  }
  for (uint64_t i = 0; i < r->tables[UL_CHUNKS].count; i++) {
    struct ul_chunk *c = part_at(r, UL_CHUNKS, i);
    if (c->heap < r->tables[UL_HEAPS].count && site_exists(r, c->first_site)) continue;
    if (!part_damaged(r, "chunk %" PRIu64 " counts for heap %" PRIu32 ", site %" PRIu32,
                      i, c->heap, c->first_site))
      return false;
    memset(part_at(r, UL_COUNTERS, i * UL_CHUNK_SITES), 0,
           UL_CHUNK_SITES * sizeof(struct ul_counter));
    *c = (struct ul_chunk){0};
  }
  return true;
}

static bool check_carries(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_CARRIES].count; i++) {
    struct ul_carry *c = part_at(r, UL_CARRIES, i);
    if (!c->site) continue;
    if (c->heap < r->tables[UL_HEAPS].count && site_exists(r, c->site)) continue;
    if (!part_damaged(r, "carry %" PRIu64 " counts for heap %" PRIu32 ", site %" PRIu32,
                      i, c->heap, c->site))
      return false;
    *c = (struct ul_carry){0};
  }
  return true;
}

static bool check_snapshots(struct recording *r) {
  if (r->tables[UL_SNAPSHOTS].count > UL_SNAPSHOT_SLOTS)
    return part_fail(r,
                     "damaged recording: %" PRIu64 " snapshots, there may be %u; copy or "
                     "record it again",
                     r->tables[UL_SNAPSHOTS].count, UL_SNAPSHOT_SLOTS);
  for (uint64_t i = 0; i < r->tables[UL_SNAPSHOTS].count; i++) {
    struct ul_snapshot *s = part_at(r, UL_SNAPSHOTS, i);
    if (s->kind == UL_SNAPSHOT_FREE) continue;
    if (s->kind < UL_SNAPSHOT_KINDS && rows_are_sound(r, s)) continue;
    if (!part_damaged(r,
                      "snapshot %" PRIu64 " (kind %" PRIu32 ", %" PRIu32
                      " bytes of rows at %" PRIu64
                      ") has rows that do not exist or name nothing",
                      i, s->kind, s->row_bytes, s->row))
      return false;
    s->kind = UL_SNAPSHOT_FREE;
  }
  return true;
}

static bool check_leaks(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_LEAKS].count; i++) {
    struct ul_leak *l = part_at(r, UL_LEAKS, i);
    if (site_exists(r, l->site) && l->verdict < UL_VERDICTS &&
        l->oldest_birth <= BIRTH_MAX && l->newest_birth <= BIRTH_MAX)
      continue;
    if (!part_damaged(r, "leak %" PRIu64 " has verdict %" PRIu32 ", site %" PRIu32, i,
                      l->verdict, l->site))
      return false;
    memset(l, 0, sizeof *l);
  }
  return true;
}

static bool check_drags(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_DRAGS].count; i++) {
    struct ul_drag *d = part_at(r, UL_DRAGS, i);
    if (site_exists(r, d->leader) && site_exists(r, d->dragged)) continue;
    if (!part_damaged(r, "drag %" PRIu64 " is of the sites %" PRIu32 " and %" PRIu32, i,
                      d->leader, d->dragged))
      return false;
    memset(d, 0, sizeof *d);
  }
  return true;
}

static bool check_fills(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_FILLS].count; i++) {
    struct ul_fill *f = part_at(r, UL_FILLS, i);
    bool any = f->blocks || f->bytes || f->never_written;
    if (!any || (site_exists(r, (uint32_t)i) && f->never_written <= f->bytes)) continue;
    if (!part_damaged(r, "fill %" PRIu64 " has %" PRIu64 " of %" PRIu64 " bytes", i,
                      f->never_written, f->bytes))
      return false;
    memset(f, 0, sizeof *f);
  }
  return true;
}

static bool check_misuses(struct recording *r) {
  for (int i = 0; i < UL_MISUSES * UL_MISUSE_PLACES; i++) {
    struct ul_misuse *m = &r->header.misuses[i];
    if (site_exists(r, m->site) && site_exists(r, m->allocated) &&
        site_exists(r, m->freed))
      continue;
    if (!part_damaged(r, "misuse %d was at site %" PRIu32, i, m->site)) return false;
    *m = (struct ul_misuse){0};
  }
  return true;
}

static bool check_mappings(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_MAPPINGS].count; i++) {
    struct ul_mapping *m = part_at(r, UL_MAPPINGS, i);
    if (m->start <= m->end && m->rss <= m->end - m->start && m->heap_rss <= m->rss &&
        m->tool_rss <= m->rss && m->kind <= UL_MAP_RECORDING && text_exists(r, m->name))
      continue;
    if (!part_damaged(r, "mapping %" PRIu64 " at %" PRIx64 " is impossible", i, m->start))
      return false;
    memset(m, 0, sizeof *m);
  }
  return true;
}

/* ---- checks of the ledger ------------------------------------------------------ */

static bool entry_possible(const struct recording *r, uint64_t e, uint64_t usable) {
  uint32_t site = ul_entry_site(e);
  return site != UL_SITE_NONE && site_exists(r, site) && ul_entry_slack(e) <= usable;
}

static bool check_entries(struct recording *r, uint64_t arena, unsigned unit,
                          const struct ul_pool *p) {
  uint64_t *e = part_at(r, UL_ENTRIES, p->entry);
  uint64_t usable = recording_block_bytes(r, p), blocks = recording_pool_blocks(r, p);
  for (uint64_t i = 0; i < blocks; i++) {
    if (!ul_entry_is_live(e[i])) e[i] = 0; /* of which block it was is not asked for */
    if (e[i] == 0) continue;
    bool good = entry_possible(r, e[i], usable);
    if (p->class == UL_SPAN) good = good && e[1] <= usable;
    if (good) continue;
    if (!part_damaged(r,
                      "entry %" PRIu64 " (arena %" PRIu64
                      ", unit %u) is impossible: %016" PRIx64,
                      p->entry + i, arena, unit, e[i]))
      return false;
    e[i] = 0;
  }
  return true;
}

static bool pool_possible(const struct recording *r, const struct ul_pool *p,
                          unsigned unit) {
  if (p->units > POOL_UNITS_MAX || unit + p->units > UL_UNITS) return false;
  if (p->class >= r->header.classes) return false;
  if (p->pages * (uint64_t)UL_PAGE_BYTES > (uint64_t)p->units * UL_UNIT_BYTES)
    return false;
  uint64_t entries = recording_pool_blocks(r, p) + (p->class == UL_SPAN);
  uint64_t have = r->tables[UL_ENTRIES].count;
  return entries > 0 && p->entry <= have && entries <= have - p->entry;
}

static bool check_pools(struct recording *r, uint64_t i) {
  struct ul_arena *a = part_at(r, UL_ARENAS, i);
  for (unsigned unit = 0, end = 0; unit < UL_UNITS; unit++) {
    struct ul_pool *p = &a->pools[unit];
    if (p->units == 0) continue;
    bool good = unit >= end && pool_possible(r, p, unit);
    if (!good &&
        !part_damaged(r,
                      "pool at unit %u of arena %" PRIu64 " (class %u, %u units, "
                      "entry %" PRIu32 ") is impossible or overlaps",
                      unit, i, p->class, p->units, p->entry))
      return false;
    if (good && !check_entries(r, i, unit, p)) return false;
    if (good)
      end = unit + p->units;
    else
      memset(p, 0, sizeof *p);
  }
  return true;
}

static bool large_possible(const struct recording *r, const struct ul_large *l) {
  return l->base % UL_PAGE_BYTES == 0 && l->mapped_bytes % UL_PAGE_BYTES == 0 &&
         l->mapped_bytes <= UINT64_MAX - l->base &&
         l->requested_bytes <= l->mapped_bytes && l->resident_bytes <= l->mapped_bytes &&
         l->resident_end <= l->mapped_bytes && l->written_bytes <= l->mapped_bytes &&
         l->verdict < UL_VERDICTS &&
         (l->entry == 0 || entry_possible(r, l->entry, UL_SLACK_MAX));
}

static bool check_larges(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_LARGES].count; i++) {
    struct ul_large *l = part_at(r, UL_LARGES, i);
    if (!ul_entry_is_live(l->entry)) l->entry = 0;
    if (l->base == 0 || large_possible(r, l)) continue;
    if (!part_damaged(r,
                      "large block %" PRIu64 " at %" PRIx64 " (%" PRIu64
                      " bytes mapped, %" PRIu64 " requested) is impossible",
                      i, l->base, l->mapped_bytes, l->requested_bytes))
      return false;
    memset(l, 0, sizeof *l);
  }
  return true;
}

static bool check_arenas(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_ARENAS].count; i++) {
    struct ul_arena *a = part_at(r, UL_ARENAS, i);
    if (a->base == 0) continue;
    if (a->base % UL_ARENA_BYTES || a->base > UINT64_MAX - UL_ARENA_BYTES) {
      if (!part_damaged(r, "arena %" PRIu64 " is at %" PRIx64, i, a->base)) return false;
      memset(a, 0, sizeof *a);
    } else if (!check_pools(r, i)) {
      return false;
    }
  }
  return true;
}

/* Two things that claim the same addresses, or the same entries, would be counted
 * twice. `what` is the element to blank: the second claimant. */
struct claim {
  uint64_t start, end;
  void *what;
  size_t what_bytes;
};

static int by_start(const void *a, const void *b) {
  const struct claim *x = a, *y = b;
  if (x->start != y->start) return x->start < y->start ? -1 : 1;
  return (x->what > y->what) - (x->what < y->what);
}

static bool check_claims(struct recording *r, struct claim *claims, size_t n,
                         const char *what) {
  qsort(claims, n, sizeof *claims, by_start);
  for (size_t i = 1, last = 0; i < n; i++) {
    if (claims[i].start >= claims[last].end) {
      last = i;
      continue;
    }
    if (!part_damaged(r, "two %s at %" PRIx64 " overlap", what, claims[i].start))
      return false;
    memset(claims[i].what, 0, claims[i].what_bytes);
    if (claims[i].end > claims[last].end) claims[last].end = claims[i].end;
  }
  return true;
}

static size_t claim_addresses(struct recording *r, struct claim *claims) {
  size_t n = 0;
  for (uint64_t i = 0; i < r->tables[UL_ARENAS].count; i++) {
    struct ul_arena *a = part_at(r, UL_ARENAS, i);
    if (a->base)
      claims[n++] = (struct claim){a->base, a->base + UL_ARENA_BYTES, a, sizeof *a};
  }
  for (uint64_t i = 0; i < r->tables[UL_LARGES].count; i++) {
    struct ul_large *l = part_at(r, UL_LARGES, i);
    if (l->base)
      claims[n++] = (struct claim){l->base, l->base + l->mapped_bytes, l, sizeof *l};
  }
  return n;
}

static size_t claim_entries(struct recording *r, struct claim *claims) {
  size_t n = 0;
  for (uint64_t i = 0; i < r->tables[UL_ARENAS].count; i++) {
    struct ul_arena *a = part_at(r, UL_ARENAS, i);
    for (unsigned u = 0; a->base && u < UL_UNITS; u++) {
      struct ul_pool *p = &a->pools[u];
      if (p->units == 0) continue;
      uint64_t end = p->entry + recording_pool_blocks(r, p) + (p->class == UL_SPAN);
      claims[n++] = (struct claim){p->entry, end, p, sizeof *p};
    }
  }
  return n;
}

static bool check_overlaps(struct recording *r) {
  uint64_t most = r->tables[UL_ARENAS].count * UL_UNITS + r->tables[UL_LARGES].count + 1;
  struct claim *claims = malloc(most * sizeof *claims);
  if (!claims) return part_fail(r, "too large for the memory of this machine");
  bool good =
      check_claims(r, claims, claim_addresses(r, claims), "arenas or large blocks") &&
      check_claims(r, claims, claim_entries(r, claims), "pools' entries");
  free(claims);
  return good;
}

bool part_check(struct recording *r) {
  return check_header_texts(r) && check_modules(r) && check_codes(r) && check_nodes(r) &&
         check_sites(r) && check_chunks(r) && check_carries(r) && check_snapshots(r) &&
         check_leaks(r) && check_drags(r) && check_fills(r) && check_misuses(r) &&
         check_mappings(r) && check_arenas(r) && check_larges(r) && check_overlaps(r);
}
