#include "recording/window.h"

#include "base/os.h"
#include "recording/recording.h"
#include "recording/tree.h"

#include <errno.h>
#include <string.h>

struct window {
  unsigned whose;
  char *at;
  uint64_t offset;
  size_t bytes;  /* whole pages */
  size_t used;   /* given out */
  size_t backed; /* whole pages: have room in the file, or would have */
};
/* A common one is a quarter of all before, at least COMMON_LEAST but for the first, for a
 * forked child moves them one by one; and one of somebody's own a half of what is in the
 * others of it (table.c): this many reach any length. */
enum { HEADER, RESERVE, WINDOWS = 256 };
enum { WINDOW_LEAST = 16 << 10, COMMON_LEAST = 64 << 10, END_GRAIN = 64 << 10 };

static struct window windows[WINDOWS];
static unsigned count;
static uint32_t header_pages; /* bit a page: in use; in place of `used` and `backed` */
static char *staged[WINDOWS];
static bool in_file;
static uint64_t file_length;

static char *copied;
static size_t copied_bytes;

/* ---- giving out ---------------------------------------------------------------- */

static struct window *last(void) {
  return &windows[count - 1];
}

static uint64_t end_of(const struct window *w) {
  return w->offset + w->bytes;
}

/* From the last page of what is mapped. */
static enum window_answer map_file(const struct window *before, struct window *w) {
  void *at;
  if (os_injected(OS_OP_FALLOCATE)) return WINDOW_NO_ROOM;
  if (os_map_again(&at, before->at + before->bytes - OS_PAGE, OS_PAGE + w->bytes))
    return WINDOW_NO_MEMORY;
  os_unmap_file(at, OS_PAGE);
  w->at = (char *)at + OS_PAGE;
  return WINDOW_FINE;
}

static enum window_answer map_private(struct window *w) {
  w->at = os_map(w->bytes, OS_PAGE, OS_TOOL);
  return w->at ? WINDOW_FINE : WINDOW_NO_MEMORY;
}

static size_t size_for(size_t bytes, unsigned whose, size_t ahead) {
  size_t before = whose == WINDOW_COMMON ? end_of(last()) - end_of(&windows[RESERVE]) : 0;
  if (before) ahead = before / 4 > COMMON_LEAST ? before / 4 : COMMON_LEAST;
  return ((bytes > ahead ? bytes : ahead) + WINDOW_LEAST - 1) &
         ~(size_t)(WINDOW_LEAST - 1);
}

/* As long as the file may be, if it may not be longer. */
static void fit_into_file(struct window *w) {
  if (end_of(w) > file_length) file_length = recording_lengthen(end_of(w));
  if (end_of(w) <= file_length) return;
  w->bytes = file_length > w->offset ? (size_t)(file_length - w->offset) : 0;
}

static struct window planned(size_t bytes, unsigned whose, size_t ahead) {
  return (struct window){.whose = whose,
                         .bytes = size_for(bytes, whose, ahead),
                         .offset = count ? end_of(last()) : 0};
}

static enum window_answer add(size_t bytes, unsigned whose, size_t ahead) {
  if (count == WINDOWS) return WINDOW_TOO_LONG;
  struct window w = planned(bytes, whose, ahead);
  if (in_file) fit_into_file(&w);
  if (w.bytes < bytes) return WINDOW_TOO_LONG;
  enum window_answer answer = in_file ? map_file(last(), &w) : map_private(&w);
  if (answer == WINDOW_FINE) windows[count++] = w;
  return answer;
}

static enum window_answer give_room(char *at, size_t bytes) {
  if (!in_file) return WINDOW_FINE;
  if (!tree_charge(bytes)) return WINDOW_BOUND;
  if (os_back(at, bytes) == 0) return WINDOW_FINE;
  tree_charge_back(bytes);
  return WINDOW_NO_ROOM;
}

/* Room in the file for its first `bytes`. */
static enum window_answer back(struct window *w, size_t bytes) {
  size_t wanted = os_whole_pages(bytes);
  if (wanted <= w->backed) return WINDOW_FINE;
  enum window_answer answer = give_room(w->at + w->backed, wanted - w->backed);
  if (answer == WINDOW_FINE) w->backed = wanted;
  return answer;
}

