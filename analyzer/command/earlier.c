#include "command/earlier.h"

#include "answers/children.h"
#include "answers/moment.h"
#include "command/usage.h"
#include "read/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD_KEPT 3 /* earlier recordings of one name */

bool earlier_is_recording(const char *path) {
  char magic[8];
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  bool is = read(fd, magic, sizeof magic) == sizeof magic &&
            memcmp(magic, UL_MAGIC, sizeof magic) == 0;
  close(fd);
  return is;
}

static bool exists(const char *path, const char *suffix) {
  char name[PATH_MAX + 16];
  snprintf(name, sizeof name, "%s%s", path, suffix);
  return access(name, F_OK) == 0;
}

/* FILE.old, FILE.old-2, ...: never FILE.old.2, which is a child's name. */
static bool old_name(const char *path, unsigned number, char *old, size_t size) {
  int n = snprintf(old, size, number > 1 ? "%s.old-%u" : "%s.old", path, number);
  return n >= 0 && (size_t)n < size;
}

bool earlier_is_name(const char *name) {
  const char *old = strrchr(name, '.');
  if (!old || strncmp(old, ".old", 4) != 0) return false;
  return !old[4] || (old[4] == '-' && old[5 + strspn(old + 5, "0123456789")] == '\0');
}

static bool move(const char *path, const char *to, const char *suffix) {
  char from[PATH_MAX + 16], name[PATH_MAX + 16];
  snprintf(from, sizeof from, "%s%s", path, suffix);
  snprintf(name, sizeof name, "%s%s", to ? to : "", suffix);
  return (to ? rename(from, name) : unlink(from)) == 0 || errno == ENOENT;
}

/* What was copied of it (`ullage mark`). */
static bool move_copies(const char *path, const char *to) {
  size_t count;
  char **names = moment_copies(path, &count), suffix[UL_MARK_BYTES + 1];
  bool moved = true;
  for (size_t i = 0; i < count; i++) {
    snprintf(suffix, sizeof suffix, "@%s", names[i]);
    moved = move(path, to, suffix) && moved;
    free(names[i]);
  }
  free(names);
  return moved;
}

/* A recording, with its copies and those of its children; to NULL: it is removed. */
static bool move_all(const char *path, const char *to) {
  struct children *children = children_find(path);
  bool moved = move(path, to, "") && move(path, to, ".children");
  for (size_t i = 0; children && i < children->count; i++)
    moved = move(path, to, children->files[i] + strlen(path)) && moved;
  children_free(children);
  return move_copies(path, to) && moved;
}

static bool is_free(const char *path) {
  return !exists(path, "") && !exists(path, ".children");
}

/* Up to the first free name each earlier recording moves on by one; the oldest goes. What
 * is no recording is left alone, and in the way. */
static bool make_old(const char *path) {
  char from[PATH_MAX], to[PATH_MAX];
  unsigned last = 1;
  if (!old_name(path, OLD_KEPT, to, sizeof to)) return false;
  while (last < OLD_KEPT && old_name(path, last, to, sizeof to) && !is_free(to))
    last++;
  old_name(path, last, to, sizeof to);
  if (exists(to, "") && !earlier_is_recording(to)) return false;
  bool moved = move_all(to, NULL);
  for (; moved && last > 1; last--) {
    old_name(path, last - 1, from, sizeof from);
    old_name(path, last, to, sizeof to);
    moved = move_all(from, to);
  }
  old_name(path, 1, to, sizeof to);
  return moved && move_all(path, to);
}

/* An earlier recording of that name is kept, with those of its children. */
void earlier_make_way(const char *path) {
  struct stat st;
  bool there = stat(path, &st) == 0;
  if (there && st.st_size == 0) {
    unlink(path); /* made by mktemp, say */
    there = false;
  }
  struct children *children = children_find(path);
  bool related = exists(path, ".children") || (children && children->count);
  children_free(children);
  if (!there && !related) return;
  if (!make_old(path))
    say_failed("cannot rename earlier recordings of %s: %s", path, strerror(errno));
  else if (there)
    say("the earlier %s is now %s.old", basename(path), basename(path));
}
