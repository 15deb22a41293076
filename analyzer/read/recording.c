/* recording.c - reading and checking a recording (recording.h has the promise).
 *
 * Theory. The file grows while we read it, and the writer publishes in the order
 * "thing, then reference to it". So we read in the opposite order: each table after
 * all tables that refer to it, each time with a fresh copy of the directory:
 *
 *   snapshots -> rows ---------\
 *   leaks, chunks, larges ------+-> sites -> nodes -> modules -> text
 *   arenas -> entries ---------/            mappings, header --> text
 *   chunks -> counters, heaps
 *
 * Every reference then points into what we have, unless the writer was between two
 * stores, which can leave a single element half-done: see damaged().
 *
 * Memory is bounded by the size of the file: segments may not overlap. */
#include "read/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define POOL_UNITS_MAX 32u
#define CLASS_BYTES_MIN 16u
#define BIRTH_MAX 0xffffffu
#define TRIES 10 /* to see a consistent directory, snapshot */

struct table {
  char *data;
  uint64_t count;
};

struct recording {
  struct ul_header header;
  struct table tables[UL_TABLES];
  char *path;
  int fd;             /* -1: everything is in `memory` */
  const char *memory; /* the whole file, when it could not be read at offsets */
  uint64_t file_bytes;
  uint64_t unsettled;
  uint64_t duration_ms; /* of a running process: to the opening */
  bool alive;           /* the process still runs */
  bool settled;         /* written to its end: an inconsistency is damage */
  char *error;
  size_t error_bytes;
};

static const struct {
  const char *name;
  uint32_t element_bytes;
} layout[UL_TABLES] = {
    [UL_TEXT] = {"text", 1},
    [UL_MODULES] = {"modules", sizeof(struct ul_module)},
    [UL_NODES] = {"nodes", sizeof(struct ul_node)},
    [UL_SITES] = {"sites", sizeof(struct ul_site)},
    [UL_CHUNKS] = {"chunks", sizeof(struct ul_chunk)},
    [UL_COUNTERS] = {"counters", sizeof(struct ul_counter)},
    [UL_ARENAS] = {"arenas", sizeof(struct ul_arena)},
    [UL_ENTRIES] = {"entries", sizeof(uint64_t)},
    [UL_LARGES] = {"larges", sizeof(struct ul_large)},
    [UL_SNAPSHOTS] = {"snapshots", sizeof(struct ul_snapshot)},
    [UL_ROWS] = {"rows", sizeof(struct ul_row)},
    [UL_HEAPS] = {"heaps", sizeof(struct ul_heap_record)},
    [UL_LEAKS] = {"leaks", sizeof(struct ul_leak)},
    [UL_MAPPINGS] = {"mappings", sizeof(struct ul_mapping)},
};

/* Referring tables before the tables they refer to. */
static const enum ul_table reading_order[UL_TABLES] = {
    UL_SNAPSHOTS, UL_ROWS,    UL_LEAKS, UL_CHUNKS, UL_COUNTERS, UL_HEAPS,    UL_ARENAS,
    UL_LARGES,    UL_ENTRIES, UL_SITES, UL_NODES,  UL_MODULES,  UL_MAPPINGS, UL_TEXT};

/* ---- errors -------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static bool fail(struct recording *r,
                                                       const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(r->error, r->error_bytes, format, list);
  va_end(list);
  return false;
}

/* How many elements may be half-done. Of a running or killed process any; of one that
 * came to its end by itself, those that its other threads were at, two each: the
 * thread that ends the process is not in the middle of anything. */
static uint64_t unsettled_limit(const struct recording *r) {
  uint64_t heaps = r->tables[UL_HEAPS].count;
  if (!r->settled) return UINT64_MAX;
  return heaps ? 2 * (heaps - 1) : 0;
}

/* An element that breaks the rules. If a writer may have been in the middle of it: count
 * it, true, and the caller blanks the element. Else it is damage: false, and the error
 * is set. */
__attribute__((format(printf, 2, 3))) static bool damaged(struct recording *r,
                                                          const char *format, ...) {
  if (r->unsettled < unsettled_limit(r)) {
    r->unsettled++;
    return true;
  }
  char what[256];
  va_list list;
  va_start(list, format);
  vsnprintf(what, sizeof what, format, list);
  va_end(list);
  return fail(r, "damaged recording: %s; copy or record it again", what);
}

