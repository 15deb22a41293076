/* run.c - see run.h.
 *
 * The recording is the program's: it creates, fills and closes it. What is left to us is
 * its name, which holds the program's pid, so that the child itself makes way for it
 * between fork and exec; and the last word, if the program died without one. */
#include "command/run.h"
#include "answers/children.h"
#include "command/inspect.h"
#include "command/signals.h"
#include "command/usage.h"
#include "read/estimate.h"
#include "read/timeline.h"
#include "show/text.h"
#include "show/verbs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EARLIER_MOST 1000 /* programs of one process */
#define OLD_KEPT 3        /* earlier recordings of one name */
#define DEPTH_MAX 1024
#define SCAN_LIMIT_MAX 1000000 /* seconds */
#define DISK_MAX (1u << 20)    /* MiB */
#define SAMPLE_BYTES (512u << 10)
#define SAMPLE_MAX (1u << 30)
#define FIRST_BYTES (512u << 10) /* what a recording begins with, and a little more */

enum answer { UNSAID, YES, NO };

struct run {
  const char *file; /* as given; NULL: ullage.PROGRAM.PID */
  enum answer children, scan, python_malloc;
  unsigned depth, disk;   /* 0: unsaid */
  const char *scan_limit; /* NULL: unsaid */
  unsigned sample;        /* bytes; 0: unsaid */
  const char *readers;    /* NULL: unsaid */
  const char *heuristics; /* NULL: unsaid */
  bool quiet;
  char **command;
  char preload[PATH_MAX];
  char path[PATH_MAX]; /* of the recording, absolute; see name_recording() */
  bool unrecorded;     /* there can be no recording, and that has been said */
  struct inspection program;
};

/* ---- options ------------------------------------------------------------------- */

enum {
  OPTION_CHILDREN = 256,
  OPTION_DEPTH,
  OPTION_SCAN,
  OPTION_SCAN_LIMIT,
  OPTION_HEURISTICS,
  OPTION_PYTHON,
  OPTION_DISK,
  OPTION_READERS,
  OPTION_SAMPLE
};

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    {"children", required_argument, NULL, OPTION_CHILDREN},
    {"depth", required_argument, NULL, OPTION_DEPTH},
    {"scan", required_argument, NULL, OPTION_SCAN},
    {"scan-limit", required_argument, NULL, OPTION_SCAN_LIMIT},
    {"heuristics", required_argument, NULL, OPTION_HEURISTICS},
    {"python-malloc", required_argument, NULL, OPTION_PYTHON},
    {"disk", required_argument, NULL, OPTION_DISK},
    {"readers", required_argument, NULL, OPTION_READERS},
    {"sample", optional_argument, NULL, OPTION_SAMPLE},
    {"quiet", no_argument, NULL, 'q'},
    {NULL, 0, NULL, 0}};

static int parse_answer(const char *option, enum answer *answer) {
  bool yes;
  if (!parse_yes_no(optarg, &yes))
    return say_usage("run", "--%s=%s: yes or no expected", option, optarg);
  *answer = yes ? YES : NO;
  return EXIT_FINE;
}

/* As libullage.so reads it. */
static int parse_heuristics(struct run *run, const char *list) {
  static const char *const names[UL_HEURISTICS] = UL_HEURISTIC_NAMES;
  run->heuristics = list;
  if (!strcmp(list, "all") || !strcmp(list, "none")) return EXIT_FINE;
  for (const char *name = list;; name++) {
    size_t length = strcspn(name, ","), h = 0;
    while (h < UL_HEURISTICS &&
           (strlen(names[h]) != length || strncmp(name, names[h], length)))
      h++;
    if (h == UL_HEURISTICS)
      return say_usage("run", "--heuristics=%s: there is no heuristic %.*s", list,
                       (int)length, name);
    name += length;
    if (!*name) return EXIT_FINE;
  }
}

static int parse_readers(struct run *run, const char *readers) {
  run->readers = readers;
  if (!strcmp(readers, "owner") || !strcmp(readers, "group") || !strcmp(readers, "all"))
    return EXIT_FINE;
  return say_usage("run", "--readers=%s: owner, group or all expected", readers);
}

static int parse_disk(struct run *run, const char *mib) {
  if (parse_number(mib, 1, DISK_MAX, &run->disk)) return EXIT_FINE;
  return say_usage("run", "--disk=%s: a number of MiB from 1 to %u expected", mib,
                   DISK_MAX);
}

