/* main.c - the command line: verbs, their options, their help, exit statuses. */
#include "answers/children.h"
#include "command/run.h"
#include "command/usage.h"
#include "names/frame.h"
#include "read/estimate.h"
#include "read/recording.h"
#include "show/verbs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- verbs --------------------------------------------------------------------- */

struct verb {
  const char *name;
  const char *purpose;
  int (*answer)(struct recording *, const struct view_options *); /* NULL: run */
  const char *details;
};

static const struct verb verbs[] = {
    {"run", "run a program and record its heap", NULL,
     "Usage: ullage run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
     "\n"
     "Runs the program with its allocations recorded. Output, signals and exit status\n"
     "are the program's own; ullage speaks on standard error, in lines that begin with\n"
     "\"ullage:\".\n"
     "\n"
     "  -o, --output=FILE         record to FILE (default: ullage.PROGRAM.PID here); an\n"
     "                            earlier recording of that name becomes FILE.old\n"
     "      --children=yes|no     record child processes, to FILE.PID (default: yes)\n"
     "      --depth=N             innermost frames told of each call stack, 1 to 1024\n"
     "                            (default: 1024)\n"
     "      --scan=yes|no         look for leaks at the end (default: yes)\n"
     "      --sample[=BYTES]      look up one stack in so many bytes of allocations\n"
     "                            (default: 524288), and estimate the rest\n"
     "      --scan-limit=SECONDS  after which that ends with what is known (default: "
     "60;\n"
     "                            0: no limit)\n"
     "      --heuristics=LIST     pointers into blocks that count: all (default), none, "
     "names\n"
     "      --disk=MIB            what all recordings of the run may have on the disk\n"
     "                            (default: 1024, or a tenth of what is free)\n"
     "      --readers=owner|group|all  who may read them (default: owner)\n"
     "      --python-malloc=yes|no  set PYTHONMALLOC=malloc for CPython (default: yes)\n"
     "  -q, --quiet               no summary at the end\n"
     "      --help                this text\n"
     "\n"
     "Exit status: the program's; or 1 if ullage failed, 2 for a wrong option, 126 if\n"
     "the program cannot be run or recorded, 127 if it was not found.\n"},
    {"report", "what to change, and all about a recording on a page", report_main,
     "Usage: ullage report [OPTION]... [FILE]\n"
     "\n"
     "What to change: the functions that leak or grow, on a page with totals, memory\n"
     "over time, how it adds up to the resident size, and the functions that hold\n"
     "most. --all cuts nothing, and lists the call sites with their stacks.\n"},
    {"growth", "which call sites hold more and more memory", growth_main,
     "Usage: ullage growth [OPTION]... [FILE]\n"
     "\n"
     "The trend of each call site over the snapshots, with a verdict and its reason.\n"},
    {"leaks", "which blocks nothing in the program can reach any more", leaks_main,
     "Usage: ullage leaks [OPTION]... [FILE]\n"
     "\n"
     "What the scan at the end of the program found, by verdict and call site.\n"
     "\n"
     "      --show=VERDICT,...    definite, indirect, possible, reachable, all\n"
     "                            (default: all but reachable)\n"},
    {"unused", "which memory is held but not used", unused_main,
     "Usage: ullage unused [OPTION]... [FILE]\n"
     "\n"
     "Memory that surviving blocks pin, slack inside blocks, pages that were never\n"
     "touched, and blocks not written for long, by call site.\n"},
    {"dump", "the recording itself as readable text", dump_main,
     "Usage: ullage dump [OPTION]... [FILE]\n"
     "\n"
     "Header and tables of the recording, for people who debug ullage or write tools.\n"},
};
#define VERBS (sizeof verbs / sizeof *verbs)

static const char view_help[] =
    "\n"
    "      --json                as JSON (docs/json.md)\n"
    "      --bytes               exact sizes instead of KiB, MiB\n"
    "      --top=N               show N sites\n"
    "      --all                 show every site and frame\n"
    "      --color=auto|always|never   (default: auto; NO_COLOR is honoured)\n"
    "      --sysroot=DIR         look for programs and libraries below DIR\n"
    "      --debuginfod          fetch debug information from $DEBUGINFOD_URLS\n"
    "      --help                this text\n"
    "\n"
    "Without FILE, the newest recording ullage.* in the current directory.\n"
    "Exit status: 0, 1 if FILE cannot be used, 2 for a wrong option.\n";

static const struct verb *find_verb(const char *name) {
  for (size_t i = 0; i < VERBS; i++)
    if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
  return NULL;
}

/* ---- help ---------------------------------------------------------------------- */

