#include "command/copy.h"

#include "command/earlier.h"
#include "read/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct copy {
  int from, to;
  struct ul_header header; /* as it was when the copy began */
  char *room, *again;      /* ROOM bytes each */
};
#define ROOM ((size_t)1 << 20)

/* As many as there are, at most n; less at the end of the file. */
static size_t get(int fd, char *to, size_t n, uint64_t offset) {
  size_t done = 0;
  while (done < n) {
    ssize_t got = pread(fd, to + done, n - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += (size_t)got;
  }
  return done;
}

static bool put(int fd, const char *from, size_t n, uint64_t offset) {
  for (size_t done = 0; done < n;) {
    ssize_t put = pwrite(fd, from + done, n - done, (off_t)(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    done += (size_t)put;
  }
  return true;
}

/* The part of the file in pieces that fit the room; false: one was not done. */
typedef bool piece_do(struct copy *, uint64_t offset, size_t bytes);
static bool each_piece(struct copy *c, uint64_t offset, uint64_t bytes, piece_do *piece) {
  for (uint64_t done = 0; done < bytes; done += ROOM) {
    size_t n = bytes - done < ROOM ? (size_t)(bytes - done) : ROOM;
    if (!piece(c, offset + done, n)) return false;
  }
  return true;
}

static bool each_segment(struct copy *c, piece_do *piece) {
  for (uint32_t i = 0; i < c->header.segment_count && i < UL_SEGMENTS; i++)
    if (!each_piece(c, c->header.segments[i].file_offset, c->header.segments[i].bytes,
                    piece))
      return false;
  return true;
}

static bool copy_piece(struct copy *c, uint64_t offset, size_t bytes) {
  return put(c->to, c->room, get(c->from, c->room, bytes, offset), offset);
}

static bool is_same_piece(struct copy *c, uint64_t offset, size_t bytes) {
  size_t n = get(c->from, c->room, bytes, offset);
  return get(c->to, c->again, n, offset) == n && memcmp(c->room, c->again, n) == 0;
}

/* The file is said to be longer than what it holds: the copy is not. */
static bool copy_header(struct copy *c) {
  struct ul_header h = c->header;
  uint64_t now = recording_header_now_ms(&h);
  h.copied_ms = now ? now : 1;
  memset(&h.ask, 0, sizeof h.ask);
  return put(c->to, (const char *)&h, sizeof h, 0) &&
         ftruncate(c->to, (off_t)(h.file_bytes > UL_HEADER_BYTES ? h.file_bytes
                                                                 : UL_HEADER_BYTES)) == 0;
}

static bool is_still(const struct copy *c, const struct ul_header *header) {
  return memcmp(&c->header, header, sizeof c->header) == 0;
}

static bool copy_all(struct copy *c, const struct ul_header *header, bool *quiet) {
  memcpy(&c->header, header, sizeof c->header);
  if (!each_segment(c, copy_piece) || !copy_header(c)) return false;
  *quiet = each_segment(c, is_same_piece) && is_still(c, header);
  return true;
}

/* Whose the recording is, as far as we may. */
static int create_like(int fd, const char *path) {
  struct stat st;
  int to = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (to < 0 || fstat(fd, &st) != 0) return to;
  if (fchown(to, st.st_uid, st.st_gid) != 0 && geteuid() == 0) {
    close(to);
    unlink(path);
    return -1;
  }
  fchmod(to, st.st_mode & 0666);
  return to;
}

static bool copy_to(struct copy *c, const struct ul_header *header, const char *path,
                    bool *quiet) {
  c->to = create_like(c->from, path);
  if (c->to < 0) return false;
  c->room = malloc(ROOM);
  c->again = malloc(ROOM);
  bool done = c->room && c->again && copy_all(c, header, quiet);
  int saved = errno;
  free(c->room);
  free(c->again);
  close(c->to);
  errno = saved;
  return done;
}

bool copy_recording(int fd, const struct ul_header *header, const char *path, bool *quiet,
                    char *error, size_t error_bytes) {
  char beside[PATH_MAX];
  struct stat st;
  int n = snprintf(beside, sizeof beside, "%s~", path);
  if (n < 0 || (size_t)n >= sizeof beside) {
    snprintf(error, error_bytes, "the name is too long");
    return false;
  }
  if (lstat(path, &st) == 0 && !earlier_is_recording(path)) {
    snprintf(error, error_bytes, "is there, and no recording; take another name");
    return false;
  }
  struct copy *c = calloc(1, sizeof *c);
  if (c) c->from = fd;
  unlink(beside);
  bool done = c && copy_to(c, header, beside, quiet) && rename(beside, path) == 0;
  if (!done) snprintf(error, error_bytes, "cannot be written: %s", strerror(errno));
  if (!done) unlink(beside);
  free(c);
  return done;
}