static int parse_scan_limit(struct run *run, const char *seconds) {
  unsigned number;
  run->scan_limit = seconds;
  if (parse_number(seconds, 0, SCAN_LIMIT_MAX, &number)) return EXIT_FINE;
  return say_usage("run",
                   "--scan-limit=%s: a number of seconds from 0 (no limit) to %u "
                   "expected",
                   seconds, SCAN_LIMIT_MAX);
}

static int parse_sample(struct run *run, const char *bytes) {
  run->sample = SAMPLE_BYTES;
  if (!bytes || parse_number(bytes, 1, SAMPLE_MAX, &run->sample)) return EXIT_FINE;
  return say_usage("run", "--sample=%s: a number of bytes from 1 to %u expected", bytes,
                   SAMPLE_MAX);
}

static int parse_option(struct run *run, int option, char *argv[]) {
  switch (option) {
  case 'o':
    run->file = optarg;
    return EXIT_FINE;
  case 'q':
    run->quiet = true;
    return EXIT_FINE;
  case OPTION_CHILDREN:
    return parse_answer("children", &run->children);
  case OPTION_SCAN:
    return parse_answer("scan", &run->scan);
  case OPTION_SCAN_LIMIT:
    return parse_scan_limit(run, optarg);
  case OPTION_HEURISTICS:
    return parse_heuristics(run, optarg);
  case OPTION_DISK:
    return parse_disk(run, optarg);
  case OPTION_READERS:
    return parse_readers(run, optarg);
  case OPTION_SAMPLE:
    return parse_sample(run, optarg);
  case OPTION_PYTHON:
    return parse_answer("python-malloc", &run->python_malloc);
  case OPTION_DEPTH:
    if (parse_number(optarg, 1, DEPTH_MAX, &run->depth)) return EXIT_FINE;
    return say_usage("run", "--depth=%s: a number from 1 to %u expected", optarg,
                     DEPTH_MAX);
  default:
    return say_bad_option("run", argv, option, options);
  }
}

static int parse(struct run *run, int argc, char *argv[]) {
  int option, status;
  while ((option = getopt_long(argc, argv, "+:o:q", options, NULL)) != -1)
    if ((status = parse_option(run, option, argv)) != EXIT_FINE) return status;
  if (optind == argc) return say_usage("run", "no program to run was given");
  if (run->file && !*run->file)
    return say_usage("run", "-o: the name of the file is empty");
  run->command = argv + optind;
  return EXIT_FINE;
}

/* ---- the preload --------------------------------------------------------------- */

/* Beside ourselves: in the build tree, or as installed. */
static int find_preload(struct run *run) {
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
    if (!realpath(path, run->preload)) continue;
    if (!strpbrk(run->preload, " :\t\n")) return EXIT_FINE;
    return say_failed(
        "%s cannot be preloaded: the loader splits LD_PRELOAD at spaces and "
        "colons; install ullage elsewhere",
        run->preload);
  }
  return say_failed("libullage.so is not beside me: neither %s/../preload nor "
                    "%s/../" ULLAGE_LIBDIR "/ullage has it",
                    self, self);
}

/* ---- the recording's name ------------------------------------------------------ */

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool name_recording(struct run *run, pid_t pid) {
  char directory[PATH_MAX], name[PATH_MAX];
  if (run->file && *run->file == '/')
    return (size_t)snprintf(run->path, PATH_MAX, "%s", run->file) < PATH_MAX;
  if (!getcwd(directory, sizeof directory)) return false;
  if (run->file)
    snprintf(name, sizeof name, "%s", run->file);
  else
    snprintf(name, sizeof name, "ullage.%.200s.%d", base_name(run->command[0]), pid);
  return (size_t)snprintf(run->path, PATH_MAX, "%s/%s", directory, name) < PATH_MAX;
}

static bool is_recording(const char *path) {
  char magic[8];
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  bool is = read(fd, magic, sizeof magic) == sizeof magic &&
            memcmp(magic, UL_MAGIC, sizeof magic) == 0;
  close(fd);
  return is;
}

/* A name given by the user may be of something else than an earlier recording. */
static int check_file(struct run *run) {
  struct stat st;
  if (!run->file || stat(run->file, &st) != 0) return EXIT_FINE;
  if (!S_ISREG(st.st_mode))
    return say_failed("cannot record to %s: it is not a regular file", run->file);
  if (st.st_size && !is_recording(run->file))
    return say_failed("cannot record to %s: it exists and is not a recording; choose "
                      "another name",
                      run->file);
  return EXIT_FINE;
}

