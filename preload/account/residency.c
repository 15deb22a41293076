/* residency.c - see residency.h.
 *
 * The kernel merges neighbouring anonymous mappings, so a line of smaps may hold
 * an arena, a piece of ullage's metadata and a buffer of the program's at once.
 * What the line says (rss) is exact; how it divides is counted page by page from
 * pagemap, within the ranges we know to be ours, and never exceeds the line. A
 * line that lies within one range needs no counting.
 *
 * smaps costs 5 us a line and 18 ns a page. Since Linux 6.7 maps and the runs of pages
 * that are present say the same for 1 us and 5 ns; but not of what has no such pages as
 * smaps counts: devices, and huge pages of hugetlbfs. Where there may be any, or old
 * kernels, it is smaps. */
#include "account/residency.h"

#include "account/mapping.h"
#include "base/os.h"
#include "heap/map.h"
#include "heap/types.h"
#include "recording/recording.h"

#include <fcntl.h>
#include <string.h>

enum { BATCH = 512, RUNS = 128 };
#define RUNS_END ((UINT64_C(1) << 47) - OS_PAGE) /* the kernel takes no more at once */

/* ---- the process --------------------------------------------------------------- */

uint64_t residency_rss(void) {
  char text[128];
  uint64_t size, resident;
  /* The way to a thread is longer, but of a leader that has ended there is nothing else.
   */
  const char *path =
      os_tid() == os_pid() ? "/proc/self/statm" : "/proc/thread-self/statm";
  ssize_t n = os_slurp(path, text, sizeof text);
  const char *p = text;
  if (n > 0 && mapping_number(&p, text + n, &size) &&
      mapping_number(&p, text + n, &resident))
    return resident * OS_PAGE;
  fallback(UL_FB_RSS_UNKNOWN);
  return 0;
}

/* ---- arenas and large blocks --------------------------------------------------- */

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
    size_t n = (mapped - at) / OS_PAGE < BATCH ? (mapped - at) / OS_PAGE : BATCH;
    if (n == 0 || !mapping_pages(fd, base + at, n, bits)) return false;
    for (size_t i = 0; i < n; i++, at += OS_PAGE) {
      if (watching_writes() && bits[i] & PAGE_SOFT_DIRTY) written += OS_PAGE;
      if (!(bits[i] & (PAGE_PRESENT | PAGE_SWAPPED))) continue;
      resident += OS_PAGE;
      resident_end = at + OS_PAGE;
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
  for (map_slot s; read && (s = map_next_slot(&at)); at += UL_ARENA_BYTES)
    read = collect_slot(fd, s, at);
  recording->residency = !read     ? UL_EVIDENCE_NONE
                         : fd >= 0 ? UL_EVIDENCE_PAGEMAP
                                   : UL_EVIDENCE_MINCORE;
}

/* ---- UL_MAPPINGS --------------------------------------------------------------- */

struct lines { /* of smaps, or of maps */
  const char *text, *end;
  bool by_runs;       /* the latter; what is resident say the runs of pages */
  bool unsure;        /* which cannot */
  struct mapped file; /* the mapping of the recording's header */
  struct range_list ours;
  size_t next_range; /* the first that may touch the next line */
  int pagemap;
  uint32_t name; /* of the previous line */
  const char *name_text;
  size_t name_bytes;
  struct page_run runs[RUNS]; /* some, from the one on that may touch the next line */
  unsigned run, run_count;
  uintptr_t run_at; /* where they go on */
};

static bool of_recording(const struct lines *s, const struct mapped *m) {
  return m->shared && m->inode && m->inode == s->file.inode &&
         m->device == s->file.device;
}

static enum ul_mapping_kind kind_of(const struct lines *s, const struct mapped *m) {
  if (of_recording(s, m)) return UL_MAP_RECORDING;
  if (m->shared) return UL_MAP_SHARED;
  if (m->inode) return m->write ? UL_MAP_DATA : UL_MAP_CODE;
  if (mapping_begins(m, "[stack]")) return UL_MAP_STACK;
  if (mapping_begins(m, "[heap]")) return UL_MAP_BRK;
  return m->execute && !m->write ? UL_MAP_CODE : UL_MAP_ANONYMOUS;
}

/* Bytes of [start, end) in resident pages, by the same meaning of resident as smaps'. */
static uint64_t resident_bytes(int fd, uintptr_t start, uintptr_t end) {
  uint64_t bits[BATCH], pages = 0;
  for (uintptr_t at = start; at < end;) {
    size_t n = (end - at) / OS_PAGE < BATCH ? (end - at) / OS_PAGE : BATCH;
    if (n == 0 || !mapping_pages(fd, at, n, bits)) break;
    for (size_t i = 0; i < n; i++)
      pages += bits[i] >> 63;
    at += n * OS_PAGE;
  }
  return pages * OS_PAGE;
}

/* Gives the ranges of one owner what the line has of them, as far as it has not been
 * given away. */
