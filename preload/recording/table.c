#include "recording/table.h"

#include "base/lock.h"
#include "base/os.h"
#include "recording/recording.h"
#include "recording/window.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* A table is a list of pieces, each in one of the recording's windows (window.h).
 * Reserving address space for the largest possible tables would spare the search in
 * table_at, but a program that limits its address space (ulimit -v, setrlimit) would have
 * nothing left.
 *
 * A piece grows where it is, while nothing lies behind it. Others are an eighth of the
 * table, so that a small process has a small file; from SPARE_LESS on a half, so that
 * PIECES are enough for any size; and when that would be more than OWN_LEAST, the table
 * gets a window of its own of that length, in which its piece grows by OWN_STEP. So a
 * third of a small table is spare at most, and OWN_STEP of a large one. */
struct piece {
  uint64_t first; /* byte of the table */
  uint64_t bytes;
  char *at;
  uint32_t segment;
};
enum { PIECES = 96, SPARE_LESS = 32 << 10, OWN_LEAST = 32 << 10, OWN_STEP = 32 << 10 };

/* What is appended at once is a multiple of `unit` if it is a piece. */
static const struct shape {
  uint32_t element_bytes;
  uint32_t unit;
  bool by_time; /* beyond its first piece it comes out of the reserve, by pages */
} shapes[UL_TABLES] = {
    [UL_TEXT] = {1, WINDOW_GRAIN, false},
    [UL_MODULES] = {sizeof(struct ul_module), WINDOW_GRAIN, false},
    [UL_CODES] = {sizeof(uint64_t), WINDOW_GRAIN, false},
    [UL_NODES] = {sizeof(struct ul_node), WINDOW_GRAIN, false},
    [UL_SITES] = {sizeof(struct ul_site), WINDOW_GRAIN, false},
    [UL_CHUNKS] = {sizeof(struct ul_chunk), WINDOW_GRAIN, false},
    /* Whole chunks, and whole grains: 8 of 192 bytes are 3 of 512. */
    [UL_COUNTERS] = {sizeof(struct ul_counter),
                     8 * UL_CHUNK_SITES * sizeof(struct ul_counter), false},
    [UL_CARRIES] = {sizeof(struct ul_carry), WINDOW_GRAIN, false},
    [UL_ARENAS] = {sizeof(struct ul_arena), sizeof(struct ul_arena), false},
    [UL_ENTRIES] = {sizeof(uint64_t), WINDOW_GRAIN, false},
    [UL_LARGES] = {sizeof(struct ul_large), WINDOW_GRAIN, false},
    [UL_SNAPSHOTS] = {sizeof(struct ul_snapshot), 4 * sizeof(struct ul_snapshot), true},
    [UL_ROWS] = {1, WINDOW_GRAIN, true},
    [UL_HEAPS] = {sizeof(struct ul_heap_record), WINDOW_GRAIN, false},
    [UL_LEAKS] = {sizeof(struct ul_leak), WINDOW_GRAIN, false},
    [UL_MAPPINGS] = {sizeof(struct ul_mapping), WINDOW_GRAIN, false},
    [UL_VERDICT_WORDS] = {sizeof(uint64_t), WINDOW_GRAIN, false},
    [UL_DRAGS] = {sizeof(struct ul_drag), WINDOW_GRAIN, false},
    [UL_FILLS] = {sizeof(struct ul_fill), WINDOW_GRAIN, false},
};

struct ul_header *recording;

static struct lock lock;
/* The first of all tables together, and so on: a small process has no other, and then
 * they are in one page. */
static struct piece pieces[PIECES][UL_TABLES];
static unsigned piece_count[UL_TABLES]; /* published with release: readers take no lock */
static _Atomic uint64_t room[UL_TABLES]; /* elements that the pieces hold, likewise */

/* ---- making room --------------------------------------------------------------- */

static uint64_t capacity_of(enum ul_table table) {
  unsigned n = piece_count[table];
  return n ? pieces[n - 1][table].first + pieces[n - 1][table].bytes : 0;
}

static void stop(enum window_answer why) {
  static const struct {
    enum ul_stop stop;
    int error;
  } reasons[] = {
      [WINDOW_NO_MEMORY] = {UL_STOP_MEMORY, ENOMEM},
      [WINDOW_NO_ROOM] = {UL_STOP_NO_SPACE, ENOSPC},
      [WINDOW_TOO_LONG] = {UL_STOP_NO_SPACE, EFBIG},
      [WINDOW_BOUND] = {UL_STOP_BOUND, 0},
  };
  recording_stop(reasons[why].stop, reasons[why].error);
}