/* As libullage.so reads it. */
static bool check_wanted(struct run *run) {
  const char *record = getenv("ULLAGE_RECORD");
  run->unrecorded = record && (strcmp(record, "no") == 0 || strcmp(record, "0") == 0);
  if (run->unrecorded && !run->quiet)
    say("ULLAGE_RECORD=%s: the program gets our allocator, and nothing is recorded",
        record);
  return !run->unrecorded;
}

/* A program that cannot be recorded still runs. */
static void check_directory(struct run *run) {
  char directory[PATH_MAX];
  const char *file = run->file ? run->file : "./recording";
  const char *slash = strrchr(file, '/');
  snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - file) + 1 : 1,
           slash ? file : ".");
  if (access(directory, W_OK | X_OK) == 0) return;
  run->unrecorded = true;
  if (run->file)
    say_failed("cannot record to %s: %s; the program runs without", file,
               strerror(errno));
  else
    say_failed("cannot record into the current directory: %s; the program runs without "
               "(-o FILE records elsewhere)",
               strerror(errno));
}

/* ---- making way for it --------------------------------------------------------- */

static bool exists(const char *path, const char *suffix) {
  char name[PATH_MAX + 16];
  snprintf(name, sizeof name, "%s%s", path, suffix);
  return access(name, F_OK) == 0;
}

/* FILE.old, FILE.old-2, ...: never FILE.old.2, which is a child's name. */
static bool old_name(const char *path, unsigned number, char *old, size_t size) {
  int n = snprintf(old, size, number > 1 ? "%s.old-%u" : "%s.old", path, number);
  return n >= 0 && (size_t)n < size;
}

static bool move(const char *path, const char *to, const char *suffix) {
  char from[PATH_MAX + 16], name[PATH_MAX + 16];
  snprintf(from, sizeof from, "%s%s", path, suffix);
  snprintf(name, sizeof name, "%s%s", to ? to : "", suffix);
  return (to ? rename(from, name) : unlink(from)) == 0 || errno == ENOENT;
}

/* A recording, with those of its children; to NULL: it is removed. */
static bool move_all(const char *path, const char *to) {
  struct children *children = children_find(path);
  bool moved = move(path, to, "") && move(path, to, ".children");
  for (size_t i = 0; children && i < children->count; i++)
    moved = move(path, to, children->files[i] + strlen(path)) && moved;
  children_free(children);
  return moved;
}

static bool is_free(const char *path) {
  return !exists(path, "") && !exists(path, ".children");
}

/* Up to the first free name each earlier recording moves on by one; the oldest goes. What
 * is no recording is left alone, and in the way. */
static bool make_old(const char *path) {
  char from[PATH_MAX], to[PATH_MAX];
  unsigned last = 1;
  if (!old_name(path, OLD_KEPT, to, sizeof to)) return false;
  while (last < OLD_KEPT && old_name(path, last, to, sizeof to) && !is_free(to))
    last++;
  old_name(path, last, to, sizeof to);
  if (exists(to, "") && !is_recording(to)) return false;
  bool moved = move_all(to, NULL);
  for (; moved && last > 1; last--) {
    old_name(path, last - 1, from, sizeof from);
    old_name(path, last, to, sizeof to);
    moved = move_all(from, to);
  }
  old_name(path, 1, to, sizeof to);
  return moved && move_all(path, to);
}

/* An earlier recording of that name is kept, with those of its children. */
static void make_way(const char *path) {
  struct stat st;
  bool there = stat(path, &st) == 0;
  if (there && st.st_size == 0) {
    unlink(path); /* made by mktemp, say */
    there = false;
  }
  struct children *children = children_find(path);
  bool related = exists(path, ".children") || (children && children->count);
  children_free(children);
  if (!there && !related) return;
  if (!make_old(path))
    say_failed("cannot rename earlier recordings of %s: %s", path, strerror(errno));
  else if (there)
    say("the earlier %s is now %s.old", base_name(path), base_name(path));
}

/* ---- the program's start ------------------------------------------------------- */

static bool set(const char *name, const char *value) {
  return setenv(name, value, 1) == 0;
}