static void give(const struct lines *s, const struct ul_mapping *row,
                 enum range_owner owner, uint64_t left, uint64_t *rss) {
  const struct range_list *ours = &s->ours;
  for (size_t i = s->next_range; i < ours->count && ours->ranges[i].start < row->end;
       i++) {
    const struct range *r = &ours->ranges[i];
    if (r->owner != owner || *rss == left) continue;
    uintptr_t start = r->start > row->start ? r->start : row->start;
    uintptr_t end = r->end < row->end ? r->end : row->end;
    bool whole = start == row->start && end == row->end;
    uint64_t bytes = whole ? left : resident_bytes(s->pagemap, start, end);
    *rss += bytes < left - *rss ? bytes : left - *rss;
  }
}

/* Divides the line's rss. Ranges and lines are both in order of address. The heap comes
 * first: what has become resident since the line was written is ours, the text itself. */
static void divide(struct lines *s, struct ul_mapping *row) {
  const struct range_list *ours = &s->ours;
  while (s->next_range < ours->count && ours->ranges[s->next_range].end <= row->start)
    s->next_range++;
  give(s, row, RANGE_HEAP, row->rss, &row->heap_rss);
  give(s, row, RANGE_TOOL, row->rss - row->heap_rss, &row->tool_rss);
}

/* The texts from the first account's names to the last one's. Before each exec there is
 * an account, and most of its names were in the one before. */
static struct {
  uint32_t begin, end, before; /* `before`: where this account began */
} names;

static uint32_t earlier_name(const char *name, size_t bytes) {
  for (uint32_t at = names.begin; at < names.before;) {
    const char *text = table_at(UL_TEXT, at);
    size_t n = strlen(text);
    if (n == bytes && memcmp(text, name, n) == 0) return at;
    at += (uint32_t)n + 1;
  }
  return 0;
}

static uint32_t text_of(const char *name, size_t bytes) {
  uint32_t at = earlier_name(name, bytes);
  if (at) return at;
  at = table_text(name, bytes);
  if (!at) return 0;
  if (!names.begin) names.begin = at;
  names.end = at + (uint32_t)bytes + 1;
  return at;
}

static uint32_t name_of(struct lines *s, const struct mapped *m) {
  if (m->name_bytes == 0) return 0;
  bool same =
      s->name_bytes == m->name_bytes && memcmp(s->name_text, m->name, m->name_bytes) == 0;
  if (!same) s->name = text_of(m->name, m->name_bytes);
  s->name_text = m->name;
  s->name_bytes = m->name_bytes;
  return s->name;
}

/* "Rss:    12 kB", "VmHWM:\t  12 kB"; 0: it is another line. */
static uint64_t line_bytes(const char *p, const char *end, const char *label) {
  size_t n = strlen(label);
  uint64_t kb;
  if ((size_t)(end - p) <= n || memcmp(p, label, n) != 0) return 0;
  p += n;
  if (*p == '\t') p++;
  return mapping_number(&p, end, &kb) ? kb * 1024 : 0;
}

/* Of what the kernel has there for all, only its code is pages like others. */
static bool of_kernel(const struct mapped *m) {
  return mapping_begins(m, "[v");
}

/* A device's pages are no file's; but those that the program has written itself neither.
 */
static bool runs_may_err(const struct mapped *m) {
  return !m->shared && mapping_is_device(m) && !of_kernel(m);
}

static bool more_runs(struct lines *s, uintptr_t from) {
  enum { ALIKE = RUN_PRESENT | RUN_FILE | RUN_ZERO | RUN_HUGE };
  uintptr_t at = s->run_at < from ? from : s->run_at, before = at;
  int n = at < RUNS_END
              ? mapping_runs(s->pagemap, &at, RUNS_END, RUN_PRESENT, ALIKE, s->runs, RUNS)
              : 0;
  if (n < 0 || (n && at == before)) s->unsure = true;
  s->run = 0;
  s->run_count = n > 0 ? (unsigned)n : 0;
  s->run_at = at;
  return s->run_count && !s->unsure;
}

/* Those of one mapping; they come in order. A file's that are huge may be hugetlbfs's. */
static uint64_t run_bytes(struct lines *s, const struct mapped *m) {
  uint64_t bytes = 0;
  if (of_kernel(m) && !mapping_begins(m, "[vdso]")) return 0;
  s->unsure |= m->end > RUNS_END;
  if (s->unsure) return 0;
  while (s->run < s->run_count || more_runs(s, m->start)) {
    const struct page_run *r = &s->runs[s->run];
    if (r->start >= m->end) break;
    uint64_t start = r->start > m->start ? r->start : m->start;
    uint64_t end = r->end < m->end ? r->end : m->end;
    bool counts = m->shared ? r->is & RUN_FILE : !(r->is & RUN_ZERO);
    if (start < end && counts) bytes += end - start;
    s->unsure |= start < end && r->is & RUN_HUGE && m->inode;
    if (r->end > m->end) break;
    s->run++;
  }
  return bytes;
}

static size_t count_lines(struct lines *s) {
  size_t n = 0;
  struct mapped m;
  for (const char *p = s->text; p < s->end;) {
    if (!mapping_line(&p, s->end, &m)) continue;
    n++;
    uintptr_t header = (uintptr_t)recording;
    if (m.shared && m.start <= header && header < m.end) s->file = m;
  }
  for (const char *p = s->text; p < s->end && s->by_runs;)
    s->unsure |= mapping_line(&p, s->end, &m) && runs_may_err(&m);
  return n;
}

