/* load.c - a recording comes into memory (recording.h has the promise).
 *
 * Theory. The file grows while we read it, and the writer publishes in the order
 * "thing, then reference to it". So we read in the opposite order: each table after
 * all tables that refer to it, each time with a fresh copy of the directory:
 *
 *   snapshots -> rows ---------\
 *   leaks, drags, fills, chunks, larges +-> sites -> nodes -> codes -> modules -> text
 *   verdicts, arenas -> entries /            mappings, header --> text
 *   chunks -> counters, heaps
 *
 * Every reference then points into what we have, unless the writer was between two
 * stores, which can leave a single element half-done: see part_damaged().
 *
 * Memory is bounded by the size of the file: segments may not overlap. */
#include "read/original.h"
#include "read/parts.h"

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

#define CLASS_BYTES_MIN 16u
#define TRIES 10 /* to see a consistent directory, snapshot */

const struct part_layout part_layout[UL_TABLES] = {
    [UL_TEXT] = {"text", 1},
    [UL_MODULES] = {"modules", sizeof(struct ul_module)},
    [UL_CODES] = {"codes", sizeof(uint64_t)},
    [UL_NODES] = {"nodes", sizeof(struct ul_node)},
    [UL_SITES] = {"sites", sizeof(struct ul_site)},
    [UL_CHUNKS] = {"chunks", sizeof(struct ul_chunk)},
    [UL_COUNTERS] = {"counters", sizeof(struct ul_counter)},
    [UL_CARRIES] = {"carries", sizeof(struct ul_carry)},
    [UL_ARENAS] = {"arenas", sizeof(struct ul_arena)},
    [UL_ENTRIES] = {"entries", sizeof(uint64_t)},
    [UL_LARGES] = {"larges", sizeof(struct ul_large)},
    [UL_SNAPSHOTS] = {"snapshots", sizeof(struct ul_snapshot)},
    [UL_ROWS] = {"rows", 1},
    [UL_HEAPS] = {"heaps", sizeof(struct ul_heap_record)},
    [UL_LEAKS] = {"leaks", sizeof(struct ul_leak)},
    [UL_MAPPINGS] = {"mappings", sizeof(struct ul_mapping)},
    [UL_VERDICT_WORDS] = {"verdict words", sizeof(uint64_t)},
    [UL_DRAGS] = {"drags", sizeof(struct ul_drag)},
    [UL_FILLS] = {"fills", sizeof(struct ul_fill)},
};

/* Referring tables before the tables they refer to. */
static const enum ul_table reading_order[UL_TABLES] = {
    UL_SNAPSHOTS, UL_ROWS,    UL_LEAKS,    UL_DRAGS, UL_FILLS,
    UL_CARRIES,   UL_CHUNKS,  UL_COUNTERS, UL_HEAPS, UL_VERDICT_WORDS,
    UL_ARENAS,    UL_LARGES,  UL_ENTRIES,  UL_SITES, UL_NODES,
    UL_CODES,     UL_MODULES, UL_MAPPINGS, UL_TEXT};

/* ---- errors -------------------------------------------------------------------- */