static bool set_answer(const char *name, enum answer answer) {
  return answer == UNSAID || set(name, answer == YES ? "yes" : "no");
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

static bool set_number(const char *name, unsigned value) {
  char digits[16];
  snprintf(digits, sizeof digits, "%u", value);
  return set(name, digits);
}

static bool set_environment(const struct run *run) {
  return set_preload(run->preload) && set_file(run->path) &&
         set_number("ULLAGE_MAIN_PID", (unsigned)getpid()) &&
         set_answer("ULLAGE_CHILDREN", run->children) &&
         set_answer("ULLAGE_SCAN", run->scan) &&
         (!run->scan_limit || set("ULLAGE_SCAN_LIMIT", run->scan_limit)) &&
         (!run->heuristics || set("ULLAGE_HEURISTICS", run->heuristics)) &&
         (!run->depth || set_number("ULLAGE_DEPTH", run->depth)) &&
         (!run->sample || set_number("ULLAGE_SAMPLE", run->sample)) &&
         (!run->disk || set_number("ULLAGE_DISK", run->disk)) &&
         (!run->readers || set("ULLAGE_READERS", run->readers)) &&
         (!run->unrecorded || set("ULLAGE_RECORD", "no"));
}

/* CPython keeps small objects in arenas of its own, which hides them. */
static void set_python(const struct run *run) {
  if (!run->program.python || run->python_malloc == NO || getenv("PYTHONMALLOC")) return;
  set("PYTHONMALLOC", "malloc");
  if (!run->quiet)
    say("PYTHONMALLOC=malloc is set, so that each Python object is seen "
        "(--python-malloc=no leaves it)");
}

/* In the child. The number of an error tells the parent that exec failed. */
_Noreturn static void become(struct run *run, const struct signals *signals, int report) {
  if (!name_recording(run, getpid()))
    errno = ENAMETOOLONG;
  else {
    if (!run->unrecorded) make_way(run->path);
    set_python(run);
    if (set_environment(run)) {
      signals_restore(signals);
      execvp(run->command[0], run->command);
    }
  }
  int error = errno;
  ssize_t written = write(report, &error, sizeof error);
  _exit(written == sizeof error ? INSPECT_NOT_FOUND : INSPECT_UNUSABLE);
}

/* 0 and the program's pid, or an exit status, said. */
static int start(struct run *run, const struct signals *signals, pid_t *pid) {
  int ends[2], error;
  if (pipe2(ends, O_CLOEXEC) != 0 || (*pid = fork()) < 0)
    return say_failed("cannot start a process: %s", strerror(errno));
  if (*pid == 0) become(run, signals, ends[1]);
  close(ends[1]);
  ssize_t n = read(ends[0], &error, sizeof error);
  close(ends[0]);
  if (n != sizeof error) return EXIT_FINE;
  waitpid(*pid, NULL, 0);
  say_failed("cannot run %s: %s", run->command[0], strerror(error));
  return error == ENOENT ? INSPECT_NOT_FOUND : INSPECT_UNUSABLE;
}

/* ---- the last word ------------------------------------------------------------- */

static uint64_t monotonic_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#define PUT(fd, header, field)                                                           \
  (pwrite(fd, &(header)->field, sizeof(header)->field,                                   \
          offsetof(struct ul_header, field)) == sizeof(header)->field)

static bool put_end(int fd, struct ul_header *header, int status) {
  bool signaled = WIFSIGNALED(status);
  header->state = signaled ? UL_STATE_SIGNALED : UL_STATE_EXITED;
  header->status = signaled ? WTERMSIG(status) : WEXITSTATUS(status);
  if (!header->end_ms)
    header->end_ms = (monotonic_ns() - header->start_mono_ns) / 1000000;
  return PUT(fd, header, end_ms) && PUT(fd, header, status) && PUT(fd, header, state);
}

/* A file is said to be as long as it may become; who died without a last word, or may not
 * write to its name any more, leaves it so. */
static bool shorten(int fd, const struct ul_header *header) {
  struct stat st;
  uint64_t held = header->file_bytes;
  if (fstat(fd, &st) != 0 || held < UL_HEADER_BYTES || (uint64_t)st.st_size <= held)
    return true;
  return ftruncate(fd, (off_t)held) == 0;
}

/* For certain: one that grows a file which somebody shortens is killed by SIGBUS. */
static bool is_over(const struct ul_header *header) {
  return header->state == UL_STATE_EXITED || header->state == UL_STATE_ABORTED;
}

/* The recording's descriptor; -1: it is none, or not to be written. */
static int open_header(const char *path, struct ul_header *header) {
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) return -1;
  if (pread(fd, header, sizeof *header, 0) == sizeof *header &&
      memcmp(header->magic, UL_MAGIC, sizeof header->magic) == 0)
    return fd;
  close(fd);
  return -1;
}

