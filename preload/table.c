#include "table.h"

#include "lock.h"
#include "os.h"
#include "recording.h"
#include "types.h"

#include <string.h>

/* Address space for each table: as much as the format can index, or as an
 * element's index in an entry or a record can say. Only reserved, not mapped. */
#define MiB (UINT64_C(1) << 20)
#define GiB (UINT64_C(1) << 30)
static const struct shape {
  uint32_t element_bytes;
  uint32_t first_segment;
  uint64_t reserve;
} shapes[UL_TABLES] = {
    [UL_TEXT] = {1, 16384, 64 * MiB},
    [UL_MODULES] = {sizeof(struct ul_module), 8192, 4 * MiB},
    [UL_NODES] = {sizeof(struct ul_node), 65536, 4 * GiB},
    [UL_SITES] = {sizeof(struct ul_site), 16384, 256 * MiB},
    [UL_CHUNKS] = {sizeof(struct ul_chunk), 4096, 256 * MiB},
    [UL_COUNTERS] = {sizeof(struct ul_counter), 65536, 16 * GiB},
    [UL_ARENAS] = {sizeof(struct ul_arena), 16384, 4 * GiB},
    [UL_ENTRIES] = {sizeof(uint64_t), 65536, 32 * GiB},
    [UL_LARGES] = {sizeof(struct ul_large), 4096, 256 * MiB},
    [UL_SNAPSHOTS] = {sizeof(struct ul_snapshot),
                      sizeof(struct ul_snapshot) * UL_SNAPSHOT_SLOTS, 1 * MiB},
    [UL_ROWS] = {sizeof(struct ul_row), 131072, 4 * GiB},
    [UL_HEAPS] = {sizeof(struct ul_heap_record), 4096, 64 * MiB},
    [UL_LEAKS] = {sizeof(struct ul_leak), 4096, 4 * GiB},
    [UL_MAPPINGS] = {sizeof(struct ul_mapping), 16384, 64 * MiB},
};
enum { SEGMENT_MAX = 64 << 20, PAGE = 4096, NARROWEST = 1 << 10 };

struct ul_header *recording;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *reserve, *reserve_end;
static char *starts[UL_TABLES];       /* where each table's addresses begin ... */
static uint64_t reserves[UL_TABLES];  /* ... how many there are, in bytes ... */
static uint64_t capacity[UL_TABLES];  /* ... and how many of them are mapped */
static char *segment_at[UL_SEGMENTS]; /* address of each segment of the directory */

/* ---- making room ------------------------------------------------------------ */

/* A program with a limit on its address space (ulimit -v) keeps seven eighths. */
static bool reserve_space(unsigned divisor) {
  uint64_t total = UL_HEADER_BYTES;
  for (int t = 0; t < UL_TABLES; t++) {
    uint64_t bytes = shapes[t].reserve / divisor & ~(uint64_t)(PAGE - 1);
    reserves[t] = bytes < shapes[t].first_segment ? shapes[t].first_segment : bytes;
    total += reserves[t];
  }
  if (os_address_limit() / 8 < total) return false;
  reserve = os_reserve(total);
  if (!reserve) return false;
  reserve_end = reserve + total;
  char *p = reserve + UL_HEADER_BYTES;
  for (int t = 0; t < UL_TABLES; p += reserves[t++])
    starts[t] = p;
  return true;
}

static bool segment_add(enum ul_table table, uint64_t bytes) {
  uint32_t i = recording->segment_count;
  if (i == UL_SEGMENTS || capacity[table] + bytes > reserves[table]) {
    recording_stop(UL_STOP_FULL, 0);
    return false;
  }
  char *at = starts[table] + capacity[table];
  if (!recording_map(at, bytes)) return false;
  segment_at[i] = at;
  recording->segments[i] = (struct ul_segment){recording->file_bytes, bytes, table, 0};
  recording->file_bytes += bytes;
  __atomic_store_n(&recording->segment_count, i + 1, __ATOMIC_RELEASE);
  capacity[table] += bytes;
  return true;
}