/* ---- bytes --------------------------------------------------------------------- */

/* Read `bytes` at `offset`; false when the file ends before (no message). */
static bool bytes_at(struct recording *r, uint64_t offset, void *to, uint64_t bytes) {
  if (r->fd < 0) {
    if (offset > r->file_bytes || bytes > r->file_bytes - offset) return false;
    memcpy(to, r->memory + offset, bytes);
    return true;
  }
  while (bytes) {
    size_t step = bytes < 1u << 30 ? bytes : 1u << 30;
    ssize_t n = pread(r->fd, to, step, (off_t)offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to = (char *)to + n;
    offset += (uint64_t)n;
    bytes -= (uint64_t)n;
  }
  return true;
}

static void measure(struct recording *r) {
  struct stat s;
  if (r->fd >= 0 && fstat(r->fd, &s) == 0) r->file_bytes = (uint64_t)s.st_size;
}

static bool truncated(struct recording *r, uint64_t wanted, const char *what) {
  return fail(r,
              "truncated recording: the file ends at %" PRIu64
              " bytes, but %s reach to %" PRIu64 " (%" PRIu64 " missing); copy it again",
              r->file_bytes, what, wanted, wanted - r->file_bytes);
}

/* ---- header and directory ------------------------------------------------------ */

static bool check_magic(struct recording *r) {
  char start[8] = "";
  size_t have = r->file_bytes < sizeof start ? r->file_bytes : sizeof start;
  if (have == 0)
    return fail(r, "the file is empty: nothing was recorded in it (was the program ended "
                   "before it started, or the disk full?)");
  if (!bytes_at(r, 0, start, have)) return fail(r, "cannot be read: %s", strerror(errno));
  if (memcmp(start, UL_MAGIC, have) == 0)
    return have == sizeof start || truncated(r, UL_HEADER_BYTES, "the header would");
  if (memcmp(start, UL_MAGIC, 4) == 0)
    return fail(r, "a ullage recording damaged by a transfer in text mode; copy it again "
                   "in binary mode");
  if (memcmp(start, "\x28\xb5\x2f\xfd", 4) == 0)
    return fail(r, "compressed with zstd; decompress it first (zstd -d)");
  if (memcmp(start, "\x1f\x8b", 2) == 0)
    return fail(r, "compressed with gzip; decompress it first (gzip -d)");
  return fail(r, "not a ullage recording (make one with: ullage run -- PROGRAM)");
}

static bool check_geometry(struct recording *r) {
  const struct ul_header *h = &r->header;
  if (h->byte_order != UL_BYTE_ORDER)
    return fail(r, "made on a machine with another byte order (mark %08" PRIx32 ")",
                h->byte_order);
  if (h->version > UL_VERSION)
    return fail(r,
                "made by a newer ullage (format %" PRIu32 ", this one reads up to %u); "
                "use that version",
                h->version, UL_VERSION);
  if (h->version == 0 || h->header_bytes != UL_HEADER_BYTES)
    return fail(r,
                "damaged recording: format %" PRIu32 " with a header of %" PRIu32
                " bytes does not exist; copy or record it again",
                h->version, h->header_bytes);
  if (h->page_bytes != UL_PAGE_BYTES || h->arena_bytes != UL_ARENA_BYTES ||
      h->unit_bytes != UL_UNIT_BYTES || h->classes == 0 || h->classes > 64)
    return fail(r,
                "damaged recording: impossible heap geometry (pages of %" PRIu32
                ", arenas of %" PRIu32 ", units of %" PRIu32 ", %" PRIu32
                " classes); copy or record it again",
                h->page_bytes, h->arena_bytes, h->unit_bytes, h->classes);
  for (uint32_t c = 1; c < h->classes; c++)
    if (h->class_bytes[c] < CLASS_BYTES_MIN ||
        h->class_bytes[c] > POOL_UNITS_MAX * UL_UNIT_BYTES)
      return fail(r,
                  "damaged recording: size class %" PRIu32 " has blocks of %" PRIu32
                  " bytes; copy or record it again",
                  c, h->class_bytes[c]);
  return true;
}

static bool check_tables(struct recording *r) {
  uint64_t capacity[32] = {0};
  for (uint32_t i = 0; i < r->header.segment_count; i++)
    capacity[r->header.segments[i].table] += r->header.segments[i].bytes;
  for (int t = 0; t < UL_TABLES; t++) {
    const struct ul_table_head *head = &r->header.table[t];
    if (head->count == 0) continue;
    if (head->element_bytes != layout[t].element_bytes)
      return fail(r,
                  "damaged recording: elements of table %s have %" PRIu32
                  " bytes instead of %" PRIu32 "; copy or record it again",
                  layout[t].name, head->element_bytes, layout[t].element_bytes);
    if (head->count > capacity[t] / head->element_bytes)
      return fail(r,
                  "damaged recording: table %s has %" PRIu64
                  " elements in segments for %" PRIu64 "; copy or record it again",
                  layout[t].name, head->count, capacity[t] / head->element_bytes);
  }
  return true;
}

static int by_offset(const void *a, const void *b) {
  uint64_t x = ((const struct ul_segment *)a)->file_offset;
  uint64_t y = ((const struct ul_segment *)b)->file_offset;
  return (x > y) - (x < y);
}

static bool check_segments(struct recording *r) {
  uint32_t n = r->header.segment_count;
  if (n > UL_SEGMENTS)
    return fail(r,
                "damaged recording: %" PRIu32 " segments, there may be %u; copy or "
                "record it again",
                n, UL_SEGMENTS);
  struct ul_segment sorted[UL_SEGMENTS];
  memcpy(sorted, r->header.segments, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, by_offset);
  uint64_t end = UL_HEADER_BYTES;
  for (uint32_t i = 0; i < n; i++) {
    const struct ul_segment *s = &sorted[i];
    if (s->file_offset % UL_PAGE_BYTES || s->bytes % UL_PAGE_BYTES || s->bytes == 0 ||
        s->table >= 32 || s->file_offset < end || s->file_offset > INT64_MAX ||
        s->bytes > INT64_MAX - s->file_offset)
      return fail(r,
                  "damaged recording: segment at offset %" PRIu64 ", %" PRIu64
                  " bytes for table %" PRIu32 ", is impossible or overlaps another; copy "
                  "or record it again",
                  s->file_offset, s->bytes, s->table);
    end = s->file_offset + s->bytes;
  }
  if (end > r->file_bytes) return truncated(r, end, "its segments");
  return true;
}

/* Also after tables were read: the file may have grown, which is why. */
static bool read_directory(struct recording *r) {
  for (int try = 1;; try++) {
    bool read = bytes_at(r, 0, &r->header, sizeof r->header);
    measure(r);
    if (r->file_bytes < UL_HEADER_BYTES || !read)
      return truncated(r, UL_HEADER_BYTES, "the header would");
    if (check_geometry(r) && check_segments(r) && check_tables(r)) return true;
    if (r->fd < 0 || r->header.state != UL_STATE_RUNNING || try == TRIES) return false;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
}

/* ---- tables -------------------------------------------------------------------- */

static bool copy_table(struct recording *r, enum ul_table t) {
  struct table *table = &r->tables[t];
  table->count = r->header.table[t].count;
  uint64_t left = table->count * layout[t].element_bytes, done = 0;
  free(table->data);
  table->data = malloc(left + 1); /* one more: the NUL of the last text */
  if (!table->data)
    return fail(
        r, "too large for the memory of this machine: table %s has %" PRIu64 " bytes",
        layout[t].name, left);
  table->data[left] = 0;
  for (uint32_t i = 0; left; i++) {
    const struct ul_segment *s = &r->header.segments[i];
    if (s->table != t) continue;
    uint64_t step = s->bytes < left ? s->bytes : left;
    if (!bytes_at(r, s->file_offset, table->data + done, step))
      return fail(r,
                  "truncated recording: table %s cannot be read at offset %" PRIu64
                  "; copy it again",
                  layout[t].name, s->file_offset);
    done += step;
    left -= step;
  }
  return true;
}

/* A slot that was rewritten while its rows were read does not count. */
static bool read_snapshots(struct recording *r) {
  for (int try = 1;; try++) {
    if (!copy_table(r, UL_SNAPSHOTS) || !read_directory(r) || !copy_table(r, UL_ROWS))
      return false;
    struct table before = r->tables[UL_SNAPSHOTS];
    r->tables[UL_SNAPSHOTS] = (struct table){0};
    bool read = copy_table(r, UL_SNAPSHOTS);
    struct ul_snapshot *now = (struct ul_snapshot *)r->tables[UL_SNAPSHOTS].data;
    const struct ul_snapshot *then = (const struct ul_snapshot *)before.data;
    uint64_t torn = 0;
    for (uint64_t i = 0; read && i < r->tables[UL_SNAPSHOTS].count; i++)
      if (now[i].sequence % 2 ||
          (i < before.count && now[i].sequence != then[i].sequence)) {
        now[i].kind = UL_SNAPSHOT_FREE;
        torn++;
      }
    free(before.data);
    if (!read) return false;
    if (!torn || !r->alive || try == TRIES) {
      r->unsettled += torn;
      return true;
    }
  }
}

static bool read_tables(struct recording *r) {
  if (!read_snapshots(r)) return false;
  for (int i = 0; i < UL_TABLES; i++) {
    if (reading_order[i] == UL_SNAPSHOTS || reading_order[i] == UL_ROWS) continue;
    if (r->alive && !read_directory(r)) return false;
    if (!copy_table(r, reading_order[i])) return false;
  }
  return true;
}

/* ---- checks of elements -------------------------------------------------------- */

static void *at(const struct recording *r, enum ul_table t, uint64_t i) {
  return r->tables[t].data + i * layout[t].element_bytes;
}

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
      if (!damaged(r, "the header's text %zu is outside the table", i)) return false;
      *texts[i] = 0;
    }
  uint64_t offset = h->command;
  for (uint32_t i = 0; i < h->command_count; i++) {
    if (offset >= r->tables[UL_TEXT].count) {
      if (!damaged(r, "argument %" PRIu32 " is outside the table text", i)) return false;
      h->command_count = i;
      break;
    }
    offset += strlen(r->tables[UL_TEXT].data + offset) + 1;
  }
  if (h->peak_slot != UINT32_MAX && h->peak_slot >= r->tables[UL_SNAPSHOTS].count) {
    if (!damaged(r, "the peak is in snapshot %" PRIu32, h->peak_slot)) return false;
    h->peak_slot = UINT32_MAX;
  }
  return true;
}