/* A full disk or a closed pipe must not look like success. */
static int finish_output(void) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_FINE;
  return say_failed("cannot write the output: %s", strerror(errno));
}

static int help(const struct verb *verb) {
  if (verb) {
    printf("%s%s", verb->details, verb->answer ? view_help : "");
    return finish_output();
  }
  printf("ullage - what grows, leaks or is not used in a program's heap\n\n"
         "Usage: ullage run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
         "       ullage VERB [OPTION]... [FILE]\n\n");
  for (size_t i = 0; i < VERBS; i++)
    printf("  %-8s  %s\n", verbs[i].name, verbs[i].purpose);
  printf("\n  --version   --help   'ullage VERB --help' describes a verb\n");
  return finish_output();
}

static int help_on(const char *name) {
  const struct verb *verb = name ? find_verb(name) : NULL;
  if (name && !verb) return say_usage(NULL, "unknown verb %s", name);
  return help(verb);
}

/* ---- which recording ----------------------------------------------------------- */

struct newest {
  char name[NAME_MAX + 1];
  uint64_t start_ns;
  unsigned count;
};

static bool read_header(const char *name, struct ul_header *header) {
  struct stat st;
  int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  bool done = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
              pread(fd, header, sizeof *header, 0) == sizeof *header &&
              memcmp(header->magic, UL_MAGIC, sizeof header->magic) == 0;
  close(fd);
  return done;
}

/* ullage.sqlite3.123.456 is of a child if ullage.sqlite3.123 is a recording. */
static bool is_child(const char *name) {
  char parent[NAME_MAX + 1];
  snprintf(parent, sizeof parent, "%s", name);
  for (char *dot; (dot = strrchr(parent, '.'));) {
    *dot = '\0';
    if (children_is_name(name, parent) && access(parent, F_OK) == 0) return true;
  }
  return false;
}

static void consider(const char *name, struct newest *newest) {
  struct ul_header header;
  if (strncmp(name, "ullage.", 7) != 0 || strstr(name, ".old") || is_child(name) ||
      !read_header(name, &header))
    return;
  newest->count++;
  if (header.start_real_ns < newest->start_ns) return;
  newest->start_ns = header.start_real_ns;
  snprintf(newest->name, sizeof newest->name, "%s", name);
}

/* The newest recording here; says which. NULL: there is none. */
static const char *newest_recording(void) {
  static struct newest newest;
  DIR *directory = opendir(".");
  struct dirent *entry;
  while (directory && (entry = readdir(directory)))
    consider(entry->d_name, &newest);
  if (directory) closedir(directory);
  if (!newest.count) return NULL;
  if (newest.count == 1)
    say("reading %s", newest.name);
  else
    say("reading %s, the newest of %u recordings here", newest.name, newest.count);
  return newest.name;
}

/* ---- options of the answers ---------------------------------------------------- */

enum {
  OPTION_JSON = 256,
  OPTION_BYTES,
  OPTION_TOP,
  OPTION_ALL,
  OPTION_COLOR,
  OPTION_SHOW,
  OPTION_SYSROOT,
  OPTION_DEBUGINFOD,
  OPTION_HELP
};

static const struct option options[] = {
    {"json", no_argument, NULL, OPTION_JSON},
    {"bytes", no_argument, NULL, OPTION_BYTES},
    {"top", required_argument, NULL, OPTION_TOP},
    {"all", no_argument, NULL, OPTION_ALL},
    {"color", required_argument, NULL, OPTION_COLOR},
    {"sysroot", required_argument, NULL, OPTION_SYSROOT},
    {"debuginfod", no_argument, NULL, OPTION_DEBUGINFOD},
    {"help", no_argument, NULL, OPTION_HELP},
    {"show", required_argument, NULL, OPTION_SHOW}, /* of `leaks` alone */
    {NULL, 0, NULL, 0}};

struct request {
  const struct verb *verb;
  struct view_options view;
  struct symbols_options symbols;
  bool help;
};

static bool wants_color(void) {
  const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
  return isatty(STDOUT_FILENO) && !(no && *no) &&
         !(terminal && strcmp(terminal, "dumb") == 0);
}

static int parse_color(struct request *request) {
  if (strcmp(optarg, "always") == 0)
    request->view.color = true;
  else if (strcmp(optarg, "never") == 0)
    request->view.color = false;
  else if (strcmp(optarg, "auto") == 0)
    request->view.color = wants_color();
  else
    return say_usage(request->verb->name, "--color=%s: auto, always or never expected",
                     optarg);
  return EXIT_FINE;
}

