#include "command/kept.h"

#include "answers/children.h"
#include "command/usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "ullage-check."
#define SUFFIX "XXXXXX"

static const char *base(void) {
  const char *directory = getenv("TMPDIR");
  return directory && *directory == '/' ? directory : "/tmp";
}

int kept_make(struct kept *k) {
  int n = snprintf(k->folder, sizeof k->folder, "%s/" PREFIX SUFFIX, base());
  if (n < 0 || (size_t)n >= sizeof k->folder || !mkdtemp(k->folder)) {
    *k->folder = 0;
    return say_failed("cannot make a folder for recordings in %s: %s ($TMPDIR may name "
                      "another, and -o FILE a recording)",
                      base(), strerror(errno));
  }
  snprintf(k->recording, sizeof k->recording, "%s/check.ull", k->folder);
  k->lock = open(k->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (k->lock >= 0) flock(k->lock, LOCK_EX);
  return EXIT_FINE;
}

/* ---- removing --------------------------------------------------------------------- */

/* The files of an open folder, of whose names it is true. */
static void remove_files(int folder, bool (*is)(const void *, const char *),
                         const void *of) {
  int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *listing = copy < 0 ? NULL : fdopendir(copy);
  for (struct dirent *e; listing && (e = readdir(listing));)
    if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && is(of, e->d_name))
      unlinkat(folder, e->d_name, 0);
  if (listing)
    closedir(listing);
  else if (copy >= 0)
    close(copy);
}

static bool is_any(const void *of, const char *name) {
  (void)of, (void)name;
  return true;
}

void kept_remove(struct kept *k) {
  if (!*k->folder) return;
  if (k->lock >= 0) {
    remove_files(k->lock, is_any, NULL);
    close(k->lock);
  }
  rmdir(k->folder);
  *k->folder = 0;
}

/* ---- what stays ------------------------------------------------------------------- */

struct staying {
  const char *recording;
  const char *names[KEPT_FILES];
  size_t count;
};

static bool has(const struct staying *s, const char *name) {
  for (size_t i = 0; i < s->count; i++)
    if (strcmp(s->names[i], name) == 0) return true;
  return false;
}

/* Recordings of processes; beside them are the lines of those that have none. */
static bool need_not_stay(const void *of, const char *name) {
  const struct staying *s = of;
  return children_is_name(name, s->recording) && !has(s, name);
}

static void add(struct staying *s, const struct suite_process *p) {
  if (p->file && s->count < KEPT_FILES && !has(s, basename(p->file)))
    s->names[s->count++] = basename(p->file);
}

/* Each finding where it was seen first, then wherever else. */
static void choose(struct staying *s, const struct suite *suite) {
  for (size_t i = 0; i < suite->count; i++)
    if (suite_counts(&suite->findings[i]))
      add(s, &suite->processes[suite->findings[i].process]);
  for (size_t i = 0; i < suite->count; i++)
    for (const struct suite_sighting *seen = suite->findings[i].seen; seen;
         seen = seen->before)
      if (suite_counts(&suite->findings[i])) add(s, &suite->processes[seen->process]);
}

/* ---- earlier folders -------------------------------------------------------------- */

struct folder {
  char name[sizeof PREFIX SUFFIX];
  struct timespec changed;
};

static int later_first(const void *x, const void *y) {
  const struct timespec *a = &((const struct folder *)x)->changed;
  const struct timespec *b = &((const struct folder *)y)->changed;
  if (a->tv_sec != b->tv_sec) return a->tv_sec > b->tv_sec ? -1 : 1;
  return (a->tv_nsec < b->tv_nsec) - (a->tv_nsec > b->tv_nsec);
}

static bool is_ours(int directory, const char *name, struct folder *f) {
  struct stat s;
  if (strncmp(name, PREFIX, strlen(PREFIX)) || strlen(name) != strlen(PREFIX SUFFIX))
    return false;
  if (fstatat(directory, name, &s, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(s.st_mode) ||
      s.st_uid != geteuid())
    return false;
  f->changed = s.st_mtim;
  memcpy(f->name, name, sizeof f->name);
  return true;
}

/* Unless it is in use. */
static void remove_folder(int directory, const char *name) {
  int folder = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return;
  if (flock(folder, LOCK_EX | LOCK_NB) == 0) {
    remove_files(folder, is_any, NULL);
    unlinkat(directory, name, AT_REMOVEDIR);
  }
  close(folder);
}

static void remove_earlier(void) {
  DIR *listing = opendir(base());
  struct folder *all = NULL, f;
  size_t count = 0;
  for (struct dirent *e; listing && (e = readdir(listing));) {
    if (!is_ours(dirfd(listing), e->d_name, &f)) continue;
    struct folder *more = reallocarray(all, count + 1, sizeof *all);
    if (!more) break;
    all = more;
    all[count++] = f;
  }
  if (count) qsort(all, count, sizeof *all, later_first);
  for (size_t i = KEPT_FOLDERS; i < count; i++)
    remove_folder(dirfd(listing), all[i].name);
  free(all);
  if (listing) closedir(listing);
}

void kept_reduce(const struct kept *k, const struct suite *suite) {
  struct staying s = {.recording = basename(k->recording)};
  if (!*k->folder) return;
  choose(&s, suite);
  if (k->lock >= 0) remove_files(k->lock, need_not_stay, &s);
  remove_earlier();
}