static bool check_modules(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_MODULES].count; i++) {
    struct ul_module *m = at(r, UL_MODULES, i);
    if (m->end >= m->start && text_exists(r, m->name) &&
        m->build_id_bytes <= sizeof m->build_id)
      continue;
    if (!damaged(r, "module %" PRIu64 " has an impossible extent, name or build id", i))
      return false;
    memset(m, 0, sizeof *m);
  }
  return true;
}

/* Damage in the trie is never a moment of the writer: a node is complete before
 * anything leads to it, and zeros are valid. */
static bool check_nodes(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_NODES].count; i++) {
    struct ul_node *n = at(r, UL_NODES, i);
    if (i >= UL_NODE_RESERVED && n->parent >= i)
      return fail(r,
                  "damaged recording: node %" PRIu64 " has the later node %" PRIu32
                  " as parent; copy or record it again",
                  i, n->parent);
    if (n->module == UL_NO_MODULE || n->module < r->tables[UL_MODULES].count) continue;
    if (i >= UL_NODE_RESERVED && (n->address || n->module) &&
        !damaged(r, "node %" PRIu64 " is in module %u of %" PRIu64, i,
                 (unsigned)n->module, r->tables[UL_MODULES].count))
      return false;
    n->module = UL_NO_MODULE;
  }
  return true;
}

