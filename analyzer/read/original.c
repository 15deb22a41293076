#include "read/original.h"

#include "read/maps.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- while the process runs ---------------------------------------------------- */

struct mapped {
  struct stat st; /* of the file */
  bool own, others;
};

static bool look(void *to, const struct maps_line *line) {
  struct mapped *m = to;
  if (strcmp(line->access, "rw-s") != 0) return false;
  m->own = line->inode == m->st.st_ino;
  m->others = m->others || line->device == m->st.st_dev;
  return m->own;
}

bool original_is_another(const struct ul_header *h, int fd) {
  char pid[16];
  struct mapped m = {.own = false};
  if (fd < 0 || fstat(fd, &m.st) != 0 || !S_ISREG(m.st.st_mode)) return false;
  snprintf(pid, sizeof pid, "%" PRId32, h->pid);
  maps_each(pid, look, &m);
  return m.others && !m.own;
}

/* ---- when it has ended --------------------------------------------------------- */

static bool is_of_same(const struct ul_header *a, const struct ul_header *b) {
  return memcmp(a->magic, b->magic, sizeof a->magic) == 0 && a->version == b->version &&
         a->pid == b->pid && a->pid_start == b->pid_start &&
         a->start_real_ns == b->start_real_ns && a->pid_space == b->pid_space;
}

/* Tables never get smaller. */
static bool knows_more(const struct ul_header *of, const struct ul_header *than) {
  if (of->state != UL_STATE_RUNNING) return true;
  for (size_t i = 0; i < UL_TABLES; i++)
    if (of->table[i].count > than->table[i].count) return true;
  return false;
}

/* Most files are none: the beginning tells. */
static bool read_same(int fd, const struct ul_header *h, struct ul_header *other) {
  enum { BEGINNING = 4096 };
  return pread(fd, other, BEGINNING, 0) == BEGINNING && is_of_same(h, other) &&
         pread(fd, other, sizeof *other, 0) == sizeof *other && is_of_same(h, other);
}

static bool is_gone_on(int directory, const char *name, const struct ul_header *h,
                       const struct stat *own, struct ul_header *other) {
  struct stat st;
  int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) return false;
  bool is = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
            (st.st_ino != own->st_ino || st.st_dev != own->st_dev) &&
            read_same(fd, h, other) && knows_more(other, h);
  close(fd);
  return is;
}

bool original_has_gone_on(const struct ul_header *h, const char *path, int fd) {
  struct stat own;
  struct dirent *entry;
  bool found = false;
  if (fd < 0 || fstat(fd, &own) != 0 || !S_ISREG(own.st_mode)) return false;
  const char *slash = strrchr(path, '/');
  char *name = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
  struct ul_header *other = malloc(sizeof *other);
  DIR *d = name && other ? opendir(name) : NULL;
  while (d && !found && (entry = readdir(d)))
    found = (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) &&
            is_gone_on(dirfd(d), entry->d_name, h, &own, other);
  if (d) closedir(d);
  free(other);
  free(name);
  return found;
}
