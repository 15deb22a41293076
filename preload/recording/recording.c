#include "recording/recording.h"

#include "base/os.h"
#include "base/page.h"
#include "base/text.h"
#include "recording/tree.h"
#include "recording/window.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

/* What a fork may copy: about 2 million live blocks, some milliseconds. */
enum { COPY_MAX = 16 << 20 };

static char path[PATH_MAX];
static struct os_file identity;
static bool in_file;
static _Atomic bool stopped;
static _Atomic bool closed;
static uint64_t length, longest; /* of the file; that it may become */
uint64_t recording_start_ms;

/* ---- beginning ----------------------------------------------------------------- */

_Static_assert(UL_PAGE_BYTES == OS_PAGE, "one page");

static void describe_geometry(struct ul_header *h, uint32_t (*class_bytes)(unsigned)) {
  memcpy(h->magic, UL_MAGIC, sizeof h->magic);
  h->version = UL_VERSION;
  h->byte_order = UL_BYTE_ORDER;
  h->page_bytes = UL_PAGE_BYTES;
  h->arena_bytes = UL_ARENA_BYTES;
  h->unit_bytes = UL_UNIT_BYTES;
  h->classes = UL_CLASSES;
  h->peak_slot = h->waste_slot = UINT32_MAX;
  for (unsigned c = 1; c < UL_CLASSES; c++)
    h->class_bytes[c] = class_bytes(c);
}

bool recording_begin(uint32_t (*class_bytes)(unsigned)) {
  if (!table_begin()) return false;
  describe_geometry(recording, class_bytes);
  recording->start_real_ns = os_real_ns();
  recording_start_ms = os_ms();
  /* Who reads the finer clock for the end must not find it before what was recorded. */
  recording->start_mono_ns = recording_start_ms * 1000000;
  return true;
}

/* Field 22 of /proc/PID/stat; the second field may hold blanks and parentheses. */
static uint64_t process_start(int pid) {
  char line[1024], room[32];
  struct text name = TEXT_IN(room);
  text_put(&name, "/proc/");
  text_put_number(&name, (unsigned)pid);
  text_put(&name, "/stat");
  if (os_slurp(room, line, sizeof line) <= 0) return 0;
  const char *p = strrchr(line, ')');
  for (int field = 2; p && field < 22; field++)
    p = strchr(p + 1, ' ');
  if (!p) return 0;
  p++;
  return text_decimal(&p, NULL);
}

static uint32_t text_of_link(const char *link) {
  char target[PATH_MAX];
  ssize_t n = os_link_target(link, target, sizeof target);
  return n > 0 ? table_text(target, (size_t)n) : 0;
}

/* A deleted one, or one outside of the root, has a name that only this tells. */
static uint32_t text_of_directory(void) {
  char directory[PATH_MAX];
  if (os_directory(directory, sizeof directory)) return text_of_link("/proc/self/cwd");
  return table_text(directory, strlen(directory));
}

static void identify_command(void) {
  static char buffer[65536];
  const char *arguments = NULL;
  size_t n = os_arguments(&arguments);
  if (n > sizeof buffer - 1) n = sizeof buffer - 1;
  if (!n) {
    ssize_t read = os_slurp("/proc/self/cmdline", buffer, sizeof buffer);
    if (read <= 0) return;
    arguments = buffer;
    n = (size_t)read;
  }
  uint32_t count = 0;
  for (size_t i = 0; i < n; i++)
    count += arguments[i] == 0;
  if (arguments[n - 1] != 0) count++; /* longer than the buffer: cut */
  recording->command = table_text(arguments, n);
  recording->command_count = count;
}

/* "pid:[4026531836]" */
static uint64_t pid_space(void) {
  char target[64];
  ssize_t n = os_link_target("/proc/self/ns/pid", target, sizeof target - 1);
  if (n <= 0) return 0;
  target[n] = 0;
  const char *p = strchr(target, '[');
  return p++ ? text_decimal(&p, NULL) : 0;
}

/* Most forked children end, or execute another program, before anybody asks more. */
void recording_forked(void) {
  int before = recording->pid, parent = os_parent();
  recording->ppid_start = parent == before ? recording->pid_start : process_start(parent);
  recording->ppid = parent;
  recording->pid = os_pid();
  recording->pid_start = recording->pid_space = 0;
}

void recording_identify_process(void) {
  if (recording->pid_start) return;
  recording->pid_start = process_start(recording->pid);
  recording->pid_space = pid_space();
}

void recording_identify(void) {
  recording_forked();
  recording_identify_process();
  recording->program = text_of_link("/proc/self/exe");
  recording->directory = text_of_directory();
  recording->ullage = table_text(ULLAGE_VERSION, strlen(ULLAGE_VERSION));
  identify_command();
}

/* ---- the file ------------------------------------------------------------------ */

/* A file is long from the start, for when the process has no right to it any more; but no
 * longer than this, for whoever lists and copies files. Where there are no holes it costs
 * what it is long. */
#define FIRST_LENGTH (UINT64_C(64) << 20)
#define FIRST_WITHOUT_HOLES (UINT64_C(8) << 20)

