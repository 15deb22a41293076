/* launch.h - a program is started with libullage.so, and waited for.
 *
 * The recording is the program's: it creates, fills and closes it. What is left to us is
 * its name, which holds the program's pid, so that the child itself makes way for it
 * between fork and exec. */
#ifndef ULLAGE_LAUNCH_H
#define ULLAGE_LAUNCH_H

#include "command/inspect.h"
#include "command/kills.h"

#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

enum answer { UNSAID, YES, NO };

struct launch {
  const char *verb; /* for what is said */
  const char *file; /* as given; NULL: ullage.PROGRAM.PID */
  enum answer children, scan, frees, guard, python_malloc, g_slice;
  unsigned depth, disk;     /* 0: unsaid */
  const char *scan_limit;   /* NULL: unsaid */
  const char *sample;       /* bytes, auto, or auto:BYTES; NULL: unsaid */
  const char *sample_share; /* NULL: unsaid */
  const char *readers;      /* NULL: unsaid */
  const char *heuristics;   /* NULL: unsaid */
  const char *programs;     /* pattern.h: which others are recorded; NULL: all */
  const char *keep;         /* ULLAGE_KEEP; NULL: unsaid */
  const char *abort_on;     /* ULLAGE_ABORT_ON; NULL: unsaid */
  bool quiet;
  char **command;
  char preload[PATH_MAX];
  char path[PATH_MAX]; /* of the recording, absolute; see launch_name() */
  bool unrecorded;     /* there can be no recording, and that has been said */
  struct inspection program;
  struct ul_kills kills; /* while it ran */
};

/* Rows for getopt_long, and what becomes of them; an exit status. `option` is none of
 * them: LAUNCH_OTHER. */
enum {
  LAUNCH_OPTION = 512,
  LAUNCH_CHILDREN = LAUNCH_OPTION,
  LAUNCH_DEPTH,
  LAUNCH_SCAN,
  LAUNCH_SCAN_LIMIT,
  LAUNCH_HEURISTICS,
  LAUNCH_PYTHON,
  LAUNCH_GLIB,
  LAUNCH_DISK,
  LAUNCH_READERS,
  LAUNCH_SAMPLE,
  LAUNCH_SAMPLE_SHARE,
  LAUNCH_GUARD,
  LAUNCH_OTHER = -1
};
#define LAUNCH_OPTIONS                                                                   \
  {"output", required_argument, NULL, 'o'},                                              \
      {"depth", required_argument, NULL, LAUNCH_DEPTH},                                  \
      {"scan-limit", required_argument, NULL, LAUNCH_SCAN_LIMIT},                        \
      {"heuristics", required_argument, NULL, LAUNCH_HEURISTICS},                        \
      {"python-malloc", required_argument, NULL, LAUNCH_PYTHON},                         \
      {"g-slice", required_argument, NULL, LAUNCH_GLIB},                                 \
      {"disk", required_argument, NULL, LAUNCH_DISK},                                    \
      {"guard", no_argument, NULL, LAUNCH_GUARD},                                        \
      {"readers", required_argument, NULL, LAUNCH_READERS}, {                            \
    "quiet", no_argument, NULL, 'q'                                                      \
  }
/* And of verbs that do not decide these themselves. */
#define LAUNCH_OPEN_OPTIONS                                                              \
  {"children", required_argument, NULL, LAUNCH_CHILDREN},                                \
      {"scan", required_argument, NULL, LAUNCH_SCAN},                                    \
      {"sample", optional_argument, NULL, LAUNCH_SAMPLE}, {                              \
    "sample-share", required_argument, NULL, LAUNCH_SAMPLE_SHARE                         \
  }
int launch_option(struct launch *, int option);
/* After the last one: the program is argv[optind]. */
int launch_command(struct launch *, int argc, char *argv[]);

/* Where libullage.so is goes to `preload`. An exit status, said. */
int launch_find_preload(struct launch *);
/* What was said in options, as variables, one by one; false: one could not be put. */
typedef bool launch_put(const char *name, const char *value);
bool launch_settings(const struct launch *, launch_put *);

/* Will it work? An exit status, said. */
int launch_prepare(struct launch *);
/* Start it, and wait for its end. 0, with its pid and its status of wait; or an exit
 * status, said. */
int launch_run(struct launch *, pid_t *pid, int *status);
/* What its recording is called goes to `path`; false: too long. */
bool launch_name(struct launch *, pid_t pid);
/* End as the program did. */
int launch_end_like(int status);
#endif