/* What only the parent knows: that a signal ended it, or an exit that nothing saw. */
static void complete(const char *path, pid_t pid, int status) {
  struct ul_header header;
  int fd = open_header(path, &header);
  if (fd < 0) return;
  bool unended = header.state == UL_STATE_RUNNING || header.state == UL_STATE_ABORTED;
  if (header.pid == pid &&
      ((unended && !put_end(fd, &header, status)) || !shorten(fd, &header)))
    say_failed("cannot write how the program ended into %s: %s", path, strerror(errno));
  close(fd);
}

/* Or an earlier program of the process `pid`, which has ended. */
static void complete_child(const char *path, pid_t pid) {
  struct ul_header header;
  int fd = open_header(path, &header);
  if (fd < 0) return;
  if (is_over(&header) || header.pid == pid) shorten(fd, &header);
  close(fd);
}

/* ---- heirs ---------------------------------------------------------------------- */

/* FILE.PID.heir: made for the next program of a process that was about to lose the right
 * to make one (process/file.c of the preload). What has a recording gets the name that it
 * would have had. */
static bool is_heir(const char *name, const char *base) {
  size_t n = strlen(base);
  if (strncmp(name, base, n) != 0 || name[n] != '.') return false;
  size_t digits = strspn(name + n + 1, "0123456789");
  return digits && strcmp(name + n + 1 + digits, ".heir") == 0;
}

/* path.1, path.2, ...: what an earlier program of the same process is called. It has been
 * replaced, and could not shorten its file. */
static bool move_aside(const char *path) {
  char earlier[PATH_MAX + 64];
  struct ul_header header;
  int fd = open_header(path, &header);
  if (fd >= 0) shorten(fd, &header);
  if (fd >= 0) close(fd);
  for (unsigned i = 1; i < EARLIER_MOST; i++) {
    snprintf(earlier, sizeof earlier, "%s.%u", path, i);
    if (access(earlier, F_OK) != 0) return rename(path, earlier) == 0;
  }
  return false;
}

static void settle_heir(const char *heir, const char *path, pid_t pid) {
  struct ul_header header;
  char name[PATH_MAX + 32];
  struct stat st;
  int fd = open_header(heir, &header);
  if (fd < 0) {
    if (lstat(heir, &st) == 0 && !st.st_size) unlink(heir); /* nobody needed it */
    return;
  }
  close(fd);
  if (header.pid == pid)
    snprintf(name, sizeof name, "%s", path);
  else
    snprintf(name, sizeof name, "%s.%d", path, header.pid);
  if ((access(name, F_OK) == 0 && !move_aside(name)) || rename(heir, name) != 0)
    say_failed("cannot rename %s to %s: %s", heir, name, strerror(errno));
}

static void settle_heirs(const char *path, pid_t pid) {
  const char *base = base_name(path);
  char directory[PATH_MAX], heir[2 * PATH_MAX];
  snprintf(directory, sizeof directory, "%.*s", (int)(base - path), path);
  DIR *listing = opendir(directory);
  for (struct dirent *e; listing && (e = readdir(listing));) {
    if (!is_heir(e->d_name, base)) continue;
    snprintf(heir, sizeof heir, "%s%s", directory, e->d_name);
    settle_heir(heir, path, pid);
  }
  if (listing) closedir(listing);
}

/* ---- the summary --------------------------------------------------------------- */

/* The last snapshot knows; without one there were none worth counting. */
static uint64_t allocations_of(const struct recording *r) {
  uint64_t most = 0;
  bool any = false;
  for (uint64_t i = 0; i < recording_count(r, UL_SNAPSHOTS); i++) {
    const struct ul_snapshot *s = recording_snapshot(r, i);
    if (s->kind == UL_SNAPSHOT_FREE) continue;
    any = true;
    if (timeline_allocations(s) > most) most = timeline_allocations(s);
  }
  for (uint64_t i = 0; !any && !most && i < recording_count(r, UL_COUNTERS); i++)
    most = ((const struct ul_counter *)recording_at(r, UL_COUNTERS, i))->allocations;
  return most;
}

/* Of a library that malloc was called from, in the end. */
static const char *library_sign(const struct recording *r) {
  const char *sign = NULL;
  for (uint64_t i = 0; !sign && i < recording_count(r, UL_MODULES); i++)
    sign = inspect_library_allocator(recording_text(r, recording_module(r, i)->name));
  return sign;
}

