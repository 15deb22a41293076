#include "command/launch.h"

#include "command/earlier.h"
#include "command/signals.h"
#include "command/usage.h"
#include "read/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH_MAX 1024
#define SCAN_LIMIT_MAX 1000000 /* seconds */
#define DISK_MAX (1u << 20)    /* MiB */
#define SAMPLE_BYTES "524288"
#define SAMPLE_MAX (1u << 30)

/* ---- options ------------------------------------------------------------------- */

static int parse_answer(const struct launch *l, const char *option, enum answer *answer) {
  bool yes;
  if (!parse_yes_no(optarg, &yes))
    return say_usage(l->verb, "--%s=%s: yes or no expected", option, optarg);
  *answer = yes ? YES : NO;
  return EXIT_FINE;
}

/* As libullage.so reads it. */
static int parse_heuristics(struct launch *l, const char *list) {
  static const char *const names[UL_HEURISTICS] = UL_HEURISTIC_NAMES;
  l->heuristics = list;
  if (!strcmp(list, "all") || !strcmp(list, "none")) return EXIT_FINE;
  for (const char *name = list;; name++) {
    size_t length = strcspn(name, ","), h = 0;
    while (h < UL_HEURISTICS &&
           (strlen(names[h]) != length || strncmp(name, names[h], length)))
      h++;
    if (h == UL_HEURISTICS)
      return say_usage(l->verb, "--heuristics=%s: there is no heuristic %.*s", list,
                       (int)length, name);
    name += length;
    if (!*name) return EXIT_FINE;
  }
}

static int parse_readers(struct launch *l, const char *readers) {
  l->readers = readers;
  if (!strcmp(readers, "owner") || !strcmp(readers, "group") || !strcmp(readers, "all"))
    return EXIT_FINE;
  return say_usage(l->verb, "--readers=%s: owner, group or all expected", readers);
}

static int parse_disk(struct launch *l, const char *mib) {
  if (parse_number(mib, 1, DISK_MAX, &l->disk)) return EXIT_FINE;
  return say_usage(l->verb, "--disk=%s: a number of MiB from 1 to %u expected", mib,
                   DISK_MAX);
}

static int parse_scan_limit(struct launch *l, const char *seconds) {
  unsigned number;
  l->scan_limit = seconds;
  if (parse_number(seconds, 0, SCAN_LIMIT_MAX, &number)) return EXIT_FINE;
  return say_usage(l->verb,
                   "--scan-limit=%s: a number of seconds from 0 (no limit) to %u "
                   "expected",
                   seconds, SCAN_LIMIT_MAX);
}

static int parse_sample(struct launch *l, const char *how) {
  unsigned bytes;
  l->sample = how ? how : SAMPLE_BYTES;
  if (!how || strcmp(how, "auto") == 0) return EXIT_FINE;
  const char *number = strncmp(how, "auto:", 5) == 0 ? how + 5 : how;
  if (parse_number(number, 1, SAMPLE_MAX, &bytes)) return EXIT_FINE;
  return say_usage(l->verb,
                   "--sample=%s: a number of bytes from 1 to %u, auto, or auto:BYTES "
                   "expected",
                   how, SAMPLE_MAX);
}

static int parse_sample_share(struct launch *l, const char *percent) {
  unsigned number;
  l->sample_share = percent;
  if (!l->sample) l->sample = "auto";
  if (parse_number(percent, 0, 100, &number)) return EXIT_FINE;
  return say_usage(l->verb, "--sample-share=%s: a percentage from 0 to 100 expected",
                   percent);
}

int launch_option(struct launch *l, int option) {
  switch (option) {
  case 'o':
    l->file = optarg;
    return *optarg ? EXIT_FINE : say_usage(l->verb, "-o: the name of the file is empty");
  case 'q':
    l->quiet = true;
    return EXIT_FINE;
  case LAUNCH_CHILDREN:
    return parse_answer(l, "children", &l->children);
  case LAUNCH_SCAN:
    return parse_answer(l, "scan", &l->scan);
  case LAUNCH_SCAN_LIMIT:
    return parse_scan_limit(l, optarg);
  case LAUNCH_HEURISTICS:
    return parse_heuristics(l, optarg);
  case LAUNCH_DISK:
    return parse_disk(l, optarg);
  case LAUNCH_READERS:
    return parse_readers(l, optarg);
  case LAUNCH_SAMPLE:
    return parse_sample(l, optarg);
  case LAUNCH_SAMPLE_SHARE:
    return parse_sample_share(l, optarg);
  case LAUNCH_GUARD:
    l->guard = YES;
    return EXIT_FINE;
  case LAUNCH_PYTHON:
    return parse_answer(l, "python-malloc", &l->python_malloc);
  case LAUNCH_GLIB:
    return parse_answer(l, "g-slice", &l->g_slice);
  case LAUNCH_DEPTH:
    if (parse_number(optarg, 1, DEPTH_MAX, &l->depth)) return EXIT_FINE;
    return say_usage(l->verb, "--depth=%s: a number from 1 to %u expected", optarg,
                     DEPTH_MAX);
  default:
    return LAUNCH_OTHER;
  }
}