bool part_fail(struct recording *r, const char *format, ...) {
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

bool part_damaged(struct recording *r, const char *format, ...) {
  if (r->unsettled < unsettled_limit(r)) {
    r->unsettled++;
    return true;
  }
  char what[256];
  va_list list;
  va_start(list, format);
  vsnprintf(what, sizeof what, format, list);
  va_end(list);
  return part_fail(r, "damaged recording: %s; copy or record it again", what);
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
  return part_fail(r,
                   "truncated recording: the file ends at %" PRIu64
                   " bytes, but %s reach to %" PRIu64 " (%" PRIu64
                   " missing); copy it again",
                   r->file_bytes, what, wanted, wanted - r->file_bytes);
}

/* ---- header and directory ------------------------------------------------------ */

static bool check_magic(struct recording *r) {
  char start[8] = "";
  size_t have = r->file_bytes < sizeof start ? r->file_bytes : sizeof start;
  if (have == 0)
    return part_fail(
        r, "the file is empty: nothing was recorded in it (was the program ended "
           "before it started, or the disk full?)");
  if (!bytes_at(r, 0, start, have))
    return part_fail(r, "cannot be read: %s", strerror(errno));
  if (memcmp(start, UL_MAGIC, have) == 0)
    return have == sizeof start || truncated(r, UL_HEADER_BYTES, "the header would");
  if (memcmp(start, UL_MAGIC, 4) == 0)
    return part_fail(
        r, "a ullage recording damaged by a transfer in text mode; copy it again "
           "in binary mode");
  if (memcmp(start, "\x28\xb5\x2f\xfd", 4) == 0)
    return part_fail(r, "compressed with zstd; decompress it first (zstd -d)");
  if (memcmp(start, "\x1f\x8b", 2) == 0)
    return part_fail(r, "compressed with gzip; decompress it first (gzip -d)");
  return part_fail(r, "not a ullage recording (make one with: ullage run -- PROGRAM)");
}

static bool check_geometry(struct recording *r) {
  const struct ul_header *h = &r->header;
  if (h->byte_order != UL_BYTE_ORDER)
    return part_fail(r, "made on a machine with another byte order (mark %08" PRIx32 ")",
                     h->byte_order);
  if (h->version > UL_VERSION)
    return part_fail(r,
                     "made by a newer ullage (format %" PRIu32 ", this one reads %u); "
                     "use that version",
                     h->version, UL_VERSION);
  if (h->version && h->version < UL_VERSION)
    return part_fail(r,
                     "made by ullage 0.%" PRIu32 " (format %" PRIu32
                     ", this one reads %u); read it with ullage 0.%" PRIu32
                     ", or record it again",
                     h->version, h->version, UL_VERSION, h->version);
  if (h->version == 0 || h->header_bytes != UL_HEADER_BYTES)
    return part_fail(r,
                     "damaged recording: format %" PRIu32 " with a header of %" PRIu32
                     " bytes does not exist; copy or record it again",
                     h->version, h->header_bytes);
  if (h->page_bytes != UL_PAGE_BYTES || h->arena_bytes != UL_ARENA_BYTES ||
      h->unit_bytes != UL_UNIT_BYTES || h->classes == 0 || h->classes > 64)
    return part_fail(r,
                     "damaged recording: impossible heap geometry (pages of %" PRIu32
                     ", arenas of %" PRIu32 ", units of %" PRIu32 ", %" PRIu32
                     " classes); copy or record it again",
                     h->page_bytes, h->arena_bytes, h->unit_bytes, h->classes);
  for (uint32_t c = 1; c < h->classes; c++)
    if (h->class_bytes[c] < CLASS_BYTES_MIN ||
        h->class_bytes[c] > POOL_UNITS_MAX * UL_UNIT_BYTES)
      return part_fail(r,
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
    if (head->element_bytes != part_layout[t].element_bytes)
      return part_fail(r,
                       "damaged recording: elements of table %s have %" PRIu32
                       " bytes instead of %" PRIu32 "; copy or record it again",
                       part_layout[t].name, head->element_bytes,
                       part_layout[t].element_bytes);
    if (head->count > capacity[t] / head->element_bytes)
      return part_fail(r,
                       "damaged recording: table %s has %" PRIu64
                       " elements in segments for %" PRIu64 "; copy or record it again",
                       part_layout[t].name, head->count,
                       capacity[t] / head->element_bytes);
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
    return part_fail(r,
                     "damaged recording: %" PRIu32 " segments, there may be %u; copy or "
                     "record it again",
                     n, UL_SEGMENTS);
  struct ul_segment sorted[UL_SEGMENTS];
  memcpy(sorted, r->header.segments, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, by_offset);
  uint64_t end = UL_HEADER_BYTES;
  for (uint32_t i = 0; i < n; i++) {
    const struct ul_segment *s = &sorted[i];
    if (s->file_offset % UL_SEGMENT_GRAIN || s->bytes % UL_SEGMENT_GRAIN ||
        s->bytes == 0 || s->table >= 32 || s->file_offset < end ||
        s->file_offset > INT64_MAX || s->bytes > INT64_MAX - s->file_offset)
      return part_fail(r,
                       "damaged recording: segment at offset %" PRIu64 ", %" PRIu64
                       " bytes for table %" PRIu32
                       ", is impossible or overlaps another; copy "
                       "or record it again",
                       s->file_offset, s->bytes, s->table);
    end = s->file_offset + s->bytes;
  }
  if (end > r->file_bytes) return truncated(r, end, "its segments");
  if (r->header.file_bytes > r->file_bytes)
    return truncated(r, r->header.file_bytes, "its parts");
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
  uint64_t left = table->count * part_layout[t].element_bytes, done = 0;
  free(table->data);
  table->data = malloc(left + 1); /* one more: the NUL of the last text */
  if (!table->data)
    return part_fail(
        r, "too large for the memory of this machine: table %s has %" PRIu64 " bytes",
        part_layout[t].name, left);
  table->data[left] = 0;
  for (uint32_t i = 0; left; i++) {
    const struct ul_segment *s = &r->header.segments[i];
    if (s->table != t) continue;
    uint64_t step = s->bytes < left ? s->bytes : left;
    if (!bytes_at(r, s->file_offset, table->data + done, step))
      return part_fail(r,
                       "truncated recording: table %s cannot be read at offset %" PRIu64
                       "; copy it again",
                       part_layout[t].name, s->file_offset);
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

/* ---- opening ------------------------------------------------------------------- */

/* What is none needs no more than its start: a device may have no end. */
static bool slurp(struct recording *r) {
  enum { MAGIC_BYTES = 8 };
  size_t capacity = 1u << 20, n = 0;
  char *data = malloc(capacity);
  for (;;) {
    if (data && n == capacity) {
      char *more = realloc(data, capacity * 2);
      if (!more) free(data);
      data = more;
      capacity *= 2;
    }
    if (!data) return part_fail(r, "too large for the memory of this machine");
    ssize_t got = read(r->fd, data + n, capacity - n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      part_fail(r, "cannot be read: %s", strerror(errno));
      free(data);
      return false;
    }
    if (got == 0) break;
    n += (size_t)got;
    if (n >= MAGIC_BYTES && memcmp(data, UL_MAGIC, MAGIC_BYTES) != 0) break;
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
    return part_fail(r, "no such file (ullage run says where it puts the recording)");
  if (r->fd < 0) return part_fail(r, "cannot be opened: %s", strerror(errno));
  struct stat s;
  if (fstat(r->fd, &s) != 0) return part_fail(r, "cannot be opened: %s", strerror(errno));
  if (S_ISDIR(s.st_mode)) return part_fail(r, "is a directory, not a recording");
  r->file_bytes = (uint64_t)s.st_size;
  return S_ISREG(s.st_mode) || slurp(r);
}

static void forget_file(struct recording *r, bool own_memory) {
  if (r->fd >= 0) close(r->fd);
  if (own_memory) free((void *)r->memory);
  r->fd = -1;
  r->memory = NULL;
}

/* By cp, while it was written to. */
static bool is_copied(const struct recording *r) {
  const struct ul_header *h = &r->header;
  if (r->alive) return original_is_another(h, r->fd);
  return h->state == UL_STATE_RUNNING && !h->copied_ms &&
         original_has_gone_on(h, r->path, r->fd);
}

static bool load(struct recording *r, bool look_for_process) {
  if (!check_magic(r) || !read_directory(r)) return false;
  if (look_for_process) r->alive = !r->header.copied_ms && part_process_runs(&r->header);
  bool copied = look_for_process && is_copied(r);
  if (copied) r->alive = false;
  r->settled = r->header.state != UL_STATE_RUNNING && !r->alive;
  if (!read_tables(r) || !part_check(r)) return false;
  part_find_duration(r);
  if (copied && r->header.state == UL_STATE_RUNNING)
    r->header.copied_ms = r->duration_ms ? r->duration_ms : 1;
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
  free(r->stacks);
  free(r->leak_estimates);
  free(r->path);
  free(r);
}