/* A program that goes around malloc must not look like one without a heap. */
static bool say_allocator(const struct recording *r) {
  const char *program = recording_text(r, recording_header(r)->program);
  const char *sign = inspect_allocator(program);
  if (!sign) sign = library_sign(r);
  bool silent = allocations_of(r) == 0 && !recording_header(r)->stop;
  if (silent && sign)
    say("%s never called our malloc: it has an allocator of its own (%s)", program, sign);
  else if (silent)
    say("%s never called our malloc: it allocates nothing, or has an allocator of its "
        "own",
        program);
  else if (sign && !strstr(sign, "defines")) /* one that defines it, passes it on */
    say("%s has an allocator of its own (%s): what it allocates there is not recorded",
        program, sign);
  return silent;
}

/* The summary, each line marked as ours. */
static void say_summary(struct recording *r) {
  char *text = NULL, *rest, *line;
  size_t bytes;
  struct view_options view = {.out = open_memstream(&text, &bytes),
                              .sample_bytes = estimate_sample_bytes(r)};
  if (!view.out) return;
  if (estimate_leaks(r)) report_summary(r, &view);
  fclose(view.out);
  for (rest = text; (line = strsep(&rest, "\n"));)
    if (*line) say("%s", line);
  free(text);
}

static void say_lost(const struct children *children) {
  struct view_options view = {.out = NULL};
  struct children_loss lost = children_lost(children);
  if (lost.processes)
    say("  children definitely lost: %s in %s, in %s", text_size(&view, lost.bytes),
        text_plural(lost.blocks, "block", "blocks"),
        text_plural(lost.processes, "process", "processes"));
}

static void say_children(const struct children *children, const char *path) {
  if (children) say_lost(children);
  if (children && children->count)
    say("beside it: %s of children and earlier programs",
        text_plural(children->count, "recording", "recordings"));
  if (children && children->folded)
    say("%s left only a line%s in %s.children",
        text_plural(children->folded, "child", "children"),
        children->folded > 1 ? " each" : "", base_name(path));
}

static const char *relative(const char *path) {
  char directory[PATH_MAX];
  if (!getcwd(directory, sizeof directory)) return path;
  size_t n = strlen(directory);
  return strncmp(path, directory, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

/* If we cannot create it either, libullage.so could not, and has said why. */
static bool can_create(const char *path) {
  signal(SIGXFSZ, SIG_IGN);
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return false;
  bool can = posix_fallocate(fd, 0, FIRST_BYTES) == 0;
  unlink(path);
  close(fd);
  return can;
}

static void say_missing(const struct run *run) {
  if (!can_create(run->path)) return;
  say("there is no recording. If no line above says why, libullage.so was not loaded, or "
      "the file was removed: did %s change LD_PRELOAD, or its privileges?",
      run->command[0]);
}

static void say_end(const struct run *run, const struct children *children) {
  char error[512];
  if (access(run->path, F_OK) != 0) {
    say_missing(run);
    return;
  }
  struct recording *r = recording_open(run->path, error, sizeof error);
  if (!r) {
    say_failed("%s: %s", relative(run->path), error);
    return;
  }
  bool silent = say_allocator(r);
  if (!run->quiet) {
    if (!silent) say_summary(r);
    say_children(children, run->path);
    say("next: ullage report %s", relative(run->path));
  }
  recording_close(r);
}

/* ---- all of it ----------------------------------------------------------------- */

static int end_like(int status) {
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  fflush(NULL);
  signals_die(WTERMSIG(status));
  return 128 + WTERMSIG(status);
}

int run_main(int argc, char *argv[]) {
  static struct run run;
  struct signals signals;
  pid_t pid = -1;
  int status = parse(&run, argc, argv);
  if (status != EXIT_FINE) return status;
  if (inspect_program(run.command[0], &run.program) != INSPECT_FINE) {
    say_failed("%s", run.program.reason);
    return run.program.status;
  }
  if (find_preload(&run) || check_file(&run)) return EXIT_FAILED;
  if (check_wanted(&run)) check_directory(&run);

  signals_take(&signals);
  if ((status = start(&run, &signals, &pid)) != EXIT_FINE) return status;
  status = signals_wait(&signals, pid);
  signals_restore(&signals);
  if (!run.unrecorded && name_recording(&run, pid)) {
    settle_heirs(run.path, pid);
    struct children *children = children_find(run.path);
    complete(run.path, pid, status);
    for (size_t i = 0; children && i < children->count; i++)
      complete_child(children->files[i], pid);
    say_end(&run, children);
    children_free(children);
  }
  return end_like(status);
}