int launch_command(struct launch *l, int argc, char *argv[]) {
  if (optind == argc) return say_usage(l->verb, "no program to run was given");
  if (l->guard == YES && l->sample)
    return say_usage(l->verb, "--guard looks up all stacks, and --sample does not");
  l->command = argv + optind;
  return EXIT_FINE;
}

/* ---- the preload --------------------------------------------------------------- */

/* Beside ourselves: in the build tree, or as installed. */
int launch_find_preload(struct launch *l) {
  static const char *const places[] = {"../preload/libullage.so",
                                       "../" ULLAGE_LIBDIR "/ullage/libullage.so",
                                       "../lib/ullage/libullage.so"};
  char self[PATH_MAX], path[2 * PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return say_failed("cannot find myself in /proc: %s", strerror(errno));
  self[n] = '\0';
  *strrchr(self, '/') = '\0';
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    snprintf(path, sizeof path, "%s/%s", self, places[i]);
    if (!realpath(path, l->preload)) continue;
    if (!strpbrk(l->preload, " :\t\n")) return EXIT_FINE;
    return say_failed(
        "%s cannot be preloaded: the loader splits LD_PRELOAD at spaces and "
        "colons; install ullage elsewhere",
        l->preload);
  }
  return say_failed("libullage.so is not beside me: neither %s/../preload nor "
                    "%s/../" ULLAGE_LIBDIR "/ullage has it",
                    self, self);
}

/* ---- the recording's name ------------------------------------------------------ */

bool launch_name(struct launch *l, pid_t pid) {
  char directory[PATH_MAX], name[PATH_MAX];
  if (l->file && *l->file == '/')
    return (size_t)snprintf(l->path, PATH_MAX, "%s", l->file) < PATH_MAX;
  if (!getcwd(directory, sizeof directory)) return false;
  if (l->file)
    snprintf(name, sizeof name, "%s", l->file);
  else
    snprintf(name, sizeof name, "ullage.%.200s.%d", basename(l->command[0]), pid);
  return (size_t)snprintf(l->path, PATH_MAX, "%s/%s", directory, name) < PATH_MAX;
}

/* A name given by the user may be of something else than an earlier recording. */
static int check_file(struct launch *l) {
  struct stat st;
  if (!l->file || stat(l->file, &st) != 0) return EXIT_FINE;
  if (!S_ISREG(st.st_mode))
    return say_failed("cannot record to %s: it is not a regular file", l->file);
  if (st.st_size && !earlier_is_recording(l->file))
    return say_failed("cannot record to %s: it exists and is not a recording; choose "
                      "another name",
                      l->file);
  return EXIT_FINE;
}

/* As libullage.so reads it. */
static bool check_wanted(struct launch *l) {
  const char *record = getenv("ULLAGE_RECORD");
  l->unrecorded = record && (strcmp(record, "no") == 0 || strcmp(record, "0") == 0);
  if (l->unrecorded && !l->quiet)
    say("ULLAGE_RECORD=%s: the program gets our allocator, and nothing is recorded",
        record);
  return !l->unrecorded;
}

/* A program that cannot be recorded still runs. */
static void check_directory(struct launch *l) {
  char directory[PATH_MAX];
  const char *file = l->file ? l->file : "./recording";
  const char *slash = strrchr(file, '/');
  snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - file) + 1 : 1,
           slash ? file : ".");
  if (access(directory, W_OK | X_OK) == 0) return;
  l->unrecorded = true;
  if (l->file)
    say_failed("cannot record to %s: %s; the program runs without", file,
               strerror(errno));
  else
    say_failed("cannot record into the current directory: %s; the program runs without "
               "(-o FILE records elsewhere)",
               strerror(errno));
}

/* ---- the program's start ------------------------------------------------------- */

static bool set(const char *name, const char *value) {
  return setenv(name, value, 1) == 0;
}

/* '%' begins a pattern in ULLAGE_FILE. */
static bool set_file(const char *path) {
  char escaped[2 * PATH_MAX], *to = escaped;
  for (; *path; path++) {
    if (*path == '%') *to++ = '%';
    *to++ = *path;
  }
  *to = '\0';
  return set("ULLAGE_FILE", escaped);
}

static bool set_preload(const char *ours) {
  const char *theirs = getenv("LD_PRELOAD");
  char *both;
  if (!theirs || !*theirs) return set("LD_PRELOAD", ours);
  if (asprintf(&both, "%s:%s", ours, theirs) < 0) return false;
  bool done = set("LD_PRELOAD", both);
  free(both);
  return done;
}

static bool put_answer(launch_put *put, const char *name, enum answer answer) {
  return answer == UNSAID || put(name, answer == YES ? "yes" : "no");
}