/* Half as much again, so that a table of n bytes has a number of segments
 * logarithmic in n, and no more than a third of the file is spare. */
static bool grow(enum ul_table table, uint64_t need) {
  while (capacity[table] < need) {
    uint64_t bytes = (capacity[table] / 2 + 65535) & ~UINT64_C(65535);
    if (capacity[table] + bytes < need)
      bytes = (need - capacity[table] + 65535) & ~UINT64_C(65535);
    if (bytes > SEGMENT_MAX) bytes = SEGMENT_MAX;
    if (capacity[table] + bytes > reserves[table])
      bytes = reserves[table] - capacity[table];
    if (bytes == 0) bytes = PAGE; /* segment_add says that it is full */
    if (!segment_add(table, bytes)) return false;
  }
  return true;
}

bool table_begin(void) {
  unsigned divisor = 1;
  while (!reserve_space(divisor))
    if ((divisor *= 4) > NARROWEST) return false;
  struct ul_header *h = (struct ul_header *)reserve;
  if (!os_map_over(h, UL_HEADER_BYTES)) return false;
  h->header_bytes = UL_HEADER_BYTES;
  h->file_bytes = UL_HEADER_BYTES;
  recording = h;
  for (int t = 0; t < UL_TABLES; t++) {
    h->table[t].element_bytes = shapes[t].element_bytes;
    if (segment_add((enum ul_table)t, shapes[t].first_segment)) continue;
    recording = NULL;
    return false;
  }
  h->table[UL_TEXT].count = 1; /* the empty string */
  h->table[UL_NODES].count = UL_NODE_RESERVED;
  h->table[UL_SITES].count = UL_SITE_RESERVED;
  h->table[UL_SNAPSHOTS].count = UL_SNAPSHOT_SLOTS;
  return true;
}

/* ---- elements --------------------------------------------------------------- */

void *table_at(enum ul_table table, uint64_t i) {
  return starts[table] + i * shapes[table].element_bytes;
}

uint64_t table_count(enum ul_table table) {
  return __atomic_load_n(&recording->table[table].count, __ATOMIC_ACQUIRE);
}

static bool extend_locked(enum ul_table table, uint64_t n) {
  if (recording_stopped()) return false;
  if (n >= TABLE_NONE) {
    recording_stop(UL_STOP_FULL, 0);
    return false;
  }
  if (!grow(table, n * shapes[table].element_bytes)) return false;
  __atomic_store_n(&recording->table[table].count, n, __ATOMIC_RELEASE);
  return true;
}

uint32_t table_append(enum ul_table table, uint32_t n) {
  table_lock();
  uint64_t first = recording->table[table].count;
  bool done = extend_locked(table, first + n);
  table_unlock();
  return done ? (uint32_t)first : TABLE_NONE;
}

bool table_extend(enum ul_table table, uint64_t n) {
  table_lock();
  bool done = n <= recording->table[table].count || extend_locked(table, n);
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

/* ---- segments --------------------------------------------------------------- */

void *table_segment_address(unsigned i) {
  return segment_at[i];
}

size_t table_segment_used(unsigned i) {
  const struct ul_segment *s = &recording->segments[i];
  uint64_t used = recording->table[s->table].count * shapes[s->table].element_bytes;
  uint64_t before = (uint64_t)(segment_at[i] - starts[s->table]);
  if (used <= before) return 0;
  return used - before < s->bytes ? used - before : s->bytes;
}

void table_bounds(uintptr_t *start, uintptr_t *end) {
  *start = (uintptr_t)reserve;
  *end = (uintptr_t)reserve_end;
}

void fallback(enum ul_fallback which) {
  if (recording) __atomic_fetch_add(&recording->fallbacks[which], 1, __ATOMIC_RELAXED);
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