static uint64_t finish_row(struct lines *s, struct ul_mapping *row) {
  if (!row) return 0;
  if (row->kind != UL_MAP_RECORDING) divide(s, row);
  return row->rss;
}

/* The sum of all rss. */
static uint64_t fill_rows(struct lines *s, struct ul_mapping *rows, size_t count) {
  uint64_t sum = 0;
  struct ul_mapping *row = NULL;
  size_t used = 0;
  for (const char *p = s->text; p < s->end;) {
    const char *line = p;
    struct mapped m;
    if (!mapping_line(&p, s->end, &m)) {
      if (row) row->rss += line_bytes(line, p, "Rss:");
      continue;
    }
    sum += finish_row(s, row);
    if (used == count) return sum;
    row = &rows[used++];
    *row = (struct ul_mapping){
        .start = m.start, .end = m.end, .kind = kind_of(s, &m), .name = name_of(s, &m)};
    if (s->by_runs) row->rss = run_bytes(s, &m);
  }
  return sum + finish_row(s, row);
}

/* false: it has to be the other way. */
static bool collect_lines(int pagemap, bool by_runs) {
  struct lines s = {.pagemap = pagemap, .by_runs = by_runs};
  size_t bytes, mapped_bytes;
  names.before = names.end;
  const char *path = by_runs ? "/proc/thread-self/maps" : "/proc/thread-self/smaps";
  char *text = mapping_text(path, &bytes, &mapped_bytes);
  s.text = text;
  s.end = text ? text + bytes : NULL;
  bool ours = text && mapping_ours(&s.ours);
  ours =
      ours && mapping_ours_add(&s.ours, (uintptr_t)text, (uintptr_t)text + mapped_bytes);
  size_t n = ours ? count_lines(&s) : 0;
  struct ul_mapping *rows = n && !s.unsure ? table_replace_rows(UL_MAPPINGS, n) : NULL;
  uint64_t sum = rows ? fill_rows(&s, rows, n) : 0;
  if (rows && !s.unsure)
    recording->end_rss_bytes = sum;
  else if (!s.unsure)
    fallback(UL_FB_RSS_UNKNOWN);
  mapping_ours_free(&s.ours);
  if (text) mapping_keep(text, bytes, mapped_bytes);
  return !s.unsure;
}

/* Of a page that is there. */
static bool has_runs(int pagemap) {
  struct page_run run;
  uintptr_t at = (uintptr_t)recording, end = at + OS_PAGE;
  return pagemap >= 0 &&
         mapping_runs(pagemap, &at, end, RUN_PRESENT, RUN_PRESENT, &run, 1) == 1;
}

static void collect_mappings(int pagemap) {
  if (!has_runs(pagemap) || !collect_lines(pagemap, true)) collect_lines(pagemap, false);
}

/* ---- at the end ---------------------------------------------------------------- */

/* What getrusage() says may be of the program before an exec. */
static uint64_t most_rss(void) {
  size_t bytes, mapped_bytes;
  uint64_t most = 0;
  char *text = mapping_text("/proc/thread-self/status", &bytes, &mapped_bytes);
  for (const char *p = text, *end = p ? p + bytes : NULL; p < end && !most;) {
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    const char *next = newline ? newline + 1 : end;
    most = line_bytes(p, next, "VmHWM:");
    p = next;
  }
  if (text) os_unmap(text, mapped_bytes, OS_TOOL);
  if (!most) fallback(UL_FB_RSS_UNKNOWN);
  return most;
}

void residency_collect(void) {
  if (!recording) return;
  int fd = mapping_pagemap_open();
  collect_heap(fd);
  collect_mappings(fd);
  recording->most_rss_bytes = most_rss();
  if (fd >= 0) os_close(fd);
}

/* ---- writes -------------------------------------------------------------------- */

static bool clear_soft_dirty(void) {
  int fd = os_open("/proc/thread-self/clear_refs", O_WRONLY, 0);
  if (fd < 0) return false;
  int error = os_append(fd, "4", 1);
  os_close(fd);
  return error == 0;
}

static bool soft_dirty(int fd, const volatile char *page) {
  uint64_t bits = 0;
  return mapping_pages(fd, (uintptr_t)page, 1, &bits) && bits & PAGE_SOFT_DIRTY;
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

bool residency_mark_writes(void) {
  if (!recording) return false;
  int fd = mapping_pagemap_open();
  char *probe = fd >= 0 ? os_map(OS_PAGE, OS_PAGE, OS_TOOL) : NULL;
  bool works = probe && mark_and_probe(fd, probe);
  if (probe) os_unmap(probe, OS_PAGE, OS_TOOL);
  if (fd >= 0) os_close(fd);
  recording->writes_ms = works ? recording_ms() : 0;
  recording->writes = works ? UL_EVIDENCE_PAGEMAP : UL_EVIDENCE_NONE;
  return works;
}
