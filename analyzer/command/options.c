#include "command/options.h"

#include "command/usage.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool wants_color(void) {
  const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
  return isatty(STDOUT_FILENO) && !(no && *no) &&
         !(terminal && strcmp(terminal, "dumb") == 0);
}

/* ---- what each sets; false: the value is none ----------------------------------- */

static bool set_json(struct request *request, const char *value) {
  (void)value;
  return request->json = true;
}

static bool set_bytes(struct request *request, const char *value) {
  (void)value;
  return request->view.bytes = true;
}

static bool set_top(struct request *request, const char *value) {
  return parse_number(value, 1, 1u << 24, &request->view.top);
}

static bool set_all(struct request *request, const char *value) {
  (void)value;
  return request->view.all = true;
}

static bool set_color(struct request *request, const char *value) {
  request->view.color = strcmp(value, "always") == 0;
  if (strcmp(value, "auto") == 0) request->view.color = wants_color();
  return strcmp(value, "always") == 0 || strcmp(value, "never") == 0 ||
         strcmp(value, "auto") == 0;
}

static bool set_process(struct request *request, const char *value) {
  request->context.process = value;
  return *value;
}

static bool set_sysroot(struct request *request, const char *value) {
  struct stat st;
  request->context.symbols.sysroot = value;
  return stat(value, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool set_paths(struct request *request, const char *value) {
  (void)value;
  return request->context.symbols.paths = true;
}

static bool set_debuginfod(struct request *request, const char *value) {
  (void)value;
  return request->context.symbols.debuginfod = true;
}

static bool set_at(struct request *request, const char *value) {
  request->context.at = value;
  return *value;
}

static bool set_since(struct request *request, const char *value) {
  request->context.since = value;
  return *value;
}

static bool set_force(struct request *request, const char *value) {
  (void)value;
  return request->context.force = true;
}

static bool set_help(struct request *request, const char *value) {
  (void)value;
  return request->help = true;
}

static bool is_word(const char *word, const char *value, size_t n) {
  return strlen(word) == n && strncmp(word, value, n) == 0;
}

static bool set_show(struct request *request, const char *value) {
  static const char *const names[UL_VERDICTS] = {
      [UL_DEFINITE] = "definite",
      [UL_INDIRECT] = "indirect",
      [UL_POSSIBLE] = "possible",
      [UL_REACHABLE] = "reachable",
  };
  for (size_t n; *value; value += n + (value[n] == ',')) {
    unsigned verdict = UL_DEFINITE;
    n = strcspn(value, ",");
    while (verdict < UL_VERDICTS && !is_word(names[verdict], value, n))
      verdict++;
    if (verdict < UL_VERDICTS)
      request->view.show |= 1u << verdict;
    else if (is_word("all", value, n))
      request->view.show |= (1u << UL_VERDICTS) - 2;
    else
      return false;
  }
  return true;
}

/* ---- the table ----------------------------------------------------------------- */

static const struct known {
  const char *name;
  const char *value;    /* what it is called in the help; NULL: it takes none */
  unsigned takes;       /* 0: all verbs take it */
  const char *help;     /* lines, but for the first as indented as they are shown */
  const char *expected; /* instead of a value that is none */
  bool (*set)(struct request *, const char *value);
} known[] = {
    {"show", "VERDICT,...", TAKES_SHOW,
     "definite, indirect, possible, reachable, all\n"
     "                            (default: all but reachable)",
     "definite, indirect, possible, reachable or all", set_show},
    {"at", "MOMENT", TAKES_AT, "who held what then: a time (12s, 1.5m), a mark, \"peak\"",
     "a time or mark", set_at},
    {"since", "MOMENT", TAKES_SINCE, "as if the run had begun then (12s, 1.5m, a mark)",
     "a time or mark", set_since},
    {"force", NULL, TAKES_FORCE, "compare recordings of different programs", NULL,
     set_force},
    {"process", "PROCESS", 0,
     "of one process only: its id, its program's name, or\n"
     "                            its place in the report of all (1: the first)",
     "a process id or a program's name", set_process},
    {"json", NULL, 0, "as JSON (docs/json.md)", NULL, set_json},
    {"bytes", NULL, 0, "exact sizes instead of KiB, MiB", NULL, set_bytes},
    {"top", "N", 0, "show N sites", "a number from 1", set_top},
    {"all", NULL, 0, "show every site and frame", NULL, set_all},
    {"color", "auto|always|never", 0, "(default: auto; NO_COLOR is honoured)",
     "auto, always or never", set_color},
    {"paths", NULL, 0, "show source files with their directories", NULL, set_paths},
    {"sysroot", "DIR", 0, "look for programs and libraries below DIR",
     "a directory that there is", set_sysroot},
    {"debuginfod", NULL, 0, "fetch debug information from $DEBUGINFOD_URLS", NULL,
     set_debuginfod},
    {"help", NULL, 0, "this text", NULL, set_help},
};
#define KNOWN (sizeof known / sizeof *known)

static bool is_taken(const struct verb *verb, const struct known *option) {
  return !option->takes || verb->takes & option->takes;
}

void options_describe(FILE *f, const struct verb *verb) {
  enum { COLUMN = 20 };
  for (size_t i = 0; i < KNOWN; i++) {
    const struct known *k = &known[i];
    char words[64];
    if (!is_taken(verb, k)) continue;
    snprintf(words, sizeof words, "%s%s%s", k->name, k->value ? "=" : "",
             k->value ? k->value : "");
    fprintf(f, "      --%-*s%s%s\n", COLUMN, words, strlen(words) < COLUMN ? "" : "  ",
            k->help);
  }
}

/* Those of other verbs are known to getopt, too: what they are not for can be said. */
static int set(struct request *request, const struct known *option) {
  const char *name = request->verb->name;
  for (size_t i = 0; !is_taken(request->verb, option) && i < verbs_count; i++)
    if (verbs[i].takes & option->takes)
      return say_usage(name, "--%s is an option of 'ullage %s'", option->name,
                       verbs[i].name);
  if (option->set(request, optarg)) return EXIT_FINE;
  return say_usage(name, "--%s=%s: %s expected", option->name, optarg, option->expected);
}

int options_parse(struct request *request, int argc, char *argv[]) {
  struct option options[KNOWN + 1] = {{NULL, 0, NULL, 0}};
  enum { FIRST = 256 };
  int option, status;
  for (size_t i = 0; i < KNOWN; i++)
    options[i] =
        (struct option){known[i].name, known[i].value ? required_argument : no_argument,
                        NULL, FIRST + (int)i};
  request->view.color = wants_color();
  while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
    if (option < FIRST) return say_bad_option(request->verb->name, argv, option, options);
    status = set(request, &known[option - FIRST]);
    if (status != EXIT_FINE) return status;
  }
  return EXIT_FINE;
}
