/* mapping.c - the address space of the process, and our share of it.
 *
 * The kernel merges neighbouring anonymous mappings, so a line of smaps may hold
 * an arena, a piece of ullage's metadata and a buffer of the program's at once.
 * What the line says (rss) is exact; how it divides is counted page by page from
 * pagemap, within the ranges we know to be ours, and never exceeds the line. A
 * line that lies within one range needs no counting.
 *
 * Our ranges come from the map of addresses, not from the lists: the map also
 * knows the freed large blocks that are kept in the cache, and comes in order. */
#include "mapping.h"

#include "map.h"
#include "meta.h"
#include "os.h"
#include "table.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, BATCH = 512, TEXT_BYTES = 256 * 1024 };

/* ---- text of /proc ------------------------------------------------------------- */

static char *text_grow(char *text, size_t *mapped_bytes) {
  char *larger = os_map(*mapped_bytes * 2, PAGE, OS_TOOL);
  if (larger) memcpy(larger, text, *mapped_bytes);
  os_unmap(text, *mapped_bytes, OS_TOOL);
  *mapped_bytes *= 2;
  return larger;
}

static char *text_read(int fd, size_t *bytes, size_t *mapped_bytes) {
  *mapped_bytes = TEXT_BYTES;
  char *text = os_map(*mapped_bytes, PAGE, OS_TOOL);
  *bytes = 0;
  while (text) {
    ssize_t n = os_read_all(fd, text + *bytes, *mapped_bytes - *bytes);
    if (n < 0) break;
    *bytes += (size_t)n;
    if (*bytes < *mapped_bytes) return text;
    text = text_grow(text, mapped_bytes);
  }
  if (text) os_unmap(text, *mapped_bytes, OS_TOOL);
  return NULL;
}