/* What every process has is one mapping, which a child can move at once. */
void *window_begin(size_t header_bytes, size_t reserve) {
  const size_t bytes[] = {header_bytes, reserve, WINDOW_LEAST};
  enum { FIRST = sizeof bytes / sizeof *bytes };
  for (count = 0; count < FIRST; count++)
    windows[count] =
        planned(bytes[count], count > RESERVE ? WINDOW_COMMON : WINDOW_RESERVE, 0);
  char *at = os_map(end_of(last()), OS_PAGE, OS_TOOL);
  if (!at) count = 0;
  for (unsigned i = 0; i < count; i++)
    windows[i].at = at + windows[i].offset;
  header_pages = 1;
  return at;
}

uint64_t window_end(void) {
  uint64_t end = (end_of(last()) + END_GRAIN - 1) & ~(uint64_t)(END_GRAIN - 1);
  return in_file && end > file_length ? file_length : end;
}

static bool fits(const struct window *w, size_t bytes) {
  return w->used + bytes <= w->bytes;
}

/* The one that its takers go on with; NULL: it has no room for that. */
static struct window *open_window(unsigned whose, size_t bytes) {
  for (unsigned i = count; i-- > RESERVE;)
    if (windows[i].whose == whose) return fits(&windows[i], bytes) ? &windows[i] : NULL;
  return NULL;
}

static enum window_answer find(size_t bytes, unsigned whose, size_t ahead,
                               struct window **w) {
  *w = open_window(whose, bytes);
  if (!*w && whose == WINDOW_RESERVE) *w = open_window(whose = WINDOW_COMMON, bytes);
  if (*w) return WINDOW_FINE;
  enum window_answer answer = add(bytes, whose, ahead);
  *w = last();
  return answer;
}

enum window_answer window_take(size_t bytes, unsigned whose, size_t ahead, char **at,
                               uint64_t *offset) {
  struct window *w;
  enum window_answer answer = find(bytes, whose, ahead, &w);
  if (answer == WINDOW_FINE) answer = back(w, w->used + bytes);
  if (answer != WINDOW_FINE) return answer;
  *at = w->at + w->used;
  *offset = w->offset + w->used;
  w->used += bytes;
  return WINDOW_FINE;
}

enum window_answer window_back_header(size_t offset, size_t bytes) {
  struct window *w = &windows[HEADER];
  for (size_t page = offset / OS_PAGE; page * OS_PAGE < offset + bytes; page++) {
    if (header_pages & 1u << page) continue;
    enum window_answer answer = give_room(w->at + page * OS_PAGE, OS_PAGE);
    if (answer != WINDOW_FINE) return answer;
    header_pages |= 1u << page;
  }
  return WINDOW_FINE;
}

void window_back_ahead(size_t bytes) {
  struct window *w;
  if (find(bytes, WINDOW_COMMON, 0, &w) == WINDOW_FINE) back(w, w->used + bytes);
}

static size_t header_used(void) {
  return (size_t)__builtin_popcount(header_pages) * OS_PAGE;
}

size_t window_used(void) {
  size_t bytes = header_used();
  for (unsigned i = RESERVE; i < count; i++)
    bytes += os_whole_pages(windows[i].used);
  return bytes;
}

size_t window_backed(void) {
  size_t bytes = header_used();
  for (unsigned i = RESERVE; i < count; i++)
    bytes += windows[i].backed;
  return in_file ? bytes : 0;
}

bool window_range(unsigned i, uintptr_t *start, size_t *bytes) {
  if (i >= count) return false;
  *start = (uintptr_t)windows[i].at;
  *bytes = windows[i].bytes;
  return true;
}

/* ---- a file in their place ----------------------------------------------------- */

static void drop_staged(void) {
  for (unsigned i = 0; i < count; i++) {
    if (staged[i]) os_unmap_file(staged[i], windows[i].bytes);
    staged[i] = NULL;
  }
}

/* What of a window is in use, one page or run of them after the other; 0: no more. */
static size_t next_used(unsigned i, size_t *offset, size_t after) {
  if (i != HEADER) {
    *offset = 0;
    return after ? 0 : windows[i].used;
  }
  size_t page = after / OS_PAGE;
  while (page < 32 && !(header_pages >> page & 1))
    page++;
  *offset = page * OS_PAGE;
  return page < 32 ? OS_PAGE : 0;
}

static void copy_used(unsigned i, char *to) {
  size_t offset, bytes, after = 0;
  for (; (bytes = next_used(i, &offset, after)); after = offset + bytes)
    memcpy(to + offset, windows[i].at + offset, bytes);
}

