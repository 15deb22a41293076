#include "recording/table.h"

#include "base/lock.h"
#include "base/os.h"
#include "heap/types.h"
#include "recording/recording.h"

#include <string.h>

/* A table is a list of pieces, one for each of its segments; each is a mapping of
 * its own, wherever the kernel puts it. Reserving address space for the largest
 * possible tables would spare the search in table_at, but a program that limits its
 * address space (ulimit -v, setrlimit) would have nothing left. */
struct piece {
  uint64_t first; /* byte of the table */
  uint64_t bytes;
  char *at;
};
enum { PIECES = 64, GRAIN = 65536 };

static const struct shape {
  uint32_t element_bytes;
  uint32_t first_segment;
} shapes[UL_TABLES] = {
    [UL_TEXT] = {1, 16384},
    [UL_MODULES] = {sizeof(struct ul_module), 8192},
    [UL_NODES] = {sizeof(struct ul_node), 65536},
    [UL_SITES] = {sizeof(struct ul_site), 16384},
    [UL_CHUNKS] = {sizeof(struct ul_chunk), 4096},
    [UL_COUNTERS] = {sizeof(struct ul_counter), 65536},
    [UL_ARENAS] = {sizeof(struct ul_arena), 16384},
    [UL_ENTRIES] = {sizeof(uint64_t), 65536},
    [UL_LARGES] = {sizeof(struct ul_large), 4096},
    [UL_SNAPSHOTS] = {sizeof(struct ul_snapshot),
                      sizeof(struct ul_snapshot) * UL_SNAPSHOT_SLOTS},
    [UL_ROWS] = {sizeof(struct ul_row), 131072},
    [UL_HEAPS] = {sizeof(struct ul_heap_record), 4096},
    [UL_LEAKS] = {sizeof(struct ul_leak), 4096},
    [UL_MAPPINGS] = {sizeof(struct ul_mapping), 16384},
};

struct ul_header *recording;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct piece pieces[UL_TABLES][PIECES];
static unsigned piece_count[UL_TABLES]; /* published with release: readers take no lock */
static char *segment_at[UL_SEGMENTS];   /* address of each segment of the directory */

/* ---- making room --------------------------------------------------------------- */

static uint64_t capacity_of(enum ul_table table) {
  unsigned n = piece_count[table];
  return n ? pieces[table][n - 1].first + pieces[table][n - 1].bytes : 0;
}

static void segment_enter(enum ul_table table, uint64_t bytes, char *at) {
  uint32_t i = recording->segment_count, n = piece_count[table];
  pieces[table][n] = (struct piece){capacity_of(table), bytes, at};
  __atomic_store_n(&piece_count[table], n + 1, __ATOMIC_RELEASE);
  segment_at[i] = at;
  recording->segments[i] = (struct ul_segment){recording->file_bytes, bytes, table, 0};
  recording->file_bytes += bytes;
  __atomic_store_n(&recording->segment_count, i + 1, __ATOMIC_RELEASE);
}

static bool segment_add(enum ul_table table, uint64_t bytes) {
  if (recording->segment_count == UL_SEGMENTS || piece_count[table] == PIECES) {
    recording_stop(UL_STOP_FULL, 0);
    return false;
  }
  char *at = recording_map(bytes);
  if (at) segment_enter(table, bytes, at);
  return at != NULL;
}

/* Half as much again each time: 64 pieces are enough for any size, and no more than a
 * third of the file is spare. A run of elements that belongs together never straddles two
 * pieces: what is left of a piece stays zero. */
static bool make_room(enum ul_table table, uint64_t *first, uint64_t n) {
  uint64_t element = shapes[table].element_bytes, capacity = capacity_of(table);
  if ((*first + n) * element <= capacity) return true;
  uint64_t bytes = (capacity / 2 + GRAIN - 1) & ~(uint64_t)(GRAIN - 1);
  uint64_t least = (n * element + GRAIN - 1) & ~(uint64_t)(GRAIN - 1);
  *first = capacity / element;
  return segment_add(table, bytes > least ? bytes : least);
}

bool table_begin(void) {
  size_t total = UL_HEADER_BYTES;
  for (int t = 0; t < UL_TABLES; t++)
    total += shapes[t].first_segment;
  char *at = os_map(total, OS_PAGE, OS_TOOL);
  if (!at) return false;
  struct ul_header *h = (struct ul_header *)at;
  h->header_bytes = UL_HEADER_BYTES;
  h->file_bytes = UL_HEADER_BYTES;
  recording = h;
  for (int t = 0; t < UL_TABLES; t++) {
    h->table[t].element_bytes = shapes[t].element_bytes;
    segment_enter((enum ul_table)t, shapes[t].first_segment, at + h->file_bytes);
  }
  h->table[UL_TEXT].count = 1; /* the empty string */
  h->table[UL_NODES].count = UL_NODE_RESERVED;
  h->table[UL_SITES].count = UL_SITE_RESERVED;
  h->table[UL_SNAPSHOTS].count = UL_SNAPSHOT_SLOTS;
  count_adopt(h->fallbacks);
  return true;
}

void table_abandon(void) {
  recording = NULL;
  count_disown();
}

/* ---- elements ------------------------------------------------------------------ */

void *table_at(enum ul_table table, uint64_t i) {
  uint64_t byte = i * shapes[table].element_bytes;
  unsigned n = __atomic_load_n(&piece_count[table], __ATOMIC_ACQUIRE) - 1;
  while (n > 0 && byte < pieces[table][n].first)
    n--; /* most of a table is in its last pieces */
  return pieces[table][n].at + (byte - pieces[table][n].first);
}

uint64_t table_count(enum ul_table table) {
  return __atomic_load_n(&recording->table[table].count, __ATOMIC_ACQUIRE);
}

static bool append_locked(enum ul_table table, uint64_t *first, uint64_t n) {
  if (recording_stopped()) return false;
  *first = recording->table[table].count;
  if (!make_room(table, first, n)) return false;
  if (*first + n >= TABLE_NONE) {
    recording_stop(UL_STOP_FULL, 0);
    return false;
  }
  __atomic_store_n(&recording->table[table].count, *first + n, __ATOMIC_RELEASE);
  return true;
}

uint32_t table_append(enum ul_table table, uint32_t n) {
  uint64_t first;
  table_lock();
  bool done = append_locked(table, &first, n);
  table_unlock();
  return done ? (uint32_t)first : TABLE_NONE;
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

/* ---- segments ------------------------------------------------------------------ */

void *table_segment_address(unsigned i) {
  return segment_at[i];
}

size_t table_segment_used(unsigned i) {
  const struct ul_segment *s = &recording->segments[i];
  uint64_t used = recording->table[s->table].count * shapes[s->table].element_bytes,
           before = 0;
  for (unsigned k = 0; k < i; k++)
    if (recording->segments[k].table == s->table) before += recording->segments[k].bytes;
  if (used <= before) return 0;
  return used - before < s->bytes ? used - before : s->bytes;
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