char *mapping_text(const char *path, size_t *bytes, size_t *mapped_bytes) {
  int fd = os_open(path, O_RDONLY, 0);
  if (fd < 0) return NULL;
  char *text = text_read(fd, bytes, mapped_bytes);
  os_close(fd);
  return text;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/* The hexadecimal number at *p; false if there is none, or it does not end in `after`. */
static bool take_hex(const char **p, const char *end, char after, uint64_t *value) {
  const char *s = *p;
  uint64_t v = 0;
  while (s < end && hex_digit(*s) >= 0)
    v = v << 4 | (uint64_t)hex_digit(*s++);
  if (s == *p || s == end || *s != after) return false;
  *p = s + 1;
  *value = v;
  return true;
}

static bool take_decimal(const char **p, const char *end, uint64_t *value) {
  const char *s = *p;
  uint64_t v = 0;
  while (s < end && *s == ' ')
    s++;
  const char *digits = s;
  while (s < end && *s >= '0' && *s <= '9')
    v = v * 10 + (uint64_t)(*s++ - '0');
  *p = s;
  *value = v;
  return s > digits;
}

/* "start-end rwxp offset major:minor inode   name" */
static bool parse_line(const char *p, const char *end, struct mapped *m) {
  uint64_t start, stop, offset, major, minor;
  if (!take_hex(&p, end, '-', &start) || !take_hex(&p, end, ' ', &stop)) return false;
  if (end - p < 5) return false;
  *m = (struct mapped){.start = start,
                       .end = stop,
                       .read = p[0] == 'r',
                       .write = p[1] == 'w',
                       .execute = p[2] == 'x',
                       .shared = p[3] == 's'};
  p += 5;
  if (!take_hex(&p, end, ' ', &offset) || !take_hex(&p, end, ':', &major)) return false;
  if (!take_hex(&p, end, ' ', &minor) || !take_decimal(&p, end, &m->inode)) return false;
  m->device = major << 32 | minor;
  while (p < end && *p == ' ')
    p++;
  m->name = p;
  m->name_bytes = (size_t)(end - p);
  return start < stop;
}

bool mapping_line(const char **cursor, const char *end, struct mapped *m) {
  const char *line = *cursor;
  const char *eol = memchr(line, '\n', (size_t)(end - line));
  if (!eol) eol = end;
  *cursor = eol < end ? eol + 1 : end;
  return parse_line(line, eol, m);
}

/* ---- pages --------------------------------------------------------------------- */

int mapping_pagemap_open(void) {
  return os_open("/proc/self/pagemap", O_RDONLY, 0);
}

static bool pages_by_pagemap(int fd, uintptr_t start, size_t pages, uint64_t *bits) {
  int saved = errno;
  size_t want = pages * sizeof *bits, done = 0;
  off_t offset = (off_t)(start / PAGE * sizeof *bits);
  while (done < want) {
    long n =
        syscall(SYS_pread64, fd, (char *)bits + done, want - done, offset + (off_t)done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += (size_t)n;
  }
  errno = saved;
  return done == want;
}

static bool pages_by_mincore(uintptr_t start, size_t pages, uint64_t *bits) {
  unsigned char present[BATCH];
  for (size_t done = 0; done < pages;) {
    size_t n = pages - done < BATCH ? pages - done : BATCH;
    int saved = errno;
    int failed = mincore((void *)(start + done * PAGE), n * PAGE, present);
    errno = saved;
    if (failed) return false;
    for (size_t i = 0; i < n; i++)
      bits[done + i] = present[i] & 1 ? PAGE_PRESENT : 0;
    done += n;
  }
  return true;
}

bool mapping_pages(int fd, uintptr_t start, size_t pages, uint64_t *bits) {
  return (fd >= 0 && pages_by_pagemap(fd, start, pages, bits)) ||
         pages_by_mincore(start, pages, bits);
}

/* Bytes of [start, end) in resident pages, by the same meaning of resident as smaps'. */
static uint64_t resident_bytes(int fd, uintptr_t start, uintptr_t end) {
  uint64_t bits[BATCH], pages = 0;
  for (uintptr_t at = start; at < end;) {
    size_t n = (end - at) / PAGE < BATCH ? (end - at) / PAGE : BATCH;
    if (n == 0 || !mapping_pages(fd, at, n, bits)) break;
    for (size_t i = 0; i < n; i++)
      pages += bits[i] >> 63;
    at += n * PAGE;
  }
  return pages * PAGE;
}

uint64_t mapping_rss(void) {
  char text[128];
  uint64_t size, resident;
  ssize_t n = os_slurp("/proc/self/statm", text, sizeof text);
  const char *p = text;
  if (n > 0 && take_decimal(&p, text + n, &size) && take_decimal(&p, text + n, &resident))
    return resident * PAGE;
  fallback(UL_FB_RSS_UNKNOWN);
  return 0;
}

/* ---- what is ours -------------------------------------------------------------- */

static bool range_add(struct range_list *list, uintptr_t start, uintptr_t end,
                      enum range_owner owner) {
  start &= ~(uintptr_t)(PAGE - 1);
  end = (end + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
  if (start >= end) return true;
  if (list->count == list->capacity) {
    size_t bytes = list->mapped_bytes ? list->mapped_bytes * 2 : 16 * PAGE;
    struct range *larger = os_map(bytes, PAGE, OS_TOOL);
    if (!larger) return false;
    if (list->count) memcpy(larger, list->ranges, list->count * sizeof *larger);
    mapping_ours_free(&(struct range_list){list->ranges, 0, 0, list->mapped_bytes});
    list->ranges = larger;
    list->mapped_bytes = bytes;
    list->capacity = bytes / sizeof *larger;
  }
  list->ranges[list->count++] = (struct range){start, end, owner};
  return true;
}

map_slot mapping_next_slot(uintptr_t *address) {
  const uintptr_t leaf_slots = 1 << MAP_LEAF_BITS;
  const uintptr_t slots = (uintptr_t)1 << (MAP_LEAF_BITS + MAP_ROOT_BITS);
  uintptr_t i = *address >> MAP_SHIFT;
  while (i < slots) {
    _Atomic(map_slot) *leaf =
        atomic_load_explicit(&map_root[i >> MAP_LEAF_BITS], memory_order_acquire);
    if (!leaf) {
      i = (i | (leaf_slots - 1)) + 1;
      continue;
    }
    map_slot s = atomic_load_explicit(&leaf[i & (leaf_slots - 1)], memory_order_acquire);
    if (s) {
      *address = i << MAP_SHIFT;
      return s;
    }
    i++;
  }
  return 0;
}

static bool add_heap(struct range_list *list) {
  uintptr_t at = 0;
  for (map_slot s; (s = mapping_next_slot(&at)); at += UL_ARENA_BYTES) {
    uintptr_t end = at + UL_ARENA_BYTES;
    if (map_is_large(s)) {
      struct large *l = map_large(s);
      uintptr_t stop = (uintptr_t)l->base + l->mapped;
      if (end > stop) end = stop;
    }
    struct range *last = list->count ? &list->ranges[list->count - 1] : NULL;
    if (last && last->end == at)
      last->end = end;
    else if (!range_add(list, at, end, RANGE_HEAP))
      return false;
  }
  return true;
}

static bool add_meta(struct range_list *list) {
  uintptr_t start;
  size_t bytes;
  for (unsigned i = 0; meta_range(i, &start, &bytes); i++)
    if (bytes && !range_add(list, start, start + bytes, RANGE_TOOL)) return false;
  return true;
}

/* Our own .data and .bss, which point to everything. From the linker's symbol for our
 * ELF header: dl_iterate_phdr would take the loader's lock, perhaps held by a frozen
 * thread. */
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

static bool add_own_data(struct range_list *list) {
  uintptr_t base = (uintptr_t)&__ehdr_start;
  const Elf64_Phdr *p = (const Elf64_Phdr *)(base + __ehdr_start.e_phoff);
  uintptr_t bias = base;
  for (int i = 0; i < __ehdr_start.e_phnum; i++)
    if (p[i].p_type == PT_LOAD && p[i].p_offset == 0) bias = base - p[i].p_vaddr;
  for (int i = 0; i < __ehdr_start.e_phnum; i++) {
    uintptr_t start = bias + p[i].p_vaddr;
    if (p[i].p_type != PT_LOAD || !(p[i].p_flags & PF_W)) continue;
    if (!range_add(list, start, start + p[i].p_memsz, RANGE_TOOL)) return false;
  }
  return true;
}

/* The header and the tables, whether a file is behind them yet or not. */
static bool add_recording(struct range_list *list) {
  if (!recording) return true;
  for (uint32_t i = 0; i < recording->segment_count; i++) {
    uintptr_t start = (uintptr_t)table_segment_address(i);
    if (!range_add(list, start, start + recording->segments[i].bytes, RANGE_TOOL))
      return false;
  }
  return range_add(list, (uintptr_t)recording, (uintptr_t)recording + UL_HEADER_BYTES,
                   RANGE_TOOL);
}

/* Comb sort: nearly sorted already, and libc's qsort may call malloc. */
static void range_sort(struct range_list *list) {
  size_t gap = list->count;
  for (bool swapped = true; gap > 1 || swapped;) {
    gap = gap * 10 / 13;
    if (gap == 0) gap = 1;
    swapped = false;
    for (size_t i = 0; i + gap < list->count; i++) {
      struct range *a = &list->ranges[i], *b = &list->ranges[i + gap];
      if (a->start <= b->start) continue;
      struct range t = *a;
      *a = *b;
      *b = t;
      swapped = true;
    }
  }
}

/* Joins neighbours of one owner; of two that overlap the first keeps what both claim. */
static void range_join(struct range_list *list) {
  size_t kept = 0;
  for (size_t i = 0; i < list->count; i++) {
    struct range r = list->ranges[i];
    struct range *last = kept ? &list->ranges[kept - 1] : NULL;
    if (last && r.start < last->end) r.start = last->end;
    if (r.start >= r.end) continue;
    if (last && last->end == r.start && last->owner == r.owner)
      last->end = r.end;
    else
      list->ranges[kept++] = r;
  }
  list->count = kept;
}

static bool add_all(struct range_list *list) {
  if (!add_heap(list) || !add_meta(list)) return false;
  if (!add_own_data(list) || !add_recording(list)) return false;
  uintptr_t itself = (uintptr_t)list->ranges;
  return range_add(list, itself, itself + list->mapped_bytes, RANGE_TOOL);
}

bool mapping_ours(struct range_list *list) {
  *list = (struct range_list){0};
  if (!add_all(list)) {
    mapping_ours_free(list);
    return false;
  }
  range_sort(list);
  range_join(list);
  return true;
}

void mapping_ours_free(struct range_list *list) {
  if (list->mapped_bytes) os_unmap(list->ranges, list->mapped_bytes, OS_TOOL);
  *list = (struct range_list){0};
}

/* ---- residency of the heap ----------------------------------------------------- */

static bool watching_writes(void) {
  return recording->writes == UL_EVIDENCE_PAGEMAP;
}

static bool collect_arena(int fd, struct ul_arena *r, uintptr_t base) {
  uint64_t bits[UL_ARENA_PAGES];
  if (!mapping_pages(fd, base, UL_ARENA_PAGES, bits)) return false;
  memset(r->resident, 0, sizeof r->resident);
  memset(r->written, 0, sizeof r->written);
  for (unsigned i = 0; i < UL_ARENA_PAGES; i++) {
    uint64_t bit = UINT64_C(1) << (i % 64);
    if (bits[i] & (PAGE_PRESENT | PAGE_SWAPPED)) r->resident[i / 64] |= bit;
    if (watching_writes() && bits[i] & PAGE_SOFT_DIRTY) r->written[i / 64] |= bit;
  }
  return true;
}

static bool collect_large(int fd, struct ul_large *r, uintptr_t base, size_t mapped) {
  uint64_t bits[BATCH];
  uint64_t resident = 0, resident_end = 0, written = 0;
  for (size_t at = 0; at < mapped;) {
    size_t n = (mapped - at) / PAGE < BATCH ? (mapped - at) / PAGE : BATCH;
    if (n == 0 || !mapping_pages(fd, base + at, n, bits)) return false;
    for (size_t i = 0; i < n; i++, at += PAGE) {
      if (watching_writes() && bits[i] & PAGE_SOFT_DIRTY) written += PAGE;
      if (!(bits[i] & (PAGE_PRESENT | PAGE_SWAPPED))) continue;
      resident += PAGE;
      resident_end = at + PAGE;
    }
  }
  r->resident_bytes = resident;
  r->resident_end = resident_end;
  r->written_bytes = written;
  return true;
}

static bool collect_slot(int fd, map_slot s, uintptr_t at) {
  if (!map_is_large(s)) {
    struct arena *a = map_arena(s);
    return !a->record || collect_arena(fd, a->record, at);
  }
  struct large *l = map_large(s);
  if ((uintptr_t)l->base != at || !l->in_use || !l->record) return true;
  return collect_large(fd, l->record, at, l->mapped);
}

static void collect_heap(int fd) {
  bool read = true;
  uintptr_t at = 0;
  for (map_slot s; read && (s = mapping_next_slot(&at)); at += UL_ARENA_BYTES)
    read = collect_slot(fd, s, at);
  recording->residency = !read     ? UL_EVIDENCE_NONE
                         : fd >= 0 ? UL_EVIDENCE_PAGEMAP
                                   : UL_EVIDENCE_MINCORE;
}

/* ---- UL_MAPPINGS --------------------------------------------------------------- */

static bool named(const struct mapped *m, const char *name) {
  return m->name_bytes >= strlen(name) && memcmp(m->name, name, strlen(name)) == 0;
}

static enum ul_mapping_kind kind_of(const struct mapped *m, const struct mapped *file) {
  if (m->shared && m->inode && m->inode == file->inode && m->device == file->device)
    return UL_MAP_RECORDING;
  if (m->shared) return UL_MAP_SHARED;
  if (m->inode) return m->write ? UL_MAP_DATA : UL_MAP_CODE;
  if (named(m, "[stack]")) return UL_MAP_STACK;
  if (named(m, "[heap]")) return UL_MAP_BRK;
  return m->execute && !m->write ? UL_MAP_CODE : UL_MAP_ANONYMOUS;
}

struct smaps {
  const char *text, *end;
  struct mapped file; /* the mapping of the recording's header */
  struct range_list ours;
  size_t next_range; /* the first that may touch the next line */
  int pagemap;
  uint32_t name; /* of the previous line */
  const char *name_text;
  size_t name_bytes;
};

/* Divides the line's rss. Ranges and lines are both in order of address. */
static void divide(struct smaps *s, struct ul_mapping *row) {
  const struct range_list *ours = &s->ours;
  while (s->next_range < ours->count && ours->ranges[s->next_range].end <= row->start)
    s->next_range++;
  for (size_t i = s->next_range; i < ours->count && ours->ranges[i].start < row->end;
       i++) {
    const struct range *r = &ours->ranges[i];
    uintptr_t start = r->start > row->start ? r->start : row->start;
    uintptr_t end = r->end < row->end ? r->end : row->end;
    bool whole = start == row->start && end == row->end;
    uint64_t left = row->rss - row->heap_rss - row->tool_rss;
    uint64_t bytes = whole ? row->rss : left ? resident_bytes(s->pagemap, start, end) : 0;
    if (bytes > left) bytes = left;
    *(r->owner == RANGE_HEAP ? &row->heap_rss : &row->tool_rss) += bytes;
  }
}

static uint32_t name_of(struct smaps *s, const struct mapped *m) {
  if (m->name_bytes == 0) return 0;
  bool same =
      s->name_bytes == m->name_bytes && memcmp(s->name_text, m->name, m->name_bytes) == 0;
  if (!same) s->name = table_text(m->name, m->name_bytes);
  s->name_text = m->name;
  s->name_bytes = m->name_bytes;
  return s->name;
}

/* "Rss:    12 kB", within the lines that follow a mapping's. */
static uint64_t rss_line(const char *p, const char *end) {
  uint64_t kb;
  if (end - p < 4 || memcmp(p, "Rss:", 4) != 0) return 0;
  p += 4;
  return take_decimal(&p, end, &kb) ? kb * 1024 : 0;
}

static size_t count_lines(struct smaps *s) {
  size_t n = 0;
  struct mapped m;
  for (const char *p = s->text; p < s->end;) {
    if (!mapping_line(&p, s->end, &m)) continue;
    n++;
    uintptr_t header = (uintptr_t)recording;
    if (m.shared && m.start <= header && header < m.end) s->file = m;
  }
  return n;
}

static uint64_t finish_row(struct smaps *s, struct ul_mapping *row) {
  if (!row) return 0;
  if (row->kind != UL_MAP_RECORDING) divide(s, row);
  return row->rss;
}

/* The sum of all rss. */
static uint64_t fill_rows(struct smaps *s, struct ul_mapping *rows, size_t count) {
  uint64_t sum = 0;
  struct ul_mapping *row = NULL;
  size_t used = 0;
  for (const char *p = s->text; p < s->end;) {
    const char *line = p;
    struct mapped m;
    if (!mapping_line(&p, s->end, &m)) {
      if (row) row->rss += rss_line(line, p);
      continue;
    }
    sum += finish_row(s, row);
    if (used == count) return sum;
    row = &rows[used++];
    *row = (struct ul_mapping){.start = m.start,
                               .end = m.end,
                               .kind = kind_of(&m, &s->file),
                               .name = name_of(s, &m)};
  }
  return sum + finish_row(s, row);
}

/* Where the last call of this process put them: a forked child has tables of its own. */
void *mapping_replace_rows(enum ul_table table, size_t n) {
  static struct {
    uint32_t first, n;
    int pid;
  } last[UL_TABLES], none;
  size_t bytes = recording->table[table].element_bytes;
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

static void collect_mappings(int fd) {
  struct smaps s = {.pagemap = fd};
  size_t bytes, mapped_bytes;
  char *text = mapping_text("/proc/self/smaps", &bytes, &mapped_bytes);
  s.text = text;
  s.end = text ? text + bytes : NULL;
  bool ours = text && mapping_ours(&s.ours);
  ours = ours &&
         range_add(&s.ours, (uintptr_t)text, (uintptr_t)text + mapped_bytes, RANGE_TOOL);
  size_t n = ours ? count_lines(&s) : 0;
  struct ul_mapping *rows = n ? mapping_replace_rows(UL_MAPPINGS, n) : NULL;
  if (ours) range_sort(&s.ours);
  if (rows)
    recording->end_rss_bytes = fill_rows(&s, rows, n);
  else
    fallback(UL_FB_RSS_UNKNOWN);
  mapping_ours_free(&s.ours);
  if (text) os_unmap(text, mapped_bytes, OS_TOOL);
}

void mapping_collect(void) {
  if (!recording) return;
  int fd = mapping_pagemap_open();
  collect_heap(fd);
  collect_mappings(fd);
  if (fd >= 0) os_close(fd);
}

/* ---- writes -------------------------------------------------------------------- */

static bool clear_soft_dirty(void) {
  int fd = os_open("/proc/self/clear_refs", O_WRONLY, 0);
  if (fd < 0) return false;
  bool done = os_append(fd, "4", 1);
  os_close(fd);
  return done;
}

static bool soft_dirty(int fd, const volatile char *page) {
  uint64_t bits = 0;
  return pages_by_pagemap(fd, (uintptr_t)page, 1, &bits) && bits & PAGE_SOFT_DIRTY;
}

/* Kernels without CONFIG_MEM_SOFT_DIRTY accept the write to clear_refs and then show no
 * bit: only a page that we write ourselves can tell. */
static bool mark_and_probe(int fd, volatile char *probe) {
  probe[0] = 1;
  if (!soft_dirty(fd, probe) || !clear_soft_dirty() || soft_dirty(fd, probe))
    return false;
  probe[0] = 2;
  return soft_dirty(fd, probe);
}

bool mapping_mark_writes(void) {
  if (!recording) return false;
  int fd = mapping_pagemap_open();
  char *probe = fd >= 0 ? os_map(PAGE, PAGE, OS_TOOL) : NULL;
  bool works = probe && mark_and_probe(fd, probe);
  if (probe) os_unmap(probe, PAGE, OS_TOOL);
  if (fd >= 0) os_close(fd);
  recording->writes_ms = works ? os_ms() - recording->start_mono_ns / 1000000 : 0;
  recording->writes = works ? UL_EVIDENCE_PAGEMAP : UL_EVIDENCE_NONE;
  return works;
}
