/* main.c - the command line: verbs, their recordings, their help, exit statuses. */
#include "answers/children.h"
#include "command/earlier.h"
#include "command/mark.h"
#include "command/options.h"
#include "command/usage.h"
#include "show/once.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- help ---------------------------------------------------------------------- */

/* A full disk or a closed pipe must not look like success. */
static int finish_output(void) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_FINE;
  return say_failed("cannot write the output: %s", strerror(errno));
}

static int help(const struct verb *verb) {
  if (verb && verb->main) {
    printf("Usage: ullage %s %s\n\n%s", verb->name, verb->usage, verb->details);
  } else if (verb) {
    printf("Usage: ullage %s %s\n\n%s\n", verb->name, verb->usage, verb->details);
    options_describe(stdout, verb);
    printf("\n%sExit status: 0, 1 if %s cannot be used, 2 for a wrong option.\n",
           verb->recordings > 1
               ? ""
               : "Without FILE, the newest recording in the current directory.\n",
           verb->recordings > 1 ? "a recording" : "FILE");
  } else {
    printf("ullage - what grows, leaks or is not used in a program's heap\n\n"
           "Usage: ullage run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
           "       ullage VERB [OPTION]... [FILE|PID]\n\n");
    for (size_t i = 0; i < verbs_count; i++)
      printf("  %-8s  %s\n", verbs[i].name, verbs[i].purpose);
    printf("\n  --version   --help   'ullage VERB --help' describes a verb\n");
  }
  return finish_output();
}

static int help_on(const char *name) {
  const struct verb *verb = name ? verbs_find(name) : NULL;
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
  if (earlier_is_name(name) || is_child(name) || !read_header(name, &header) ||
      header.copied_ms)
    return;
  newest->count++;
  if (header.start_real_ns < newest->start_ns) return;
  newest->start_ns = header.start_real_ns;
  snprintf(newest->name, sizeof newest->name, "%s", name);
}

/* The newest recording here; says which. NULL: there is none. */
static char *newest_recording(void) {
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

/* ---- an answer ----------------------------------------------------------------- */

static int view(struct request *request, struct context *const of[], const char *path) {
  const struct verb *verb = request->verb;
  void *model = verb->model(of);
  if (!model) return say_failed("%s: not enough memory", path);
  request->view.out = stdout;
  request->view.columns = page_columns(STDOUT_FILENO);
  request->view.once = request->json ? NULL : once_new();
  int status = (request->json ? verb->json : verb->text)(model, &request->view);
  once_free(request->view.once);
  if (verb->forget) verb->forget(model);
  return status;
}

/* FILE@MOMENT, if there is a FILE, or at least no file of the whole name. */
static const char *cut_moment(const struct verb *verb, char *path) {
  char *at = verb->takes & TAKES_MOMENTS ? strrchr(path, '@') : NULL;
  if (!at || at == path) return NULL;
  bool whole = access(path, F_OK) == 0;
  *at = '\0';
  if (!whole || access(path, F_OK) == 0) return at + 1;
  *at = '@';
  return NULL;
}

static bool wants_reachable(const struct request *request) {
  bool lists = request->verb->takes & TAKES_SHOW;
  return request->verb->raw || (lists && view_shows(&request->view, UL_REACHABLE));
}

/* What is no file may be a process that runs: its recording then. */
static int find_running(char **path) {
  static char found[RECORDINGS_MOST][MARK_PATH_BYTES];
  static unsigned count;
  if (!mark_is_process(*path) || access(*path, F_OK) == 0) return EXIT_FINE;
  int status = mark_find(*path, found[count]);
  if (status == EXIT_FINE) *path = found[count++];
  return status;
}

static int answer(struct request *request, char *paths[]) {
  struct context *of[RECORDINGS_MOST] = {NULL};
  char error[512];
  int status = EXIT_FINE;
  request->context.raw = request->verb->raw;
  request->context.reachable = wants_reachable(request);
  request->context.alone = request->verb->alone;
  for (size_t i = 0; i < request->verb->recordings && status == EXIT_FINE; i++) {
    const char *moment = cut_moment(request->verb, paths[i]);
    if (moment || request->verb->recordings > 1) request->context.at = moment;
    if ((status = find_running(&paths[i])) != EXIT_FINE) break;
    of[i] = context_open(paths[i], &request->context, error, sizeof error);
    if (!of[i]) status = say_failed("%s: %s", paths[i], error);
  }
  if (status == EXIT_FINE) status = view(request, of, paths[0]);
  for (size_t i = 0; i < RECORDINGS_MOST; i++)
    context_free(of[i]);
  return status;
}

static int verb_main(const struct verb *verb, int argc, char *argv[]) {
  struct request request = {.verb = verb};
  char *paths[RECORDINGS_MOST];
  int status = options_parse(&request, argc, argv), given = argc - optind;
  if (status != EXIT_FINE) return status;
  if (request.help) return help(verb);
  if (given > (int)verb->recordings)
    return say_usage(verb->name, "%s expected, but %s is one more",
                     verb->recordings == 1 ? "one recording" : "two recordings",
                     argv[optind + (int)verb->recordings]);
  if (verb->recordings > 1 && given < (int)verb->recordings)
    return say_usage(verb->name, "two recordings expected");
  for (int i = 0; i < given; i++)
    paths[i] = argv[optind + i];
  if (!given && !(paths[0] = newest_recording()))
    return say_usage(verb->name, "which recording? There is none here");
  return answer(&request, paths);
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
  const struct verb *verb = verbs_find(word);
  if (!verb)
    return say_usage(NULL, "unknown %s %s", *word == '-' ? "option" : "verb", word);
  if (asks_for_help(argc - 1, argv + 1)) return help(verb);
  return verb->main ? verb->main(argc - 1, argv + 1)
                    : verb_main(verb, argc - 1, argv + 1);
}
