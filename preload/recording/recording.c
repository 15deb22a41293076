#include "recording/recording.h"

#include "base/os.h"
#include "base/page.h"
#include "base/text.h"

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
static uint64_t start_ms;

static char *fork_copy;
static size_t fork_copy_bytes;

/* ---- beginning ----------------------------------------------------------------- */

static void describe_geometry(struct ul_header *h, uint32_t (*class_bytes)(unsigned)) {
  memcpy(h->magic, UL_MAGIC, sizeof h->magic);
  h->version = UL_VERSION;
  h->byte_order = UL_BYTE_ORDER;
  h->page_bytes = UL_PAGE_BYTES;
  h->arena_bytes = UL_ARENA_BYTES;
  h->unit_bytes = UL_UNIT_BYTES;
  h->classes = UL_CLASSES;
  h->peak_slot = UINT32_MAX;
  for (unsigned c = 1; c < UL_CLASSES; c++)
    h->class_bytes[c] = class_bytes(c);
}

bool recording_begin(uint32_t (*class_bytes)(unsigned)) {
  if (!table_begin()) return false;
  describe_geometry(recording, class_bytes);
  recording->start_real_ns = os_real_ns();
  recording->start_mono_ns = os_monotonic_ns();
  start_ms = os_ms();
  return true;
}

uint64_t recording_ms(void) {
  return os_ms() - start_ms;
}

