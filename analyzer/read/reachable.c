#include "read/reachable.h"

#include "read/blocks.h"
#include "read/parts.h"

#include <stdlib.h>
#include <string.h>

struct adding {
  const struct recording *r;
  uint32_t *row_of; /* by site: its row + 1 */
  struct ul_leak *rows;
  uint32_t count;
};

static struct ul_leak *row_of(struct adding *a, uint32_t site) {
  if (!a->row_of[site]) {
    a->rows[a->count] = (struct ul_leak){
        .site = site, .verdict = UL_REACHABLE, .oldest_birth = UINT32_MAX};
    a->row_of[site] = ++a->count;
  }
  return &a->rows[a->row_of[site] - 1];
}

/* As the scan does it for the other verdicts. */
static void add_block(const struct live_block *b, void *context) {
  struct adding *a = context;
  uint32_t site = ul_entry_site(b->entry), birth = ul_entry_birth(b->entry);
  if (blocks_verdict(a->r, b) != UL_REACHABLE || recording_site_is_own(site) ||
      recording_site_is_inherited(a->r, site))
    return;
  struct ul_leak *row =
      row_of(a, site < a->r->tables[UL_SITES].count ? site : UL_SITE_NO_STACK);
  row->blocks++;
  row->bytes += b->requested;
  if (birth < row->oldest_birth) {
    row->oldest_birth = birth;
    row->example = b->address;
  }
  if (birth > row->newest_birth) row->newest_birth = birth;
}

static bool append(struct recording *r, const struct ul_leak *rows, size_t count) {
  struct table *leaks = &r->tables[UL_LEAKS];
  struct ul_leak *all = realloc(leaks->data, (leaks->count + count) * sizeof *all);
  if (!all) return false;
  memcpy(all + leaks->count, rows, count * sizeof *all);
  leaks->data = (char *)all;
  leaks->count += count;
  return true;
}

bool reachable_add(struct recording *r) {
  const uint64_t lacks = UL_FEATURE_LEAKS_ONLY | UL_FEATURE_VERDICTS;
  if ((r->header.features & lacks) != lacks) return true;
  size_t sites = r->tables[UL_SITES].count + UL_SITE_RESERVED;
  struct adding a = {.r = r,
                     .row_of = calloc(sites, sizeof *a.row_of),
                     .rows = malloc(sites * sizeof *a.rows)};
  bool done = a.row_of && a.rows;
  if (done) blocks_each(r, add_block, &a);
  if (a.count) done = append(r, a.rows, a.count);
  free(a.row_of);
  free(a.rows);
  return done;
}
