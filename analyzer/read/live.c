#include "read/live.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PRESENT (1ull << 63)
#define BATCH 512u

struct look {
  struct recording *r;
  int pagemap;
  struct stat file; /* the recording's, to know its mapping */
  struct ul_mapping *mappings;
  size_t count, capacity;
  uint64_t rss;
};

static int open_of(const struct recording *r, const char *what) {
  char name[64];
  snprintf(name, sizeof name, "/proc/%" PRId32 "/%s", recording_header(r)->pid, what);
  return open(name, O_RDONLY | O_CLOEXEC);
}

/* ---- mappings ------------------------------------------------------------------ */

static enum ul_mapping_kind kind_of(const struct look *l, const char *permissions,
                                    unsigned major_, unsigned minor_, uint64_t inode,
                                    const char *name) {
  if (inode && inode == l->file.st_ino && makedev(major_, minor_) == l->file.st_dev)
    return UL_MAP_RECORDING;
  if (permissions[3] == 's') return UL_MAP_SHARED;
  if (strcmp(name, "[stack]") == 0) return UL_MAP_STACK;
  if (strcmp(name, "[heap]") == 0) return UL_MAP_BRK;
  if (strncmp(name, "[v", 2) == 0) return UL_MAP_CODE; /* vdso, vvar, vsyscall */
  if (!inode) return UL_MAP_ANONYMOUS;
  return permissions[1] == 'w' ? UL_MAP_DATA : UL_MAP_CODE;
}

static bool add_mapping(struct look *l, const char *line) {
  struct ul_mapping m = {0};
  char permissions[5], name[64] = "";
  unsigned major_, minor_;
  uint64_t inode;
  if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %x:%x %" SCNu64 " %63s", &m.start,
             &m.end, permissions, &major_, &minor_, &inode, name) < 6)
    return true;
  if (l->count == l->capacity) {
    size_t capacity = l->capacity * 2 + 256;
    struct ul_mapping *more = realloc(l->mappings, capacity * sizeof *more);
    if (!more) return false;
    l->mappings = more;
    l->capacity = capacity;
  }
  m.kind = kind_of(l, permissions, major_, minor_, inode, name);
  l->mappings[l->count++] = m;
  return true;
}

static bool read_mappings(struct look *l) {
  int fd = open_of(l->r, "smaps");
  FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
  char *line = NULL;
  size_t size = 0;
  uint64_t kib;
  bool good = f;
  if (!f && fd >= 0) close(fd);
  while (good && getline(&line, &size, f) > 0) {
    if (sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1) {
      if (l->count) l->mappings[l->count - 1].rss += kib * 1024;
      l->rss += kib * 1024;
    } else {
      good = add_mapping(l, line);
    }
  }
  free(line);
  if (f) fclose(f);
  return good && l->count;
}

/* ---- pages --------------------------------------------------------------------- */

static struct ul_mapping *mapping_of(const struct look *l, uint64_t address) {
  size_t low = 0, high = l->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (l->mappings[middle].end <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low < l->count && l->mappings[low].start <= address ? &l->mappings[low] : NULL;
}

static void count_page(struct look *l, uint64_t address) {
  struct ul_mapping *m = mapping_of(l, address);
  if (m && m->heap_rss + UL_PAGE_BYTES <= m->rss) m->heap_rss += UL_PAGE_BYTES;
}

/* Calls for each resident page below `bytes` from `base`. */
typedef void page_visit(void *what, uint64_t page);
static bool each_resident(struct look *l, uint64_t base, uint64_t bytes,
                          page_visit *visit, void *what) {
  uint64_t pages = bytes / UL_PAGE_BYTES, words[BATCH];
  for (uint64_t done = 0; done < pages;) {
    uint64_t n = pages - done < BATCH ? pages - done : BATCH;
    off_t at = (off_t)((base / UL_PAGE_BYTES + done) * sizeof *words);
    ssize_t got = pread(l->pagemap, words, n * sizeof *words, at);
    if (got < (ssize_t)sizeof *words) return got == 0;
    n = (uint64_t)got / sizeof *words;
    for (uint64_t i = 0; i < n; i++) {
      if (!(words[i] & PRESENT)) continue;
      visit(what, done + i);
      count_page(l, base + (done + i) * UL_PAGE_BYTES);
    }
    done += n;
  }
  return true;
}

static void arena_page(void *what, uint64_t page) {
  ((struct ul_arena *)what)->resident[page / 64] |= 1ull << page % 64;
}

static void large_page(void *what, uint64_t page) {
  struct ul_large *large = what;
  large->resident_bytes += UL_PAGE_BYTES;
  large->resident_end = (page + 1) * UL_PAGE_BYTES;
}

/* The elements are ours: the reader's copy. */
static bool read_pages(struct look *l) {
  bool good = true;
  for (uint64_t i = 0; good && i < recording_count(l->r, UL_ARENAS); i++) {
    struct ul_arena *a = (struct ul_arena *)recording_arena(l->r, i);
    memset(a->resident, 0, sizeof a->resident);
    if (a->base) good = each_resident(l, a->base, UL_ARENA_BYTES, arena_page, a);
  }
  for (uint64_t i = 0; good && i < recording_count(l->r, UL_LARGES); i++) {
    struct ul_large *large = (struct ul_large *)recording_large(l->r, i);
    large->resident_bytes = large->resident_end = 0;
    if (large->base)
      good = each_resident(l, large->base, large->mapped_bytes, large_page, large);
  }
  return good;
}

bool live_look(struct recording *r) {
  struct look l = {.r = r};
  if (recording_header(r)->end_ms || !recording_runs(r)) return false;
  if (stat(recording_path(r), &l.file) != 0) l.file.st_ino = 0;
  l.pagemap = open_of(r, "pagemap");
  bool good = l.pagemap >= 0 && read_mappings(&l) && read_pages(&l) && recording_runs(r);
  if (l.pagemap >= 0) close(l.pagemap);
  if (good)
    recording_observe(r, l.mappings, l.count, l.rss);
  else
    free(l.mappings);
  return good;
}
