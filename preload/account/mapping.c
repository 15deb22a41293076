/* mapping.c - see mapping.h.
 *
 * Our ranges come from the map of addresses, not from the lists: the map also
 * knows the freed large blocks that are kept in the cache, and comes in order. */
#include "account/mapping.h"

#include "base/meta.h"
#include "base/os.h"
#include "base/text.h"
#include "heap/map.h"
#include "recording/window.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

enum { BATCH = 512, TEXT_BYTES = 256 * 1024 };

/* ---- text of /proc ------------------------------------------------------------- */

static char *text_grow(char *text, size_t *mapped_bytes) {
  char *larger = os_map(*mapped_bytes * 2, OS_PAGE, OS_TOOL);
  if (larger) memcpy(larger, text, *mapped_bytes);
  os_unmap(text, *mapped_bytes, OS_TOOL);
  *mapped_bytes *= 2;
  return larger;
}

static char *text_read(int fd, size_t *bytes, size_t *mapped_bytes) {
  *mapped_bytes = TEXT_BYTES;
  char *text = os_map(*mapped_bytes, OS_PAGE, OS_TOOL);
  *bytes = 0;
  while (text) {
    ssize_t n = os_read_all(fd, text + *bytes, *mapped_bytes - *bytes, *bytes);
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

static struct kept_text last_text;

void mapping_keep(char *text, size_t bytes, size_t mapped_bytes) {
  mapping_forget();
  last_text = (struct kept_text){text, bytes, mapped_bytes};
}

struct kept_text mapping_kept(void) {
  return last_text;
}

void mapping_forget(void) {
  if (last_text.text) os_unmap(last_text.text, last_text.mapped_bytes, OS_TOOL);
  last_text = (struct kept_text){0};
}

/* The hexadecimal number at *p; false if there is none, or it does not end in `after`. */
static bool take_hex(const char **p, const char *end, char after, uint64_t *value) {
  const char *s = *p;
  *value = text_hex(&s, end);
  if (s == *p || s == end || *s != after) return false;
  *p = s + 1;
  return true;
}

bool mapping_number(const char **cursor, const char *end, uint64_t *value) {
  while (*cursor < end && **cursor == ' ')
    ++*cursor;
  const char *digits = *cursor;
  *value = text_decimal(cursor, end);
  return *cursor > digits;
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
  if (!take_hex(&p, end, ' ', &minor) || !mapping_number(&p, end, &m->inode))
    return false;
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

bool mapping_begins(const struct mapped *m, const char *name) {
  size_t n = strlen(name);
  return m->name_bytes >= n && memcmp(m->name, name, n) == 0;
}

bool mapping_is_device(const struct mapped *m) {
  if (mapping_begins(m, "anon_inode:") || mapping_begins(m, "/dmabuf:") ||
      mapping_begins(m, "/sys/"))
    return true;
  if (!mapping_begins(m, "/dev/")) return mapping_begins(m, "[v");
  return !mapping_begins(m, "/dev/zero") && !mapping_begins(m, "/dev/shm/") &&
         !mapping_begins(m, "/dev/hugepages");
}

bool mapping_of_device(const char *line, const char *end) {
  static const char name[] = "VmFlags:";
  size_t n = sizeof name - 1;
  if ((size_t)(end - line) < n || memcmp(line, name, n) != 0) return false;
  for (line += n; end - line >= 3 && line[0] == ' '; line += 3)
    if (!memcmp(line, " io", 3) || !memcmp(line, " pf", 3)) return true;
  return false;
}

/* ---- pages --------------------------------------------------------------------- */

int mapping_pagemap_open(void) {
  return os_open("/proc/thread-self/pagemap", O_RDONLY, 0);
}

static bool pages_by_pagemap(int fd, uintptr_t start, size_t pages, uint64_t *bits) {
  uint64_t offset = start / OS_PAGE * sizeof *bits;
  return os_read_at(fd, bits, pages * sizeof *bits, offset) == 0;
}

static bool pages_by_mincore(uintptr_t start, size_t pages, uint64_t *bits) {
  unsigned char present[BATCH];
  for (size_t done = 0; done < pages;) {
    size_t n = pages - done < BATCH ? pages - done : BATCH;
    if (os_in_memory(start + done * OS_PAGE, n * OS_PAGE, present) != 0) return false;
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

struct page_scan { /* struct pm_scan_arg */
  uint64_t size, flags, start, end, walk_end, runs, runs_length, max_pages;
  uint64_t inverted, mask, any_of, alike;
};
#define PAGEMAP_SCAN_REQUEST _IOWR('f', 16, struct page_scan)

int mapping_runs(int fd, uintptr_t *start, uintptr_t end, unsigned any_of, unsigned alike,
                 struct page_run *runs, size_t length) {
  struct page_scan request = {.size = sizeof request,
                              .start = os_page_of(*start),
                              .end = os_whole_pages(end),
                              .runs = (uintptr_t)runs,
                              .runs_length = length,
                              .any_of = any_of,
                              .alike = alike};
  int n = os_ioctl(fd, PAGEMAP_SCAN_REQUEST, &request);
  if (n < 0) return n;
  if (request.walk_end > *start) *start = request.walk_end;
  return n;
}

/* ---- what is ours -------------------------------------------------------------- */

static bool range_add(struct range_list *list, uintptr_t start, uintptr_t end,
                      enum range_owner owner) {
  start = os_page_of(start);
  end = os_whole_pages(end);
  if (start >= end) return true;
  if (list->count == list->capacity) {
    size_t bytes = list->mapped_bytes ? list->mapped_bytes * 2 : 16 * OS_PAGE;
    struct range *larger = os_map(bytes, OS_PAGE, OS_TOOL);
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

static bool add_heap(struct range_list *list) {
  uintptr_t at = 0;
  for (map_slot s; (s = map_next_slot(&at)); at += UL_ARENA_BYTES) {
    uintptr_t end = at + UL_ARENA_BYTES;
    if (map_is_large(s)) {
      struct large *l = map_large(s);
      uintptr_t stop = (uintptr_t)l->base + l->mapped + l->reserve;
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

/* The recording, whether a file is behind it yet or not. */
static bool add_recording(struct range_list *list) {
  uintptr_t start;
  size_t bytes;
  for (unsigned i = 0; window_range(i, &start, &bytes); i++)
    if (!range_add(list, start, start + bytes, RANGE_TOOL)) return false;
  return true;
}

/* Comb sort: nearly sorted already, and libc's qsort may call malloc. */
void mapping_sort(struct range_list *list) {
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
  mapping_sort(list);
  range_join(list);
  return true;
}

bool mapping_ours_add(struct range_list *list, uintptr_t start, uintptr_t end) {
  if (!range_add(list, start, end, RANGE_TOOL)) return false;
  mapping_sort(list);
  return true;
}

void mapping_ours_free(struct range_list *list) {
  if (list->mapped_bytes) os_unmap(list->ranges, list->mapped_bytes, OS_TOOL);
  *list = (struct range_list){0};
}