static int parse_show(struct request *request) {
  static const char *const names[UL_VERDICTS] = {
      [UL_DEFINITE] = "definite",
      [UL_INDIRECT] = "indirect",
      [UL_POSSIBLE] = "possible",
      [UL_REACHABLE] = "reachable",
  };
  for (char *rest = optarg, *word; (word = strsep(&rest, ","));) {
    unsigned verdict = UL_DEFINITE;
    while (verdict < UL_VERDICTS && strcmp(names[verdict], word) != 0)
      verdict++;
    if (verdict < UL_VERDICTS)
      request->view.show |= 1u << verdict;
    else if (strcmp(word, "all") == 0)
      request->view.show |= (1u << UL_VERDICTS) - 2;
    else
      return say_usage(
          request->verb->name,
          "--show=%s: definite, indirect, possible, reachable or all expected", word);
  }
  return EXIT_FINE;
}

static int parse_option(struct request *request, int option, char *argv[]) {
  switch (option) {
  case OPTION_JSON:
    request->view.json = true;
    return EXIT_FINE;
  case OPTION_BYTES:
    request->view.bytes = true;
    return EXIT_FINE;
  case OPTION_ALL:
    request->view.all = true;
    return EXIT_FINE;
  case OPTION_HELP:
    request->help = true;
    return EXIT_FINE;
  case OPTION_DEBUGINFOD:
    request->symbols.debuginfod = true;
    return EXIT_FINE;
  case OPTION_SYSROOT:
    request->symbols.sysroot = optarg;
    return EXIT_FINE;
  case OPTION_COLOR:
    return parse_color(request);
  case OPTION_SHOW:
    if (request->verb->answer == leaks_main) return parse_show(request);
    return say_usage(request->verb->name, "--show is an option of 'ullage leaks'");
  case OPTION_TOP:
    if (parse_number(optarg, 1, 1u << 24, &request->view.top)) return EXIT_FINE;
    return say_usage(request->verb->name, "--top=%s: a number from 1 expected", optarg);
  default:
    return say_bad_option(request->verb->name, argv, option, options);
  }
}

/* ---- an answer ----------------------------------------------------------------- */

static unsigned terminal_columns(void) {
  struct winsize size;
  bool known = isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  return known ? size.ws_col : 0;
}

static int answer(struct request *request, const char *path) {
  char error[512];
  struct recording *recording = recording_open(path, error, sizeof error);
  if (!recording) return say_failed("%s: %s", path, error);
  struct symbols *symbols = symbols_new(recording, &request->symbols);
  bool raw = request->verb->answer == dump_main;
  if (!symbols || (!raw && !estimate_leaks(recording))) {
    symbols_free(symbols);
    recording_close(recording);
    return say_failed("%s: not enough memory", path);
  }
  request->view.out = stdout;
  request->view.symbols = symbols;
  request->view.columns = terminal_columns();
  request->view.sample_bytes = estimate_sample_bytes(recording);
  int status = request->verb->answer(recording, &request->view);
  if (request->verb->answer == report_main && !request->view.json && !status) {
    children_print(&request->view, path, recording_header(recording)->children_kept);
    status = finish_output();
  }
  symbols_free(symbols);
  recording_close(recording);
  return status;
}

static int verb_main(const struct verb *verb, int argc, char *argv[]) {
  struct request request = {.verb = verb, .view.color = wants_color()};
  int option, status;
  while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1)
    if ((status = parse_option(&request, option, argv)) != EXIT_FINE) return status;
  if (request.help) return help(verb);
  if (argc - optind > 1)
    return say_usage(verb->name, "one recording expected, but %s is a second one",
                     argv[optind + 1]);
  const char *path = optind < argc ? argv[optind] : newest_recording();
  if (!path)
    return say_usage(verb->name, "which recording? There is no ullage.* file here");
  return answer(&request, path);
}

/* `run` leaves everything after its program to the program. */
static bool asks_for_help(int argc, char *argv[]) {
  return argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
}

int main(int argc, char *argv[]) {
  if (argc < 2)
    return say_usage(NULL, "what to do? 'ullage run PROGRAM' records a program");
  const char *word = argv[1];
  opterr = 0;
  if (asks_for_help(argc, argv)) return help(NULL);
  if (strcmp(word, "--version") == 0) {
    puts("ullage " ULLAGE_VERSION);
    return finish_output();
  }
  if (strcmp(word, "help") == 0) return help_on(argv[2]);
  const struct verb *verb = find_verb(word);
  if (!verb)
    return say_usage(NULL, "unknown %s %s", *word == '-' ? "option" : "verb", word);
  if (asks_for_help(argc - 1, argv + 1)) return help(verb);
  return verb->answer ? verb_main(verb, argc - 1, argv + 1)
                      : run_main(argc - 1, argv + 1);
}
