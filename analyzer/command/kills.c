#include "command/kills.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t unknown = UINT32_MAX;

/* The number on the line "NAME NUMBER" of a file. */
static uint32_t counter_in(const char *path, const char *name) {
  uint32_t result = unknown;
  size_t n = strlen(name);
  char line[256];
  FILE *f = fopen(path, "re");
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, name, n) == 0 && line[n] == ' ')
      result = (uint32_t)strtoul(line + n, NULL, 10);
  if (f) fclose(f);
  return result;
}

/* Of the group `path`; if it has no such file (its controller is not its own, or a
 * container sees it under another name), of the nearest that it lies in. */
static uint32_t nearest(const char *root, const char *mount, char *path,
                        const char *file) {
  for (;;) {
    char name[3 * PATH_MAX];
    snprintf(name, sizeof name, "%s%s%s/%s", root, mount, path, file);
    uint32_t kills = counter_in(name, "oom_kill");
    char *slash = strrchr(path, '/');
    if (kills != unknown || !slash) return kills;
    *slash = 0;
  }
}

/* The path of our group in the hierarchy that limits memory, and whether that is of
 * version 1: a line "N:memory:PATH"; else "0::PATH". false: there is none. */
static bool find_group(const char *root, char path[PATH_MAX], bool *old) {
  char name[2 * PATH_MAX], line[PATH_MAX];
  bool found = false;
  snprintf(name, sizeof name, "%s/proc/self/cgroup", root);
  FILE *f = fopen(name, "re");
  *old = false;
  while (f && !*old && fgets(line, sizeof line, f)) {
    const char *one = strstr(line, ":memory:");
    if (!one && strncmp(line, "0::", 3) != 0) continue;
    *old = one;
    found = true;
    snprintf(path, PATH_MAX, "%s", one ? one + strlen(":memory:") : line + 3);
    path[strcspn(path, "\n")] = 0;
  }
  if (f) fclose(f);
  return found;
}

static uint32_t of_group(const char *root) {
  char path[PATH_MAX];
  bool old;
  if (!find_group(root, path, &old)) return unknown;
  return old ? nearest(root, "/sys/fs/cgroup/memory", path, "memory.oom_control")
             : nearest(root, "/sys/fs/cgroup", path, "memory.events");
}

struct ul_kills kills_count(const char *root) {
  char path[2 * PATH_MAX];
  snprintf(path, sizeof path, "%s/proc/vmstat", root);
  return (struct ul_kills){of_group(root), counter_in(path, "oom_kill")};
}

static uint32_t between(uint32_t before, uint32_t after) {
  return before == unknown || after == unknown || after < before ? unknown
                                                                 : after - before;
}

struct ul_kills kills_between(struct ul_kills before, struct ul_kills after) {
  return (struct ul_kills){between(before.group, after.group),
                           between(before.machine, after.machine)};
}