static bool check_sites(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_SITES].count; i++) {
    struct ul_site *s = at(r, UL_SITES, i);
    if (s->node == 0 || s->node < r->tables[UL_NODES].count) continue;
    if (!damaged(r, "site %" PRIu64 " is node %" PRIu32 " of %" PRIu64, i, s->node,
                 r->tables[UL_NODES].count))
      return false;
    s->node = 0;
  }
  return true;
}

static bool check_chunks(struct recording *r) {
  uint64_t counted = r->tables[UL_COUNTERS].count / UL_CHUNK_SITES;
  if (r->tables[UL_CHUNKS].count > counted) {
    if (!damaged(r, "%" PRIu64 " chunks, but counters for %" PRIu64,
                 r->tables[UL_CHUNKS].count, counted))
      return false;
    r->tables[UL_CHUNKS].count = counted;
  }
  for (uint64_t i = 0; i < r->tables[UL_CHUNKS].count; i++) {
    struct ul_chunk *c = at(r, UL_CHUNKS, i);
    if (c->heap < r->tables[UL_HEAPS].count && site_exists(r, c->first_site)) continue;
    if (!damaged(r, "chunk %" PRIu64 " counts for heap %" PRIu32 ", site %" PRIu32, i,
                 c->heap, c->first_site))
      return false;
    memset(at(r, UL_COUNTERS, i * UL_CHUNK_SITES), 0,
           UL_CHUNK_SITES * sizeof(struct ul_counter));
    *c = (struct ul_chunk){0};
  }
  return true;
}

