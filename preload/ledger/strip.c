/* strip.c - the ledger's places, which follow the heap: it watches (heap/watch.h) where
 * there are arenas, pools and large blocks, and keeps their descriptions in the
 * recording.
 *
 * Under the arena lock, whatever is done here. After its stop the recording shows the
 * heap of that moment: nothing is written any more. What finds no room has no record, and
 * its blocks no entries. */
#include "ledger/strip.h"

#include "heap/watch.h"
#include "ledger/book.h"
#include "recording/recording.h"
#include "recording/table.h"
#include "stack/walk.h"

#include <string.h>

/* ---- strips: the entries of a pool --------------------------------------------- */

/* A strip is whole cache lines, so that owners do not share one. A free strip is all zero
 * but for its first word, which links to the next of as many lines (index + 1); the
 * reader sees it in no pool. */
enum { LINE_WORDS = 8, STRIP_MOST = UL_UNIT_BYTES / 16 / LINE_WORDS };
static uint32_t free_strips[STRIP_MOST + 1]; /* [lines]: index + 1 in UL_ENTRIES */

static unsigned strip_lines(uint32_t capacity) {
  uint32_t words = capacity > 1 ? capacity : 2; /* a span has its requested size, too */
  return (words + LINE_WORDS - 1) / LINE_WORDS;
}

static uint64_t *take(uint32_t capacity, uint32_t *entry) {
  if (!recording || recording_stopped()) return NULL;
  unsigned lines = strip_lines(capacity);
  uint32_t index = free_strips[lines];
  if (index) {
    uint64_t *words = table_at(UL_ENTRIES, --index);
    free_strips[lines] = (uint32_t)words[0];
    words[0] = 0;
  } else {
    index = table_append(UL_ENTRIES, lines * LINE_WORDS);
    if (index == TABLE_NONE) return NULL;
  }
  *entry = index;
  return table_at(UL_ENTRIES, index);
}

static void give(uint64_t *entries, uint32_t entry, uint32_t capacity) {
  if (!entries || !recording || recording_stopped()) return;
  unsigned lines = strip_lines(capacity);
  memset(entries, 0, lines * LINE_WORDS * sizeof *entries);
  entries[0] = free_strips[lines];
  free_strips[lines] = entry + 1;
}

static bool recorded(const void *record) {
  return record && !recording_stopped();
}

/* ---- arenas and pools ---------------------------------------------------------- */

static struct ul_pool *record_of(struct arena *a, const struct pool *p) {
  return recorded(a->record) ? &a->record->pools[p - a->pools] : NULL;
}

/* Records whose arena has gone (base 0) wait for the next one; the first word of
 * `resident` leads to the next of them (index + 1). */
static uint32_t free_records; /* index + 1 in UL_ARENAS */

static struct ul_arena *record_take(uint32_t *index) {
  *index = free_records;
  if (!*index) {
    *index = table_append(UL_ARENAS, 1);
    return *index == TABLE_NONE ? NULL : table_at(UL_ARENAS, *index);
  }
  struct ul_arena *r = table_at(UL_ARENAS, --*index);
  free_records = (uint32_t)r->resident[0];
  r->resident[0] = 0;
  return r;
}

static void arena_in(struct arena *a) {
  a->record = recording && !recording_stopped() ? record_take(&a->record_index) : NULL;
  if (a->record) a->record->base = (uint64_t)(uintptr_t)a->base;
}

static void arena_out(struct arena *a) {
  if (!recorded(a->record)) return;
  a->record->base = 0;
  a->record->resident[0] = free_records;
  free_records = a->record_index + 1;
}

static uint16_t span_pages(const struct pool *p) {
  return p->class == UL_SPAN ? (uint16_t)(p->size / UL_PAGE_BYTES) : 0;
}

static void pool_opened(struct arena *a, struct pool *p) {
  struct ul_pool *r = record_of(a, p);
  if (!r) return;
  uint32_t *entry = &a->entry_at[p - a->pools];
  p->entries = take(p->capacity, entry);
  if (p->entries) *r = (struct ul_pool){*entry, p->class, p->units, span_pages(p)};
}

static void pool_closed(struct arena *a, struct pool *p) {
  struct ul_pool *r = record_of(a, p);
  if (r) r->units = 0;
  give(p->entries, a->entry_at[p - a->pools], p->capacity);
}

static void span_resized(struct arena *a, struct pool *p) {
  struct ul_pool *r = record_of(a, p);
  if (!r || !p->entries) return;
  r->units = p->units;
  r->pages = span_pages(p);
}

/* ---- large blocks -------------------------------------------------------------- */

static void large_in(struct large *l) {
  if (!l->record && recording && !recording_stopped()) {
    uint32_t i = table_append(UL_LARGES, 1);
    if (i != TABLE_NONE) l->record = table_at(UL_LARGES, i);
    l->record_index = i;
  }
  l->requested = 0;
  if (!recorded(l->record)) return;
  l->record->entry = 0;
  l->record->mapped_bytes = l->mapped;
  l->record->requested_bytes = 0;
  __atomic_store_n(&l->record->base, (uint64_t)(uintptr_t)l->base, __ATOMIC_RELEASE);
}

static void large_out(struct large *l) {
  if (recorded(l->record)) l->record->base = 0;
}

static void large_resized(struct large *l) {
  if (!recorded(l->record)) return;
  l->record->mapped_bytes = l->mapped;
  __atomic_store_n(&l->record->base, (uint64_t)(uintptr_t)l->base, __ATOMIC_RELEASE);
}

/* ---- heaps --------------------------------------------------------------------- */

static void heap_owner(struct heap *h, int tid, bool made) {
  struct book *b = book_of(h);
  if (made) {
    b->index = recording_heap_new(tid);
    b->ceiling = INT64_MIN; /* look at once, whatever comes first */
    b->floor = INT64_MAX;
    return;
  }
  recording_heap_owner(b->index, tid);
  memset(b->recent, 0, sizeof b->recent);
  walk_forget_all(&b->walks); /* of another thread's stacks */
}

static void heap_quarantined(struct heap *h) {
  recording_heap_quarantined(book_of(h)->index);
  fallback(UL_FB_QUARANTINED);
}

void strip_watch(void) {
  static const struct heap_watch watch = {
      .heap_bytes = sizeof(struct book),
      .arena_in = arena_in,
      .arena_out = arena_out,
      .pool_opened = pool_opened,
      .pool_closed = pool_closed,
      .span_resized = span_resized,
      .large_in = large_in,
      .large_out = large_out,
      .large_resized = large_resized,
      .heap_owner = heap_owner,
      .heap_quarantined = heap_quarantined,
  };
  heap_watch = &watch;
}

void strip_unwatch(void) {
  heap_watch = NULL;
}
