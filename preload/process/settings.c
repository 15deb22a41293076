#include "process/settings.h"

#include "base/os.h"
#include "base/say.h"
#include "base/text.h"
#include "format.h"
#include "stack/stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct settings settings;

#ifdef UL_INVARIANTS
enum { CHECK = true };
#else
enum { CHECK = false };
#endif

static bool yes(const char *name, bool otherwise) {
  static bool said;
  const char *value = getenv(name);
  if (!value || !*value) return otherwise;
  if (!strcmp(value, "yes") || !strcmp(value, "1")) return true;
  if (!strcmp(value, "no") || !strcmp(value, "0")) return false;
  say_once(&said, "%s=%s: yes or no expected; using %s", name, value,
           otherwise ? "yes" : "no");
  return otherwise;
}

static unsigned long number(const char *name, unsigned long least, unsigned long most,
                            unsigned long otherwise) {
  static bool said;
  const char *value = getenv(name);
  if (!value || !*value) return otherwise;
  char *end;
  int saved = errno;
  unsigned long n = strtoul(value, &end, 10);
  errno = saved;
  if (!*end && n >= least && n <= most) return n;
  say_once(&said, "%s=%s: a number from %lu to %lu expected; using %lu", name, value,
           least, most, otherwise);
  return otherwise;
}

/* The bit of the heuristic whose name begins the list; 0: no such name. */
static unsigned heuristic_bit(const char *list, size_t length) {
  static const char *const names[UL_HEURISTICS] = UL_HEURISTIC_NAMES;
  for (unsigned h = 0; h < UL_HEURISTICS; h++)
    if (strlen(names[h]) == length && !strncmp(list, names[h], length)) return 1u << h;
  return 0;
}

static unsigned heuristics(void) {
  enum { ALL = (1u << UL_HEURISTICS) - 1 };
  static bool said;
  const char *value = getenv("ULLAGE_HEURISTICS");
  unsigned chosen = 0;
  if (!value || !*value || !strcmp(value, "all")) return ALL;
  if (!strcmp(value, "none")) return 0;
  for (const char *name = value;; name++) {
    size_t length = strcspn(name, ",");
    unsigned bit = heuristic_bit(name, length);
    chosen |= bit;
    name += length;
    if (bit && *name) continue;
    if (bit) return chosen;
    say_once(&said, "ULLAGE_HEURISTICS=%s: all, none, or names of heuristics expected; "
                    "using all", value);
    return ALL;
  }
}

/* ---- the file name ------------------------------------------------------------- */

struct name {
  char *text;
  size_t n, size;
};

static void put(struct name *to, const char *s) {
  while (*s && to->n + 1 < to->size)
    to->text[to->n++] = *s++;
  to->text[to->n] = 0;
}

static void put_number(struct name *to, unsigned value) {
  char digits[TEXT_DIGITS];
  put(to, text_number(digits, value));
}

static void put_program(struct name *to) {
  char comm[32];
  ssize_t n = os_slurp("/proc/self/comm", comm, sizeof comm);
  if (n > 0 && comm[n - 1] == '\n') comm[n - 1] = 0;
  put(to, n > 0 ? comm : "program");
}

static void put_pattern(struct name *to, const char *pattern) {
  for (; *pattern; pattern++) {
    if (pattern[0] == '%' && pattern[1] == 'p')
      put_number(to, (unsigned)os_pid()), pattern++;
    else if (pattern[0] == '%' && pattern[1] == 'n')
      put_program(to), pattern++;
    else if (pattern[0] == '%' && pattern[1] == '%')
      put(to, "%"), pattern++;
    else
      put(to, (char[]){*pattern, 0});
  }
}

static void read_file_name(void) {
  struct name to = {settings.file, 0, sizeof settings.file};
  const char *pattern = getenv("ULLAGE_FILE");
  if (!pattern || !*pattern) pattern = "ullage.%n.%p";
  if (pattern[0] != '/' && os_directory(settings.file, sizeof settings.file - 1) == 0) {
    to.n = strlen(settings.file);
    put(&to, "/");
  }
  put_pattern(&to, pattern);
}

void settings_read(void) {
  settings.record = yes("ULLAGE_RECORD", true);
  settings.children = yes("ULLAGE_CHILDREN", true);
  settings.scan = yes("ULLAGE_SCAN", true);
  settings.check = yes("ULLAGE_CHECK", CHECK);
  settings.writes = yes("ULLAGE_WRITES", false);
  settings.main_pid = (int)number("ULLAGE_MAIN_PID", 0, INT_MAX, 0);
  settings.depth = (unsigned)number("ULLAGE_DEPTH", 1, STACK_DEPTH_MAX, 64);
  settings.heuristics = heuristics();
  settings.children_max = (unsigned)number("ULLAGE_CHILDREN_MAX", 0, 1000000, 100);
  settings.snapshot_ms = number("ULLAGE_SNAPSHOT_MS", 1, 3600000, 10);
  settings.faults = getenv("ULLAGE_FAIL");
  read_file_name();
}