static bool check_snapshots(struct recording *r) {
  uint64_t rows = r->tables[UL_ROWS].count;
  if (r->tables[UL_SNAPSHOTS].count > UL_SNAPSHOT_SLOTS)
    return fail(r,
                "damaged recording: %" PRIu64 " snapshots, there may be %u; copy or "
                "record it again",
                r->tables[UL_SNAPSHOTS].count, UL_SNAPSHOT_SLOTS);
  for (uint64_t i = 0; i < r->tables[UL_SNAPSHOTS].count; i++) {
    struct ul_snapshot *s = at(r, UL_SNAPSHOTS, i);
    if (s->kind == UL_SNAPSHOT_FREE) continue;
    bool good =
        s->kind <= UL_SNAPSHOT_FINAL && s->row <= rows && s->rows <= rows - s->row;
    for (uint64_t k = 0; good && k < s->rows; k++)
      good = site_exists(r, ((struct ul_row *)at(r, UL_ROWS, s->row + k))->site);
    if (good) continue;
    if (!damaged(r,
                 "snapshot %" PRIu64 " (kind %" PRIu32 ", %" PRIu32 " rows from %" PRIu64
                 ") has rows that do not exist or name no site",
                 i, s->kind, s->rows, s->row))
      return false;
    s->kind = UL_SNAPSHOT_FREE;
  }
  return true;
}

static bool check_leaks(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_LEAKS].count; i++) {
    struct ul_leak *l = at(r, UL_LEAKS, i);
    if (site_exists(r, l->site) && l->verdict < UL_VERDICTS &&
        l->oldest_birth <= BIRTH_MAX && l->newest_birth <= BIRTH_MAX)
      continue;
    if (!damaged(r, "leak %" PRIu64 " has verdict %" PRIu32 ", site %" PRIu32, i,
                 l->verdict, l->site))
      return false;
    memset(l, 0, sizeof *l);
  }
  return true;
}

static bool check_mappings(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_MAPPINGS].count; i++) {
    struct ul_mapping *m = at(r, UL_MAPPINGS, i);
    if (m->start <= m->end && m->rss <= m->end - m->start && m->heap_rss <= m->rss &&
        m->tool_rss <= m->rss && m->kind <= UL_MAP_RECORDING && text_exists(r, m->name))
      continue;
    if (!damaged(r, "mapping %" PRIu64 " at %" PRIx64 " is impossible", i, m->start))
      return false;
    memset(m, 0, sizeof *m);
  }
  return true;
}

/* ---- checks of the ledger ------------------------------------------------------ */

static bool entry_possible(const struct recording *r, uint64_t e, uint64_t usable) {
  uint32_t site = ul_entry_site(e);
  return site != UL_SITE_NONE && site_exists(r, site) &&
         ul_entry_family(e) <= UL_FAMILY_ALIGNED && ul_entry_slack(e) <= usable;
}

