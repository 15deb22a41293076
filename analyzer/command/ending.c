#include "command/ending.h"

#include "answers/children.h"
#include "command/usage.h"
#include "read/recording.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EARLIER_MOST 1000 /* programs of one process */

static uint64_t monotonic_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#define PUT(fd, header, field)                                                           \
  (pwrite(fd, &(header)->field, sizeof(header)->field,                                   \
          offsetof(struct ul_header, field)) == sizeof(header)->field)

static bool put_end(int fd, struct ul_header *header, int status) {
  bool signaled = WIFSIGNALED(status);
  header->state = signaled ? UL_STATE_SIGNALED : UL_STATE_EXITED;
  header->status = signaled ? WTERMSIG(status) : WEXITSTATUS(status);
  if (!header->end_ms)
    header->end_ms = (monotonic_ns() - header->start_mono_ns) / 1000000;
  return PUT(fd, header, end_ms) && PUT(fd, header, status) && PUT(fd, header, state);
}

static bool put_kills(int fd, struct ul_header *header, struct ul_kills kills) {
  header->kills = kills;
  header->features |= UL_FEATURE_KILLS;
  return PUT(fd, header, kills) && PUT(fd, header, features);
}

/* A file is said to be as long as it may become; who died without a last word, or may not
 * write to its name any more, leaves it so. */
static bool shorten(int fd, const struct ul_header *header) {
  struct stat st;
  uint64_t held = header->file_bytes;
  if (fstat(fd, &st) != 0 || held < UL_HEADER_BYTES || (uint64_t)st.st_size <= held)
    return true;
  return ftruncate(fd, (off_t)held) == 0;
}

/* For certain: one that grows a file which somebody shortens is killed by SIGBUS. */
static bool is_over(const struct ul_header *header) {
  return header->state == UL_STATE_EXITED || header->state == UL_STATE_ABORTED;
}

/* The recording's descriptor; -1: it is none, or not to be written. */
static int open_header(const char *path, struct ul_header *header) {
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) return -1;
  if (pread(fd, header, sizeof *header, 0) == sizeof *header &&
      memcmp(header->magic, UL_MAGIC, sizeof header->magic) == 0)
    return fd;
  close(fd);
  return -1;
}

/* What only the parent knows: that a signal ended it, or an exit that nothing saw; and
 * what the kernel killed meanwhile. */
static void complete(const char *path, pid_t pid, int status, struct ul_kills kills) {
  struct ul_header header;
  int fd = open_header(path, &header);
  if (fd < 0) return;
  bool unended = header.state == UL_STATE_RUNNING || header.state == UL_STATE_ABORTED;
  if (header.pid == pid && ((unended && !put_end(fd, &header, status)) ||
                            !put_kills(fd, &header, kills) || !shorten(fd, &header)))
    say_failed("cannot write how the program ended into %s: %s", path, strerror(errno));
  close(fd);
}

/* Or an earlier program of the process `pid`, which has ended. */
static void complete_child(const char *path, pid_t pid) {
  struct ul_header header;
  int fd = open_header(path, &header);
  if (fd < 0) return;
  if (is_over(&header) || header.pid == pid) shorten(fd, &header);
  close(fd);
}

void ending_complete(const char *path, pid_t pid, int status, struct ul_kills kills,
                     const struct children *children) {
  complete(path, pid, status, kills);
  for (size_t i = 0; children && i < children->count; i++)
    complete_child(children->files[i], pid);
}

/* ---- heirs ---------------------------------------------------------------------- */

/* FILE.PID.heir: made for the next program of a process that was about to lose the right
 * to make one (process/file.c of the preload). What has a recording gets the name that it
 * would have had. */
static bool is_heir(const char *name, const char *base) {
  size_t n = strlen(base);
  if (strncmp(name, base, n) != 0 || name[n] != '.') return false;
  size_t digits = strspn(name + n + 1, "0123456789");
  return digits && strcmp(name + n + 1 + digits, ".heir") == 0;
}

/* path.1, path.2, ...: what an earlier program of the same process is called. It has been
 * replaced, and could not shorten its file. */
static bool move_aside(const char *path) {
  char earlier[PATH_MAX + 64];
  struct ul_header header;
  int fd = open_header(path, &header);
  if (fd >= 0) shorten(fd, &header);
  if (fd >= 0) close(fd);
  for (unsigned i = 1; i < EARLIER_MOST; i++) {
    snprintf(earlier, sizeof earlier, "%s.%u", path, i);
    if (access(earlier, F_OK) != 0) return rename(path, earlier) == 0;
  }
  return false;
}

static void settle_heir(const char *heir, const char *path, pid_t pid) {
  struct ul_header header;
  char name[PATH_MAX + 32];
  struct stat st;
  int fd = open_header(heir, &header);
  if (fd < 0) {
    if (lstat(heir, &st) == 0 && !st.st_size) unlink(heir); /* nobody needed it */
    return;
  }
  close(fd);
  if (header.pid == pid)
    snprintf(name, sizeof name, "%s", path);
  else
    snprintf(name, sizeof name, "%s.%d", path, header.pid);
  if ((access(name, F_OK) == 0 && !move_aside(name)) || rename(heir, name) != 0)
    say_failed("cannot rename %s to %s: %s", heir, name, strerror(errno));
}

void ending_settle(const char *path, pid_t pid) {
  const char *base = basename(path);
  char directory[PATH_MAX], heir[2 * PATH_MAX];
  snprintf(directory, sizeof directory, "%.*s", (int)(base - path), path);
  DIR *listing = opendir(directory);
  for (struct dirent *e; listing && (e = readdir(listing));) {
    if (!is_heir(e->d_name, base)) continue;
    snprintf(heir, sizeof heir, "%s%s", directory, e->d_name);
    settle_heir(heir, path, pid);
  }
  if (listing) closedir(listing);
}