/* The table's last piece, if what is new continues it in memory and in the file. */
static struct piece *continued(enum ul_table table, const char *at, uint64_t offset) {
  uint32_t n = piece_count[table];
  if (!n) return NULL;
  struct piece *p = &pieces[n - 1][table];
  if (at != p->at + p->bytes) return NULL;
  const struct ul_segment *s = &recording->segments[p->segment];
  return offset == s->file_offset + s->bytes ? p : NULL;
}

static bool segment_enter(enum ul_table table, uint64_t bytes, char *at,
                          uint64_t offset) {
  uint32_t i = recording->segment_count, n = piece_count[table];
  if (i == UL_SEGMENTS || n == PIECES) {
    recording_stop(UL_STOP_FULL, 0);
    return false;
  }
  enum window_answer answer = window_back_header(offsetof(struct ul_header, segments) +
                                                     i * sizeof(struct ul_segment),
                                                 sizeof(struct ul_segment));
  if (answer != WINDOW_FINE) {
    stop(answer);
    return false;
  }
  pieces[n][table] = (struct piece){capacity_of(table), bytes, at, i};
  __atomic_store_n(&piece_count[table], n + 1, __ATOMIC_RELEASE);
  recording->segments[i] = (struct ul_segment){offset, bytes, table, 0};
  __atomic_store_n(&recording->segment_count, i + 1, __ATOMIC_RELEASE);
  return true;
}

/* `bytes` more; *joined: they continue what was there. */
static bool segment_add(enum ul_table table, uint64_t bytes, unsigned whose,
                        uint64_t ahead, bool *joined) {
  char *at;
  uint64_t offset;
  enum window_answer answer = window_take(bytes, whose, ahead, &at, &offset);
  if (answer != WINDOW_FINE) {
    stop(answer);
    return false;
  }
  struct piece *last = continued(table, at, offset);
  *joined = last != NULL;
  recording->file_bytes = window_end();
  if (!last && !segment_enter(table, bytes, at, offset)) return false;
  if (last) {
    last->bytes += bytes;
    recording->segments[last->segment].bytes += bytes;
  }
  atomic_store_explicit(&room[table], capacity_of(table) / shapes[table].element_bytes,
                        memory_order_release);
  return true;
}

/* A run of elements that belongs together never straddles two pieces: what is left of a
 * piece stays zero. */
static bool make_room(enum ul_table table, uint64_t *first, uint64_t n) {
  const struct shape *shape = &shapes[table];
  uint64_t capacity = capacity_of(table);
  if ((*first + n) * shape->element_bytes <= capacity) return true;
  uint64_t spare = capacity / (capacity < SPARE_LESS ? 8 : 2);
  uint64_t bytes = n * shape->element_bytes;
  bool own = spare > OWN_LEAST, reserved = !own && shape->by_time && capacity, joined;
  uint64_t least = own ? OWN_STEP : spare, unit = reserved ? OS_PAGE : shape->unit;
  if (bytes < least) bytes = least;
  bytes = (bytes + unit - 1) / unit * unit;
  unsigned whose = own ? WINDOW_OWN + table : reserved ? WINDOW_RESERVE : WINDOW_COMMON;
  if (!segment_add(table, bytes, whose, spare, &joined)) return false;
  if (!joined) *first = capacity / shape->element_bytes;
  return true;
}

/* All snapshots, and a good deal of rows. */
enum { RESERVE_BYTES = UL_SNAPSHOT_SLOTS * (sizeof(struct ul_snapshot) + 1024) };

bool table_begin(void) {
  struct ul_header *h = window_begin(UL_HEADER_BYTES, RESERVE_BYTES);
  if (!h) return false;
  h->header_bytes = UL_HEADER_BYTES;
  for (int t = 0; t < UL_TABLES; t++)
    h->table[t].element_bytes = shapes[t].element_bytes;
  recording = h;
  count_adopt(h->fallbacks);
  /* The empty string, and what has a fixed number. */
  return table_append(UL_TEXT, 1) == 0 && table_append(UL_CODES, UL_CODE_RESERVED) == 0 &&
         table_append(UL_NODES, UL_NODE_RESERVED) == 0 &&
         table_append(UL_SITES, UL_SITE_RESERVED) == 0;
}