static void populate_used(unsigned i, char *at) {
  size_t offset, bytes, after = 0;
  for (; (bytes = next_used(i, &offset, after)); after = offset + bytes)
    os_populate(at + offset, os_whole_pages(bytes));
}

static int back_used(unsigned i, char *at) {
  size_t offset, bytes, after = 0;
  int error = 0;
  for (; !error && (bytes = next_used(i, &offset, after)); after = offset + bytes)
    error = os_back(at + offset, os_whole_pages(bytes));
  return error;
}

/* From window `first` on: up to which each lies behind the one before, and in how many
 * bytes. */
static unsigned run_from(unsigned first, size_t *bytes) {
  unsigned i = first;
  *bytes = 0;
  do
    *bytes += windows[i].bytes;
  while (++i < count && windows[i].at == windows[first].at + *bytes);
  return i;
}

static int fill_staged(unsigned i) {
  char *at = staged[i];
  int error = back_used(i, at);
  if (!error) copy_used(i, at);
  return error;
}

static int stage_run(unsigned first, unsigned end, size_t bytes, int fd) {
  void *at = NULL;
  int error = os_map_file(&at, fd, windows[first].offset, bytes);
  if (error) return error;
  char *here = at;
  for (unsigned i = first; i < end; here += windows[i++].bytes) {
    staged[i] = here;
    if (!error) error = fill_staged(i);
  }
  return error;
}

int window_stage(int fd, uint64_t length) {
  int error = end_of(last()) > length ? -EFBIG : 0;
  size_t bytes;
  for (unsigned i = 0, end; !error && i < count; i = end) {
    end = run_from(i, &bytes);
    error = stage_run(i, end, bytes, fd);
  }
  if (!error && !tree_charge(window_used())) error = -EDQUOT;
  file_length = length;
  if (error) drop_staged();
  return error;
}

void window_unstage(void) {
  tree_charge_back(window_used());
  drop_staged();
}

bool window_switch(void) {
  bool done = true;
  size_t bytes;
  for (unsigned i = 0, end; i < count; i = end) {
    end = run_from(i, &bytes);
    done = done && os_take_place(staged[i], bytes, windows[i].at, bytes) == 0;
  }
  for (unsigned i = 0; i < count; i++) {
    struct window *w = &windows[i];
    staged[i] = NULL;
    w->backed = os_whole_pages(w->used);
    os_uncount(w->bytes, OS_TOOL);
  }
  return in_file = done;
}

/* ---- fork ---------------------------------------------------------------------- */

static size_t mapped(void) {
  size_t bytes = 0;
  for (unsigned i = 0; i < count; i++)
    bytes += windows[i].bytes;
  return bytes;
}

/* Laid out as the windows are, one after the other: what is not used is not written. Page
 * faults are most of what it costs, here and in the fork, so it has huge pages, if it can
 * have them, and is populated by runs. */
bool window_copy(void) {
  enum { HUGE = 2 << 20 };
  bool large = mapped() >= HUGE;
  copied_bytes = large ? (mapped() + HUGE - 1) & ~(size_t)(HUGE - 1) : mapped();
  char *to = copied = os_map(copied_bytes, large ? HUGE : OS_PAGE, OS_TOOL);
  if (to && large) os_prefer_huge(to, copied_bytes);
  for (unsigned i = 0; to && i < count; i++) {
    populate_used(i, to);
    copy_used(i, to);
    to += windows[i].bytes;
  }
  return copied != NULL;
}

void window_drop_copy(void) {
  if (copied) os_unmap(copied, copied_bytes, OS_TOOL);
  copied = NULL;
}

static int make_private(char *at, size_t bytes, char *from) {
  return from ? os_take_place(from, bytes, at, bytes) : os_map_over(at, bytes);
}

int window_become_copy(void) {
  char *from = copied;
  int error = 0;
  size_t bytes;
  for (unsigned i = 0, end; i < count; i = end) {
    end = run_from(i, &bytes);
    int failed = make_private(windows[i].at, bytes, from);
    if (failed) error = failed;
    if (from) from += bytes;
  }
  in_file = false;
  if (!error && !copied) error = -ENODATA;
  if (from && from < copied + copied_bytes)
    os_unmap(from, (size_t)(copied + copied_bytes - from), OS_TOOL);
  copied = NULL;
  return error;
}