static uint64_t lesser(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* There are holes in it, but they are less than a half of it: of what it may have on the
 * disk and how long it may be, the first is reached first. */
static void choose_length(int fd) {
  struct os_room room = {.longest = UINT64_MAX};
  bool known = os_room(fd, &room) == 0;
  if (room.copied) os_write_in_place(fd);
  longest = lesser(known ? 2 * tree_most(&room) : FIRST_LENGTH, room.longest);
  longest = os_page_of(longest);
  length = lesser(longest, room.sparse ? FIRST_LENGTH : FIRST_WITHOUT_HOLES);
}

/* The file has no name until it is whole, so nobody ever sees half of one; where that is
 * not to be had it is made under its name. */
static int make(const char *file, unsigned mode) {
  char folder[PATH_MAX];
  const char *slash = strrchr(file, '/');
  size_t n = slash ? (size_t)(slash - file) + 1 : 0;
  memcpy(folder, n ? file : "./", n ? n : 2);
  folder[n ? n : 2] = 0;
  return os_open_unnamed(folder, mode);
}

static int make_named(const char *file, unsigned mode) {
  return os_open(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
}

static int fill(int fd) {
  choose_length(fd);
  int error = os_set_length(fd, length);
  if (!error) error = os_identify(fd, &identity);
  return error ? error : window_stage(fd, length);
}

/* The file has a name, but what is recorded from now on would not get there: it says so.
 */
static void stop_in_file(int fd) {
  recording_stop(UL_STOP_MEMORY, ENOMEM);
  os_write_all(fd, recording, OS_PAGE, 0);
}

/* The file behind fd is named `file`, or will be. */
static int settle(int fd, const char *file, bool named) {
  int error = fill(fd);
  if (!error && !named && (error = os_link(fd, file))) window_unstage();
  if (error && named) os_unlink(file);
  if (!error) {
    strcpy(path, file);
    in_file = true;
    if (!window_switch()) stop_in_file(fd);
  }
  os_close(fd);
  return error;
}

/* No name for what has none: there is no /proc. */
static bool must_be_named(int error) {
  return error == -EOPNOTSUPP || error == -ENOENT || error == -EINVAL;
}

int recording_open(const char *file, unsigned mode) {
  if (strlen(file) >= sizeof path) return -ENAMETOOLONG;
  if (os_access(file, F_OK) == 0) return -EEXIST;
  int fd = make(file, mode);
  int error = fd < 0 ? fd : settle(fd, file, false);
  if (!must_be_named(error)) return error;
  fd = make_named(file, mode);
  return fd < 0 ? fd : settle(fd, file, true);
}

int recording_inherit(const char *file) {
  struct os_file found;
  int fd = os_open(file, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
  if (fd < 0) return fd;
  int error = os_identify(fd, &found);
  if (!error && (!found.regular || found.owner != os_user())) error = -EPERM;
  if (!error) error = os_set_length(fd, 0);
  if (!error) return settle(fd, file, true);
  os_close(fd);
  return error;
}

const struct os_file *recording_identity(void) {
  return &identity;
}

bool recording_in_file(void) {
  return in_file;
}

void recording_reserve(size_t bytes) {
  table_lock();
  window_back_ahead(bytes);
  table_unlock();
}

void recording_stop(enum ul_stop why, int error) {
  if (atomic_exchange(&stopped, true)) return;
  page_set_recording(false);
  recording->stop_errno = error;
  recording->stop_ms = recording_ms();
  recording->stop = why;
}

bool recording_stopped(void) {
  return atomic_load_explicit(&stopped, memory_order_relaxed);
}

/* By name, if it is still the name of what we have mapped. */
static bool is_there(void) {
  struct os_file found;
  return in_file && os_identify_at(path, &found) == 0 && os_same_file(&found, &identity);
}

uint64_t recording_lengthen(uint64_t least) {
  uint64_t wanted = lesser(least > 4 * length ? least : 4 * length, longest);
  if (wanted > length && is_there() && os_set_length_of(path, wanted) == 0)
    length = wanted;
  return length;
}

void recording_lengthen_fully(void) {
  table_lock();
  recording_lengthen(longest);
  table_unlock();
}

void recording_discard(void) {
  if (is_there() && os_unlink(path) == 0) tree_charge_back(window_backed());
}

void recording_close(void) {
  table_lock();
  closed = true;
  if (is_there()) os_set_length_of(path, recording->file_bytes);
  table_unlock();
}

void recording_reopen(void) {
  if (is_there()) os_set_length_of(path, length);
  closed = false;
}

bool recording_may_grow(void) {
  return !closed && !recording_stopped();
}

/* ---- heaps --------------------------------------------------------------------- */

uint32_t recording_heap_new(int tid) {
  uint32_t i = recording ? table_append(UL_HEAPS, 1) : TABLE_NONE;
  if (i == TABLE_NONE) return 0;
  struct ul_heap_record *r = table_at(UL_HEAPS, i);
  r->born_ms = ul_ms32(recording_ms());
  r->tid = tid;
  return i;
}

static struct ul_heap_record *heap_record(uint32_t index) {
  if (!recording || index >= table_count(UL_HEAPS)) return NULL;
  return table_at(UL_HEAPS, index);
}

void recording_heap_owner(uint32_t index, int tid) {
  struct ul_heap_record *r = heap_record(index);
  if (!r) return;
  r->tid = tid;
  r->adopted++;
}

void recording_heap_quarantined(uint32_t index) {
  struct ul_heap_record *r = heap_record(index);
  if (r) r->state = UL_HEAP_QUARANTINED;
}

void recording_chunk(uint32_t chunk, uint32_t heap, uint32_t first_site) {
  struct ul_chunk *c = table_at(UL_CHUNKS, chunk);
  c->first_site = first_site;
  c->heap = heap;
}

/* ---- fork ---------------------------------------------------------------------- */

void recording_copy(void) {
  if (!recording || !in_file || stopped) return;
  tree_fork_prepare();
  if (window_used() > COPY_MAX || !window_copy()) fallback(UL_FB_CHILD_UNRECORDED);
}

void recording_drop_copy(void) {
  window_drop_copy();
}

int recording_become_copy(void) {
  if (!recording || !in_file) return recording ? 0 : -ENODATA;
  in_file = false;
  path[0] = 0;
  int error = window_become_copy();
  if (!error) recording->tree_kib = recording->children_kept = 0;
  return error;
}
