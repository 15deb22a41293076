/* limits.c - control groups: the limit of a group is the least of its own and of all
 * those that it lies in. Version 2 has one tree of groups, line "0::PATH" of
 * /proc/self/cgroup; version 1 has one of its own for memory, line "N:memory:PATH": then
 * version 2 says nothing of it. A container may see a PATH that is not there from where
 * it is: then its root counts. */
#include "account/limits.h"

#include "base/os.h"
#include "base/text.h"
#include "recording/table.h"

#include <limits.h>
#include <string.h>
#include <sys/resource.h>

static const uint64_t none = UINT64_MAX;

/* The number that the file begins with; none if there is another word, or no file. */
static uint64_t number_in(const char *path) {
  char text[64];
  const char *p = text;
  if (os_slurp(path, text, sizeof text) <= 0 || *text < '0' || *text > '9') return none;
  uint64_t n = text_decimal(&p, NULL);
  return n < (uint64_t)1 << 62 ? n : none; /* version 1 has the largest there is */
}

/* Of the group `path`, which is cut to the root, and all that it lies in. */
static uint64_t least(const char *root, char *path, const char *name) {
  uint64_t result = none;
  if (path[0] == '/' && !path[1]) *path = 0;
  for (;;) {
    char room[PATH_MAX];
    struct text file = TEXT_IN(room);
    text_put(&file, root);
    text_put(&file, path);
    text_put(&file, name);
    uint64_t n = file.cut ? none : number_in(room);
    if (n < result) result = n;
    char *slash = strrchr(path, '/');
    if (!slash) return result;
    *slash = 0;
  }
}

/* Behind `begin`, on a line of its own; NULL: there is no such line. */
static char *path_of(char *text, const char *begin) {
  char *at = strstr(text, begin);
  if (!at) return NULL;
  at += strlen(begin);
  at[strcspn(at, "\n")] = 0;
  return at;
}

static uint64_t of_group(void) {
  char text[PATH_MAX];
  if (os_slurp("/proc/self/cgroup", text, sizeof text) <= 0) return none;
  char *one = path_of(text, ":memory:");
  if (one) return least("/sys/fs/cgroup/memory", one, "/memory.limit_in_bytes");
  char *two = path_of(text, "0::");
  return two ? least("/sys/fs/cgroup", two, "/memory.max") : none;
}

/* "MemTotal:       16384 kB" */
static uint64_t of_machine(void) {
  char text[128];
  if (os_slurp("/proc/meminfo", text, sizeof text) <= 0) return none;
  const char *p = text + strcspn(text, "0123456789");
  uint64_t kib = text_decimal(&p, NULL);
  return kib ? kib << 10 : none;
}

void limits_note(void) {
  recording->limits = (struct ul_limits){
      .group = of_group(),
      .machine = of_machine(),
      .address_space = os_limit(RLIMIT_AS),
      .data = os_limit(RLIMIT_DATA),
  };
  recording->features |= UL_FEATURE_LIMITS;
}
