/* run.c - see run.h. */
#include "command/run.h"
#include "answers/children.h"
#include "answers/models.h"
#include "command/ending.h"
#include "command/inspect.h"
#include "command/launch.h"
#include "command/usage.h"
#include "read/timeline.h"
#include "show/text.h"
#include "show/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_BYTES (512u << 10) /* what a recording begins with, and a little more */

static const struct option options[] = {
    LAUNCH_OPTIONS, LAUNCH_OPEN_OPTIONS, {NULL, 0, NULL, 0}};

static int parse(struct launch *l, int argc, char *argv[]) {
  int option;
  while ((option = getopt_long(argc, argv, "+:o:q", options, NULL)) != -1) {
    int status = launch_option(l, option);
    if (status == LAUNCH_OTHER) return say_bad_option(l->verb, argv, option, options);
    if (status != EXIT_FINE) return status;
  }
  return launch_command(l, argc, argv);
}

/* ---- the summary --------------------------------------------------------------- */

/* By the snapshots, or what is counted of call sites since the last of them: who was killed
 * has no other account of its end. */
static bool has_allocated(struct process *p) {
  const struct recording *r = p->recording;
  for (uint64_t i = 0; i < recording_count(r, UL_SNAPSHOTS); i++) {
    const struct ul_snapshot *s = recording_snapshot(r, i);
    if (s->kind != UL_SNAPSHOT_FREE && timeline_allocations(s)) return true;
  }
  const struct sites *sites = process_sites(p);
  return !sites || sites->total.allocations;
}

/* Of a library that malloc was called from, in the end. */
static const char *library_sign(const struct recording *r) {
  const char *sign = NULL;
  for (uint64_t i = 0; !sign && i < recording_count(r, UL_MODULES); i++)
    sign = inspect_library_allocator(recording_text(r, recording_module(r, i)->name));
  return sign;
}

/* No other process has a recording, or has allocated something. */
static bool is_alone(const struct context *context) {
  const struct children *c = context->children;
  return context->count == 1 && (!c || !c->folded_allocations);
}

/* A program that goes around malloc must not look like one without a heap. */
static bool say_allocator(const struct context *context) {
  const struct recording *r = context->named->recording;
  const char *program = recording_text(r, recording_header(r)->program);
  const char *sign = inspect_allocator(program);
  if (!sign) sign = library_sign(r);
  bool silent = !has_allocated(context->named) && !recording_header(r)->stop;
  if (silent && sign)
    say("%s never called our malloc: it has an allocator of its own (%s)", program, sign);
  else if (silent && is_alone(context))
    say("%s never called our malloc: it allocates nothing, or has an allocator of its "
        "own",
        program);
  else if (sign && !strstr(sign, "defines")) /* one that defines it, passes it on */
    say("%s has an allocator of its own (%s): what it allocates there is not recorded",
        program, sign);
  return silent;
}

/* The summary, each line marked as ours, and as wide as the terminal. */
static void say_summary(const struct overview *all) {
  static const char mark[] = "ullage: ";
  char *text = NULL, *lines = NULL, *rest, *line;
  size_t bytes;
  struct view_options page = {.columns = page_columns(STDERR_FILENO)};
  if (!page.columns) page.columns = TEXT_COLUMNS;
  page.columns -= (unsigned)strlen(mark);
  if (!(page.out = open_memstream(&text, &bytes))) return;
  report_summary(all, &page);
  fclose(page.out);
  if (text && (page.out = open_memstream(&lines, &bytes))) {
    text_fit(&page, text);
    fclose(page.out);
  }
  for (rest = lines; rest && (line = strsep(&rest, "\n"));)
    if (*line) say("%s", line);
  free(text);
  free(lines);
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

static void say_missing(const struct launch *l) {
  if (!can_create(l->path)) return;
  say("there is no recording. If no line above says why, libullage.so was not loaded, or "
      "the file was removed: did %s change LD_PRELOAD, or its privileges?",
      l->command[0]);
}

/* Names cost time; who was killed for memory shall be told for what. */
static bool wants_names(const struct launch *l, int end) {
  bool counted = (l->kills.group && l->kills.group != UINT32_MAX) ||
                 (l->kills.machine && l->kills.machine != UINT32_MAX);
  return counted && WIFSIGNALED(end) && WTERMSIG(end) == SIGKILL;
}

static void say_end(const struct launch *l, int end) {
  char error[512];
  if (access(l->path, F_OK) != 0) {
    say_missing(l);
    return;
  }
  bool names = wants_names(l, end);
  struct context_options brief = {.nameless = !names};
  struct overview *all;
  struct context *context = context_open(l->path, &brief, error, sizeof error);
  if (!context) {
    say_failed("%s: %s", relative(l->path), error);
    return;
  }
  bool silent = say_allocator(context);
  if (!l->quiet) {
    all = silent && is_alone(context) && !names ? NULL : overview_load(context);
    if (all) say_summary(all);
    report_forget(all);
    say("next: ullage report %s", relative(l->path));
  }
  context_free(context);
}

/* ---- all of it ----------------------------------------------------------------- */

int run_main(int argc, char *argv[]) {
  static struct launch l = {.verb = "run"};
  pid_t pid = -1;
  int status = parse(&l, argc, argv), end = 0;
  if (status == EXIT_FINE) status = launch_prepare(&l);
  if (status == EXIT_FINE) status = launch_run(&l, &pid, &end);
  if (status != EXIT_FINE) return status;
  if (!l.unrecorded && launch_name(&l, pid)) {
    ending_settle(l.path, pid);
    struct children *children = children_find(l.path);
    ending_complete(l.path, pid, end, l.kills, children);
    say_end(&l, end);
    children_free(children);
  }
  return launch_end_like(end);
}