void table_abandon(void) {
  recording = NULL;
  count_disown();
}

/* ---- elements ------------------------------------------------------------------ */

static const struct piece *piece_of(enum ul_table table, uint64_t byte) {
  unsigned n = __atomic_load_n(&piece_count[table], __ATOMIC_ACQUIRE) - 1;
  while (n > 0 && byte < pieces[n][table].first)
    n--; /* most of a table is in its last pieces */
  return &pieces[n][table];
}

void *table_at(enum ul_table table, uint64_t i) {
  uint64_t byte = i * shapes[table].element_bytes;
  const struct piece *p = piece_of(table, byte);
  return p->at + (byte - p->first);
}

struct table_run table_run(enum ul_table table, uint64_t i) {
  uint64_t size = shapes[table].element_bytes;
  const struct piece *p = piece_of(table, i * size);
  return (struct table_run){p->first / size, (p->first + p->bytes) / size, p->at};
}

uint64_t table_count(enum ul_table table) {
  return __atomic_load_n(&recording->table[table].count, __ATOMIC_ACQUIRE);
}

/* table_next() counts without the lock. */
static bool count_on(enum ul_table table, uint64_t was, uint64_t is) {
  return __atomic_compare_exchange_n(&recording->table[table].count, &was, is, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static bool append_locked(enum ul_table table, uint64_t *first, uint64_t n) {
  uint64_t was;
  if (!recording_may_grow()) return false;
  do {
    *first = was = table_count(table);
    if (!make_room(table, first, n)) return false;
    if (*first + n >= TABLE_NONE) {
      recording_stop(UL_STOP_FULL, 0);
      return false;
    }
  } while (!count_on(table, was, *first + n));
  return true;
}

uint32_t table_next(enum ul_table table, uint32_t n) {
  if (!recording_may_grow()) return TABLE_NONE;
  for (;;) {
    uint64_t first = table_count(table);
    if (first + n > atomic_load_explicit(&room[table], memory_order_acquire))
      return TABLE_NONE;
    if (count_on(table, first, first + n)) return (uint32_t)first;
  }
}

uint32_t table_append(enum ul_table table, uint32_t n) {
  uint64_t first;
  table_lock();
  bool done = append_locked(table, &first, n);
  table_unlock();
  return done ? (uint32_t)first : TABLE_NONE;
}

struct ul_header *table_header_rest(void) {
  const size_t offset = offsetof(struct ul_header, misuses);
  table_lock();
  enum window_answer answer =
      window_back_header(offset, sizeof(struct ul_header) - offset);
  table_unlock();
  return answer == WINDOW_FINE ? recording : NULL;
}

bool table_extend(enum ul_table table, uint64_t n) {
  bool done = true;
  table_lock();
  while (done && recording->table[table].count < n) {
    uint64_t first;
    done = append_locked(table, &first, 1);
  }
  table_unlock();
  return done;
}

uint32_t table_text(const char *text, size_t bytes) {
  if (bytes == 0) return 0;
  uint32_t at = table_append(UL_TEXT, (uint32_t)bytes + 1);
  if (at == TABLE_NONE) return 0;
  memcpy(table_at(UL_TEXT, at), text, bytes);
  return at;
}

void *table_replace_rows(enum ul_table table, size_t n) {
  /* Where the last call of this process put them: a forked child has its own tables. */
  static struct {
    uint32_t first, n;
    int pid;
  } last[UL_TABLES], none;
  size_t bytes = shapes[table].element_bytes;
  int pid = os_pid();
  if (last[table].pid != pid || last[table].first + last[table].n > table_count(table))
    last[table] = none;
  last[table].pid = pid;
  if (last[table].n) memset(table_at(table, last[table].first), 0, last[table].n * bytes);
  if (n > last[table].n) {
    uint32_t first = table_append(table, (uint32_t)n);
    if (first == TABLE_NONE) return NULL;
    last[table].first = first;
    last[table].n = (uint32_t)n;
  }
  return n ? table_at(table, last[table].first) : NULL;
}

void table_lock(void) {
  lock_take(&lock);
}
void table_unlock(void) {
  lock_give(&lock);
}
void table_fork_child(void) {
  lock_renew(&lock);
}
