#include "process/settings.h"

#include "base/os.h"
#include "base/say.h"
#include "base/text.h"
#include "format.h"
#include "ledger/misuse.h"
#include "stack/stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHILDREN_MOST = 1000000 };

struct settings settings;

#ifdef UL_INVARIANTS
enum { CHECK = true };
#else
enum { CHECK = false };
#endif

/* As the kernel gave it to the process: argc, arguments, NULL, environment. Where libc
 * has not come up yet, getenv finds nothing. */
extern void *__libc_stack_end;

static char **environment(void) {
  if (environ) return environ;
  long *argc = __libc_stack_end;
  return (char **)(argc + 1) + *argc + 1;
}

static const char *variable(const char *name) {
  size_t n = strlen(name);
  for (char **e = environment(); *e; e++)
    if (!strncmp(*e, name, n) && (*e)[n] == '=') return *e + n + 1;
  return NULL;
}

static bool yes(const char *name, bool otherwise) {
  static bool said;
  const char *value = variable(name);
  if (!value || !*value) return otherwise;
  if (!strcmp(value, "yes") || !strcmp(value, "1")) return true;
  if (!strcmp(value, "no") || !strcmp(value, "0")) return false;
  say_once(&said, "%s=%s: yes or no expected; using %s", name, value,
           otherwise ? "yes" : "no");
  return otherwise;
}

static bool read_number(const char *text, unsigned long least, unsigned long most,
                        unsigned long *n) {
  char *end;
  int saved = errno;
  *n = strtoul(text, &end, 10);
  errno = saved;
  return *text && !*end && *n >= least && *n <= most;
}

static unsigned long number(const char *name, unsigned long least, unsigned long most,
                            unsigned long otherwise) {
  static bool said;
  const char *value = variable(name);
  unsigned long n;
  if (!value || !*value) return otherwise;
  if (read_number(value, least, most, &n)) return n;
  say_once(&said, "%s=%s: a number from %lu to %lu expected; using %lu", name, value,
           least, most, otherwise);
  return otherwise;
}

/* All names of the list are of these; their bits are in *chosen. */
static bool choose(const char *list, const char *const *names, unsigned count,
                   unsigned *chosen) {
  for (*chosen = 0;; list++) {
    size_t length = strcspn(list, ",");
    unsigned i = 0;
    while (i < count && (strlen(names[i]) != length || strncmp(list, names[i], length)))
      i++;
    if (i == count) return false;
    *chosen |= 1u << i;
    list += length;
    if (!*list) return true;
  }
}

static unsigned heuristics(void) {
  static const char *const names[UL_HEURISTICS] = UL_HEURISTIC_NAMES;
  enum { ALL = (1u << UL_HEURISTICS) - 1 };
  static bool said;
  const char *value = getenv("ULLAGE_HEURISTICS");
  unsigned chosen = 0;
  if (!value || !*value || !strcmp(value, "all")) return ALL;
  if (!strcmp(value, "none")) return 0;
  if (choose(value, names, UL_HEURISTICS, &chosen)) return chosen;
  say_once(&said,
           "ULLAGE_HEURISTICS=%s: all, none, or names of heuristics expected; "
           "using all",
           value);
  return ALL;
}

/* ---- the file name ------------------------------------------------------------- */

static void put_program(struct text *to) {
  char comm[32];
  ssize_t n = os_slurp("/proc/self/comm", comm, sizeof comm);
  if (n > 0 && comm[n - 1] == '\n') comm[n - 1] = 0;
  text_put(to, n > 0 ? comm : "program");
}

/* `common`: what stands for all processes in place of what differs between them. */
static void put_pattern(struct text *to, const char *pattern, const char *common) {
  for (; *pattern; pattern++) {
    bool varies = pattern[0] == '%' && (pattern[1] == 'p' || pattern[1] == 'n');
    if (varies && common)
      text_put(to, common), pattern++;
    else if (varies && pattern[1] == 'p')
      text_put_number(to, (unsigned)os_pid()), pattern++;
    else if (varies)
      put_program(to), pattern++;
    else if (pattern[0] == '%' && pattern[1] == '%')
      text_put(to, "%"), pattern++;
    else
      text_put(to, (char[]){*pattern, 0});
  }
}

static void expand(char file[PATH_MAX], const char *pattern, const char *common) {
  struct text to = text_in(file, PATH_MAX);
  if (pattern[0] != '/' && os_directory(file, PATH_MAX - 1) == 0) {
    to.n = strlen(file);
    text_put(&to, "/");
  }
  put_pattern(&to, pattern, common);
}

static bool has_pid(const char *pattern) {
  while ((pattern = strchr(pattern, '%')) && pattern[1] != 'p')
    pattern += pattern[1] ? 2 : 1;
  return pattern;
}

static void read_file_name(void) {
  const char *pattern = variable("ULLAGE_FILE");
  if (!pattern || !*pattern) pattern = "ullage.%n.%p";
  expand(settings.file, pattern, NULL);
  if (!settings.main_pid && has_pid(pattern)) expand(settings.tree, pattern, "tree");
}