static bool put_number(launch_put *put, const char *name, unsigned value) {
  char digits[16];
  snprintf(digits, sizeof digits, "%u", value);
  return !value || put(name, digits);
}

static bool put_text(launch_put *put, const char *name, const char *value) {
  return !value || put(name, value);
}

bool launch_settings(const struct launch *l, launch_put *put) {
  return put_answer(put, "ULLAGE_CHILDREN", l->children) &&
         put_answer(put, "ULLAGE_SCAN", l->scan) &&
         put_answer(put, "ULLAGE_FREES", l->frees) &&
         put_answer(put, "ULLAGE_GUARD", l->guard) &&
         put_text(put, "ULLAGE_SCAN_LIMIT", l->scan_limit) &&
         put_text(put, "ULLAGE_HEURISTICS", l->heuristics) &&
         put_number(put, "ULLAGE_DEPTH", l->depth) &&
         put_text(put, "ULLAGE_SAMPLE", l->sample) &&
         put_text(put, "ULLAGE_SAMPLE_SHARE", l->sample_share) &&
         put_number(put, "ULLAGE_DISK", l->disk) &&
         put_text(put, "ULLAGE_READERS", l->readers) &&
         put_text(put, "ULLAGE_PROGRAMS", l->programs) &&
         put_text(put, "ULLAGE_KEEP", l->keep) &&
         put_text(put, "ULLAGE_ABORT_ON", l->abort_on) &&
         put_text(put, "ULLAGE_RECORD", l->unrecorded ? "no" : NULL);
}

static bool set_environment(const struct launch *l) {
  return set_preload(l->preload) && set_file(l->path) &&
         put_number(set, "ULLAGE_MAIN_PID", (unsigned)getpid()) &&
         launch_settings(l, set);
}

/* What keeps pools of its own hides what is in them: CPython its small objects, glib
 * before 2.76 its slices. */
static void set_pools(const struct launch *l) {
  if (l->program.python && l->python_malloc != NO && !getenv("PYTHONMALLOC")) {
    set("PYTHONMALLOC", "malloc");
    if (!l->quiet)
      say("PYTHONMALLOC=malloc is set, so that each Python object is seen "
          "(--python-malloc=no leaves it)");
  }
  if (l->program.glib && l->g_slice != NO && !getenv("G_SLICE")) {
    set("G_SLICE", "always-malloc");
    if (!l->quiet)
      say("G_SLICE=always-malloc is set, so that each slice of a glib before 2.76 is seen "
          "(--g-slice=no leaves it)");
  }
}

/* In the child. The number of an error tells the parent that exec failed. */
_Noreturn static void become(struct launch *l, const struct signals *signals,
                             int report) {
  if (!launch_name(l, getpid()))
    errno = ENAMETOOLONG;
  else {
    if (!l->unrecorded) earlier_make_way(l->path);
    set_pools(l);
    if (set_environment(l)) {
      signals_restore(signals);
      execvp(l->command[0], l->command);
    }
  }
  int error = errno;
  ssize_t written = write(report, &error, sizeof error);
  _exit(written == sizeof error ? INSPECT_NOT_FOUND : INSPECT_UNUSABLE);
}

/* 0 and the program's pid, or an exit status, said. */
static int start(struct launch *l, const struct signals *signals, pid_t *pid) {
  int ends[2], error;
  if (pipe2(ends, O_CLOEXEC) != 0 || (*pid = fork()) < 0)
    return say_failed("cannot start a process: %s", strerror(errno));
  if (*pid == 0) become(l, signals, ends[1]);
  close(ends[1]);
  ssize_t n = read(ends[0], &error, sizeof error);
  close(ends[0]);
  if (n != sizeof error) return EXIT_FINE;
  waitpid(*pid, NULL, 0);
  say_failed("cannot run %s: %s", l->command[0], strerror(error));
  return error == ENOENT ? INSPECT_NOT_FOUND : INSPECT_UNUSABLE;
}

/* ---- all of it ----------------------------------------------------------------- */

int launch_prepare(struct launch *l) {
  if (inspect_program(l->command[0], &l->program) != INSPECT_FINE) {
    say_failed("%s", l->program.reason);
    return l->program.status;
  }
  if (launch_find_preload(l) || check_file(l)) return EXIT_FAILED;
  if (check_wanted(l)) check_directory(l);
  return EXIT_FINE;
}

int launch_run(struct launch *l, pid_t *pid, int *status) {
  struct signals signals;
  signals_take(&signals);
  struct ul_kills before = kills_count("");
  int failed = start(l, &signals, pid);
  if (failed == EXIT_FINE) *status = signals_wait(&signals, *pid);
  l->kills = kills_between(before, kills_count(""));
  signals_restore(&signals);
  return failed;
}

int launch_end_like(int status) {
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  fflush(NULL);
  signals_die(WTERMSIG(status));
  return 128 + WTERMSIG(status);
}