/* Field 22 of /proc/self/stat; the second field may hold blanks and parentheses. */
static uint64_t process_start(void) {
  char line[1024];
  if (os_slurp("/proc/self/stat", line, sizeof line) <= 0) return 0;
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

static void identify_command(void) {
  static char arguments[65536];
  ssize_t n = os_slurp("/proc/self/cmdline", arguments, sizeof arguments);
  if (n <= 0) return;
  uint32_t count = 0;
  for (ssize_t i = 0; i < n; i++)
    count += arguments[i] == 0;
  if (arguments[n - 1] != 0) count++; /* longer than the buffer: cut */
  recording->command = table_text(arguments, (size_t)n);
  recording->command_count = count;
}

void recording_identify(void) {
  recording->pid = os_pid();
  recording->ppid = os_parent();
  recording->pid_start = process_start();
  if (recording->command_count) return; /* a fork: the same program */
  recording->program = text_of_link("/proc/self/exe");
  recording->directory = text_of_link("/proc/self/cwd");
  recording->ullage = table_text(ULLAGE_VERSION, strlen(ULLAGE_VERSION));
  identify_command();
}

/* ---- the file ------------------------------------------------------------------ */

/* A file system without fallocate (NFS, some FUSE) gets zeros written instead. */
static int allocate(int fd, uint64_t offset, size_t bytes) {
  int error = os_allocate(fd, offset, bytes);
  if (error != -EOPNOTSUPP) return error;
  static const char zeros[65536];
  for (size_t done = 0; done < bytes;) {
    size_t n = bytes - done < sizeof zeros ? bytes - done : sizeof zeros;
    error = os_write_all(fd, zeros, n, offset + done);
    if (error) return error;
    done += n;
  }
  return 0;
}

static int write_out(int fd) {
  int error = os_write_all(fd, recording, UL_HEADER_BYTES, 0);
  for (unsigned i = 0; !error && i < recording->segment_count; i++) {
    const struct ul_segment *s = &recording->segments[i];
    error =
        os_write_all(fd, table_segment_address(i), table_segment_used(i), s->file_offset);
  }
  return error;
}

/* From the first mapping on there is no way back: an error stops the recording. */
static void map_all(int fd) {
  size_t together = recording->segments[UL_TABLES - 1].file_offset +
                    recording->segments[UL_TABLES - 1].bytes;
  int error = os_map_file(&(void *){recording}, fd, 0, together);
  for (unsigned i = UL_TABLES; !error && i < recording->segment_count; i++) {
    const struct ul_segment *s = &recording->segments[i];
    error =
        os_map_file(&(void *){table_segment_address(i)}, fd, s->file_offset, s->bytes);
  }
  if (error) recording_stop(UL_STOP_MEMORY, -error);
  os_uncount(recording->file_bytes, OS_TOOL);
}

static int fill(int fd) {
  int error = allocate(fd, 0, recording->file_bytes);
  if (!error) error = write_out(fd);
  return error ? error : os_identify(fd, &identity);
}

int recording_open(const char *file) {
  if (strlen(file) >= sizeof path) return -ENAMETOOLONG;
  int fd = os_open(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
  if (fd < 0) return fd;
  int error = fill(fd);
  if (error) {
    os_unlink(file);
  } else {
    map_all(fd);
    strcpy(path, file);
    in_file = true;
  }
  os_close(fd);
  return error;
}

bool recording_in_file(void) {
  return in_file;
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

void recording_discard(void) {
  if (in_file) os_unlink(path);
}

static int reopen(void) {
  struct os_file found;
  int fd = os_open(path, O_RDWR | O_NOFOLLOW, 0);
  if (fd < 0) return fd;
  if (os_identify(fd, &found) == 0 && found.device == identity.device &&
      found.inode == identity.inode)
    return fd;
  os_close(fd);
  return -ESTALE;
}

static void *map_private(size_t bytes) {
  void *at = os_map(bytes, OS_PAGE, OS_TOOL);
  if (!at) recording_stop(UL_STOP_MEMORY, ENOMEM);
  return at;
}

void *recording_map(size_t bytes) {
  if (!in_file) return map_private(bytes);
  int fd = reopen();
  if (fd < 0) {
    recording_stop(UL_STOP_REOPEN, -fd);
    return NULL;
  }
  void *at = NULL;
  int error = allocate(fd, recording->file_bytes, bytes);
  if (error) {
    recording_stop(UL_STOP_NO_SPACE, -error);
  } else {
    error = os_map_file(&at, fd, recording->file_bytes, bytes);
    if (error) recording_stop(UL_STOP_MEMORY, -error);
  }
  os_close(fd);
  return at;
}

/* ---- heaps --------------------------------------------------------------------- */

uint32_t recording_heap_new(int tid) {
  uint32_t i = recording ? table_append(UL_HEAPS, 1) : TABLE_NONE;
  if (i == TABLE_NONE) return 0;
  struct ul_heap_record *r = table_at(UL_HEAPS, i);
  r->born_ms = (uint32_t)recording_ms();
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

bool recording_chunk(uint32_t chunk, uint32_t heap, uint32_t first_site) {
  if (!table_extend(UL_CHUNKS, (uint64_t)chunk + 1)) return false;
  struct ul_chunk *c = table_at(UL_CHUNKS, chunk);
  c->first_site = first_site;
  c->heap = heap;
  return true;
}

/* ---- fork ---------------------------------------------------------------------- */

static size_t copy_size(void) {
  size_t total = UL_HEADER_BYTES;
  for (unsigned i = 0; i < recording->segment_count; i++)
    total += os_whole_pages(table_segment_used(i));
  return total;
}

static void copy_all(char *to) {
  memcpy(to, recording, UL_HEADER_BYTES);
  to += UL_HEADER_BYTES;
  for (unsigned i = 0; i < recording->segment_count; i++) {
    memcpy(to, table_segment_address(i), table_segment_used(i));
    to += os_whole_pages(table_segment_used(i));
  }
}

void recording_copy(void) {
  if (!recording || !in_file || stopped) return;
  fork_copy_bytes = copy_size();
  if (fork_copy_bytes <= COPY_MAX) fork_copy = os_map(fork_copy_bytes, OS_PAGE, OS_TOOL);
  if (fork_copy)
    copy_all(fork_copy);
  else
    fallback(UL_FB_CHILD_UNRECORDED);
}

void recording_drop_copy(void) {
  if (fork_copy) os_unmap(fork_copy, fork_copy_bytes, OS_TOOL);
  fork_copy = NULL;
}

/* Blank memory over the shared file. The header is needed to know the segments,
 * so it goes last, and comes back without what belongs to the parent. */
static void blank(void) {
  static struct ul_header header; /* too large for a thread's stack */
  memcpy(&header, recording, sizeof header);
  for (unsigned i = 0; i < recording->segment_count; i++)
    os_map_over(table_segment_address(i), recording->segments[i].bytes);
  os_map_over(recording, UL_HEADER_BYTES);
  memcpy(recording, &header, sizeof header);
}

static void restore(void) {
  char *from = fork_copy + UL_HEADER_BYTES;
  for (unsigned i = 0; i < recording->segment_count; i++) {
    size_t used = os_whole_pages(table_segment_used(i));
    if (used) os_move_over(from, used, table_segment_address(i), used, OS_TOOL);
    from += used;
  }
}

bool recording_become_copy(void) {
  if (!recording || !in_file) return recording != NULL;
  bool copied = fork_copy != NULL;
  blank();
  if (copied) {
    memcpy(recording, fork_copy, UL_HEADER_BYTES);
    restore();
    os_unmap(fork_copy, UL_HEADER_BYTES, OS_TOOL);
    fork_copy = NULL;
  }
  in_file = false;
  path[0] = 0;
  return copied;
}