static unsigned readers(void) {
  static bool said;
  const char *value = variable("ULLAGE_READERS");
  if (!value || !*value || !strcmp(value, "owner")) return 0600;
  if (!strcmp(value, "group")) return 0640;
  if (!strcmp(value, "all")) return 0644;
  say_once(&said, "ULLAGE_READERS=%s: owner, group or all expected; using owner", value);
  return 0600;
}

static unsigned abort_on(void) {
  static bool said;
  unsigned chosen;
  const char *value = variable("ULLAGE_ABORT_ON");
  if (!value || !*value || !strcmp(value, "none")) return 0;
  if (!strcmp(value, "all")) return (1u << UL_MISUSES) - 1;
  if (choose(value, misuse_names, UL_MISUSES, &chosen)) return chosen;
  say_once(&said,
           "ULLAGE_ABORT_ON=%s: all, none, or kinds of bad frees expected; using none",
           value);
  return 0;
}

static void read_programs(void) {
  static bool said;
  const char *pattern = variable("ULLAGE_PROGRAMS");
  struct text to = TEXT_IN(settings.programs);
  text_put(&to, pattern && *pattern ? pattern : "*");
  if (to.cut)
    say_once(&said, "ULLAGE_PROGRAMS is too long: programs that are recorded may lack");
}

static enum settings_keep keep(void) {
  static bool said;
  const char *value = variable("ULLAGE_KEEP");
  if (!value || !*value || !strcmp(value, "telling")) return KEEP_TELLING;
  if (!strcmp(value, "lost")) return KEEP_LOST;
  if (!strcmp(value, "all")) return KEEP_ALL;
  say_once(&said, "ULLAGE_KEEP=%s: telling, lost or all expected; using telling", value);
  return KEEP_TELLING;
}

/* A number of bytes, or `auto`, or that with a number behind a colon. */
static void read_sampling(void) {
  enum { DEFAULT_BYTES = 512 << 10 };
  static bool said;
  const char *value = variable("ULLAGE_SAMPLE");
  unsigned long most = 1UL << 40, n = DEFAULT_BYTES;
  if (!value) return;
  settings.sample_later = !strncmp(value, "auto", 4);
  const char *bytes = settings.sample_later ? value + 4 : value;
  bool plain = settings.sample_later && !*bytes;
  if (settings.sample_later && *bytes == ':') bytes++;
  if (plain || read_number(bytes, settings.sample_later, most, &n)) {
    settings.sample = n;
    return;
  }
  settings.sample_later = false;
  if (*value)
    say_once(&said,
             "ULLAGE_SAMPLE=%s: auto, auto:BYTES, or a number from 0 to %lu expected; "
             "using 0",
             value, most);
}

/* Of each guarded block the stack is looked up. */
static void read_guard(void) {
  static bool said;
  settings.guard = yes("ULLAGE_GUARD", false);
  if (!settings.guard || !settings.sample) return;
  settings.sample = 0;
  say_once(&said,
           "ULLAGE_GUARD=yes: all stacks are looked up, in spite of ULLAGE_SAMPLE");
}

void settings_read(void) {
  settings.main_pid = (int)number("ULLAGE_MAIN_PID", 0, INT_MAX, 0); /* for say_once */
  settings.record = yes("ULLAGE_RECORD", true);
  settings.children = yes("ULLAGE_CHILDREN", true);
  settings.scan = yes("ULLAGE_SCAN", true);
  settings.check = yes("ULLAGE_CHECK", CHECK);
  settings.writes = yes("ULLAGE_WRITES", false);
  settings.frees = yes("ULLAGE_FREES", false);
  settings.depth = (unsigned)number("ULLAGE_DEPTH", 1, WALK_DEPTH_MAX, WALK_DEPTH_MAX);
  settings.stacks = (unsigned)number("ULLAGE_STACKS", 100, UL_SITES_MAX / 2, 4 << 20);
  settings.abort_on = abort_on();
  settings.heuristics = heuristics();
  read_programs();
  settings.keep = keep();
  settings.children_max = (unsigned)number("ULLAGE_CHILDREN_MAX", 0, CHILDREN_MOST,
                                           settings.keep ? CHILDREN_MOST : 100);
  settings.snapshot_ms = number("ULLAGE_SNAPSHOT_MS", 1, 3600000, 10);
  settings.scan_limit = (unsigned)number("ULLAGE_SCAN_LIMIT", 0, 1000000, 60);
  if (!settings.scan_limit) settings.scan_limit = UINT_MAX;
  read_sampling();
  read_guard();
  settings.sample_seed = number("ULLAGE_SAMPLE_SEED", 0, ULONG_MAX, 0);
  settings.sample_share = (unsigned)number("ULLAGE_SAMPLE_SHARE", 0, 100, 10);
  settings.mode = readers();
  settings.disk = number("ULLAGE_DISK", 0, 1 << 20, 0) << 20;
  settings.faults = variable("ULLAGE_FAIL");
  read_file_name();
}