static bool check_entries(struct recording *r, uint64_t arena, unsigned unit,
                          const struct ul_pool *p) {
  uint64_t *e = at(r, UL_ENTRIES, p->entry);
  uint64_t usable = recording_block_bytes(r, p), blocks = recording_pool_blocks(r, p);
  for (uint64_t i = 0; i < blocks; i++) {
    if (e[i] == 0) continue;
    bool good = entry_possible(r, e[i], usable);
    if (p->class == UL_SPAN) good = good && e[1] <= usable;
    if (good) continue;
    if (!damaged(r,
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
  struct ul_arena *a = at(r, UL_ARENAS, i);
  for (unsigned unit = 0, end = 0; unit < UL_UNITS; unit++) {
    struct ul_pool *p = &a->pools[unit];
    if (p->units == 0) continue;
    bool good = unit >= end && pool_possible(r, p, unit);
    if (!good && !damaged(r,
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
         (l->entry == 0 || entry_possible(r, l->entry, UL_SLACK_MAX));
}

static bool check_larges(struct recording *r) {
  for (uint64_t i = 0; i < r->tables[UL_LARGES].count; i++) {
    struct ul_large *l = at(r, UL_LARGES, i);
    if (l->base == 0 || large_possible(r, l)) continue;
    if (!damaged(r,
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
    struct ul_arena *a = at(r, UL_ARENAS, i);
    if (a->base == 0) continue;
    if (a->base % UL_ARENA_BYTES || a->base > UINT64_MAX - UL_ARENA_BYTES) {
      if (!damaged(r, "arena %" PRIu64 " is at %" PRIx64, i, a->base)) return false;
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
    if (!damaged(r, "two %s at %" PRIx64 " overlap", what, claims[i].start)) return false;
    memset(claims[i].what, 0, claims[i].what_bytes);
    if (claims[i].end > claims[last].end) claims[last].end = claims[i].end;
  }
  return true;
}

static size_t claim_addresses(struct recording *r, struct claim *claims) {
  size_t n = 0;
  for (uint64_t i = 0; i < r->tables[UL_ARENAS].count; i++) {
    struct ul_arena *a = at(r, UL_ARENAS, i);
    if (a->base)
      claims[n++] = (struct claim){a->base, a->base + UL_ARENA_BYTES, a, sizeof *a};
  }
  for (uint64_t i = 0; i < r->tables[UL_LARGES].count; i++) {
    struct ul_large *l = at(r, UL_LARGES, i);
    if (l->base)
      claims[n++] = (struct claim){l->base, l->base + l->mapped_bytes, l, sizeof *l};
  }
  return n;
}

static size_t claim_entries(struct recording *r, struct claim *claims) {
  size_t n = 0;
  for (uint64_t i = 0; i < r->tables[UL_ARENAS].count; i++) {
    struct ul_arena *a = at(r, UL_ARENAS, i);
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
  if (!claims) return fail(r, "too large for the memory of this machine");
  bool good =
      check_claims(r, claims, claim_addresses(r, claims), "arenas or large blocks") &&
      check_claims(r, claims, claim_entries(r, claims), "pools' entries");
  free(claims);
  return good;
}

static bool check_elements(struct recording *r) {
  return check_header_texts(r) && check_modules(r) && check_nodes(r) && check_sites(r) &&
         check_chunks(r) && check_snapshots(r) && check_leaks(r) && check_mappings(r) &&
         check_arenas(r) && check_larges(r) && check_overlaps(r);
}

/* ---- opening ------------------------------------------------------------------- */

/* Does the process still run: same pid and same start time (field 22 of its stat;
 * field 2, the name in parentheses, may hold anything). */
static bool process_runs(int32_t pid, uint64_t start) {
  char name[64], line[1024];
  snprintf(name, sizeof name, "/proc/%" PRId32 "/stat", pid);
  FILE *f = fopen(name, "re");
  if (!f) return false;
  size_t n = fread(line, 1, sizeof line - 1, f);
  fclose(f);
  line[n] = 0;
  const char *p = strrchr(line, ')');
  if (!p || p[1] == 0) return false;
  char state = p[2];
  for (int field = 2; field < 22 && p; field++)
    p = strchr(p + 1, ' ');
  return p && strtoull(p, NULL, 10) == start && state != 'Z' && state != 'X';
}

static bool slurp(struct recording *r) {
  size_t capacity = 1u << 20, n = 0;
  char *data = malloc(capacity);
  for (;;) {
    if (data && n == capacity) {
      char *more = realloc(data, capacity * 2);
      if (!more) free(data);
      data = more;
      capacity *= 2;
    }
    if (!data) return fail(r, "too large for the memory of this machine");
    ssize_t got = read(r->fd, data + n, capacity - n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      fail(r, "cannot be read: %s", strerror(errno));
      free(data);
      return false;
    }
    if (got == 0) break;
    n += (size_t)got;
  }
  close(r->fd);
  r->fd = -1;
  r->memory = data;
  r->file_bytes = n;
  return true;
}

static bool open_file(struct recording *r, const char *path) {
  if (strcmp(path, "-") == 0)
    r->fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
  else
    r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (r->fd < 0 && errno == ENOENT)
    return fail(r, "no such file (ullage run says where it puts the recording)");
  if (r->fd < 0) return fail(r, "cannot be opened: %s", strerror(errno));
  struct stat s;
  if (fstat(r->fd, &s) != 0) return fail(r, "cannot be opened: %s", strerror(errno));
  if (S_ISDIR(s.st_mode)) return fail(r, "is a directory, not a recording");
  r->file_bytes = (uint64_t)s.st_size;
  return S_ISREG(s.st_mode) || slurp(r);
}

static void forget_file(struct recording *r, bool own_memory) {
  if (r->fd >= 0) close(r->fd);
  if (own_memory) free((void *)r->memory);
  r->fd = -1;
  r->memory = NULL;
}

static void later(uint64_t *ms, uint64_t other) {
  if (other > *ms) *ms = other;
}

static uint64_t last_known_ms(const struct recording *r) {
  uint64_t ms = r->header.stop_ms;
  for (uint64_t i = 0; i < r->tables[UL_SNAPSHOTS].count; i++) {
    const struct ul_snapshot *s = at(r, UL_SNAPSHOTS, i);
    if (s->kind != UL_SNAPSHOT_FREE) later(&ms, s->ms);
  }
  for (uint64_t i = 0; i < r->tables[UL_SITES].count; i++)
    later(&ms, ((const struct ul_site *)at(r, UL_SITES, i))->first_ms);
  for (uint64_t i = 0; i < r->tables[UL_LARGES].count; i++)
    later(&ms, ul_birth_ms(ul_entry_birth(
                   ((const struct ul_large *)at(r, UL_LARGES, i))->entry)));
  for (uint64_t i = 0; i < r->tables[UL_ARENAS].count; i++) {
    const struct ul_arena *a = at(r, UL_ARENAS, i);
    for (unsigned u = 0; a->base && u < UL_UNITS; u++) {
      if (a->pools[u].units == 0) continue;
      uint64_t blocks = recording_pool_blocks(r, &a->pools[u]);
      for (uint64_t k = 0; k < blocks; k++)
        later(&ms,
              ul_birth_ms(ul_entry_birth(recording_entry(r, a->pools[u].entry + k))));
    }
  }
  return ms;
}

static void find_duration(struct recording *r) {
  struct timespec now;
  r->duration_ms = r->header.end_ms ? r->header.end_ms : last_known_ms(r);
  if (r->header.end_ms || !r->alive) return;
  clock_gettime(CLOCK_MONOTONIC, &now);
  uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  if (ns > r->header.start_mono_ns)
    later(&r->duration_ms, (ns - r->header.start_mono_ns) / 1000000);
}

static bool load(struct recording *r, bool look_for_process) {
  if (!check_magic(r) || !read_directory(r)) return false;
  if (look_for_process) r->alive = process_runs(r->header.pid, r->header.pid_start);
  r->settled = r->header.state != UL_STATE_RUNNING && !r->alive;
  if (!read_tables(r) || !check_elements(r)) return false;
  find_duration(r);
  return true;
}

static struct recording *create(const char *path, char *error, size_t error_bytes) {
  struct recording *r = calloc(1, sizeof *r);
  if (r) r->path = strdup(path);
  if (!r || !r->path) {
    snprintf(error, error_bytes, "out of memory");
    free(r);
    return NULL;
  }
  r->fd = -1;
  r->error = error;
  r->error_bytes = error_bytes;
  return r;
}

struct recording *recording_open(const char *path, char *error, size_t error_bytes) {
  struct recording *r = create(path, error, error_bytes);
  if (!r) return NULL;
  bool good = open_file(r, path) && load(r, true);
  forget_file(r, true);
  if (good) return r;
  recording_close(r);
  return NULL;
}

struct recording *recording_open_memory(const void *data, size_t bytes, bool alive,
                                        char *error, size_t error_bytes) {
  struct recording *r = create("-", error, error_bytes);
  if (!r) return NULL;
  r->memory = data;
  r->file_bytes = bytes;
  r->alive = alive;
  bool good = load(r, false);
  forget_file(r, false);
  if (good) return r;
  recording_close(r);
  return NULL;
}

void recording_close(struct recording *r) {
  if (!r) return;
  for (int t = 0; t < UL_TABLES; t++)
    free(r->tables[t].data);
  free(r->path);
  free(r);
}

bool recording_runs(const struct recording *r) {
  return r->alive && process_runs(r->header.pid, r->header.pid_start);
}

void recording_observe(struct recording *r, struct ul_mapping *mappings, uint64_t count,
                       uint64_t rss_bytes) {
  free(r->tables[UL_MAPPINGS].data);
  r->tables[UL_MAPPINGS] = (struct table){(char *)mappings, count};
  r->header.residency = UL_EVIDENCE_PAGEMAP;
  r->header.end_rss_bytes = rss_bytes;
}

/* ---- access -------------------------------------------------------------------- */

const char *recording_path(const struct recording *r) {
  return r->path;
}

const struct ul_header *recording_header(const struct recording *r) {
  return &r->header;
}

uint64_t recording_file_bytes(const struct recording *r) {
  return r->file_bytes;
}

uint64_t recording_unsettled(const struct recording *r) {
  return r->unsettled;
}

enum recording_end recording_end(const struct recording *r) {
  switch (r->header.state) {
  case UL_STATE_EXITED:
    return RECORDING_EXITED;
  case UL_STATE_SIGNALED:
    return RECORDING_SIGNALED;
  case UL_STATE_EXECED:
    return RECORDING_EXECED;
  case UL_STATE_ABORTED:
    return RECORDING_ABORTED;
  default:
    return r->alive ? RECORDING_RUNNING : RECORDING_KILLED;
  }
}

uint64_t recording_duration_ms(const struct recording *r) {
  return r->duration_ms;
}

uint64_t recording_count(const struct recording *r, enum ul_table table) {
  return r->tables[table].count;
}

const void *recording_at(const struct recording *r, enum ul_table table, uint64_t i) {
  return i < r->tables[table].count ? at(r, table, i) : NULL;
}

const struct ul_module *recording_module(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_MODULES, i);
}

const struct ul_node *recording_node(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_NODES, i);
}

const struct ul_site *recording_site(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_SITES, i);
}

const struct ul_arena *recording_arena(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_ARENAS, i);
}

const struct ul_large *recording_large(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_LARGES, i);
}

const struct ul_snapshot *recording_snapshot(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_SNAPSHOTS, i);
}

const struct ul_row *recording_row(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_ROWS, i);
}

const struct ul_leak *recording_leak(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_LEAKS, i);
}

const struct ul_mapping *recording_mapping(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_MAPPINGS, i);
}

uint64_t recording_entry(const struct recording *r, uint64_t i) {
  const uint64_t *e = recording_at(r, UL_ENTRIES, i);
  return e ? *e : 0;
}

const char *recording_text(const struct recording *r, uint32_t offset) {
  const char *text = recording_at(r, UL_TEXT, offset);
  return offset && text ? text : "";
}

const char *recording_argument(const struct recording *r, uint32_t i) {
  if (i >= r->header.command_count) return NULL;
  const char *text = at(r, UL_TEXT, r->header.command);
  while (i--)
    text += strlen(text) + 1;
  return text;
}

size_t recording_stack(const struct recording *r, uint32_t site,
                       const struct ul_node **nodes, size_t max, uint32_t *end) {
  const struct ul_site *s = recording_site(r, site);
  uint32_t i = s ? s->node : UL_NODE_ROOT;
  size_t n = 0;
  while (i >= UL_NODE_RESERVED) { /* parent < i: this ends */
    const struct ul_node *node = recording_node(r, i);
    if (nodes && n < max) nodes[n] = node;
    n++;
    i = node->parent;
  }
  if (end) *end = i;
  return n;
}

const char *recording_site_note(uint32_t site) {
  static const char *const notes[UL_SITE_RESERVED] = {
      [UL_SITE_NONE] = "(no site)",
      [UL_SITE_EARLY] = "(allocated before ullage was up)",
      [UL_SITE_NO_STACK] = "(no call stack could be had)",
      [UL_SITE_ULLAGE] = "(allocated on behalf of ullage)",
      [UL_SITE_OVERFLOW] = "(the table of call sites was full)"};
  return site < UL_SITE_RESERVED ? notes[site] : NULL;
}

uint64_t recording_block_bytes(const struct recording *r, const struct ul_pool *pool) {
  if (pool->class == UL_SPAN && pool->pages) return (uint64_t)pool->pages * UL_PAGE_BYTES;
  if (pool->class == UL_SPAN) return (uint64_t)pool->units * UL_UNIT_BYTES;
  return r->header.class_bytes[pool->class];
}

uint64_t recording_pool_blocks(const struct recording *r, const struct ul_pool *pool) {
  if (pool->class == UL_SPAN) return 1;
  return (uint64_t)pool->units * UL_UNIT_BYTES / r->header.class_bytes[pool->class];
}
