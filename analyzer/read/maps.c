#include "read/maps.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sysmacros.h>

int maps_each(const char *pid, maps_take *take, void *to) {
  char name[64], line[PATH_MAX + 128], path[PATH_MAX];
  snprintf(name, sizeof name, "/proc/%s/maps", pid);
  FILE *f = fopen(name, "re");
  if (!f) return errno;
  struct maps_line m = {.path = path};
  bool enough = false;
  errno = 0;
  while (!enough && fgets(line, sizeof line, f)) {
    unsigned major, minor;
    uint64_t inode;
    path[0] = 0;
    if (sscanf(line, "%*x-%*x %4s %*x %x:%x %" SCNu64 " %4095[^\n]", m.access, &major,
               &minor, &inode, path) < 4)
      continue;
    m.device = makedev(major, minor);
    m.inode = inode;
    enough = take(to, &m);
  }
  int error = ferror(f) ? errno : 0;
  fclose(f);
  return error;
}
