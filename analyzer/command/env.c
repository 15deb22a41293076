#include "command/env.h"

#include "command/launch.h"
#include "command/usage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
    LAUNCH_OPTIONS, LAUNCH_OPEN_OPTIONS, {NULL, 0, NULL, 0}};

static bool print(const char *name, const char *value) {
  return printf("%s=%s\n", name, value) > 0;
}

/* One form is read by shells (env $(...)), systemd (EnvironmentFile) and containers
 * (--env-file) alike, as long as nothing in it is special to any of them. Where it is
 * started is not where we are. */
static int name_file(const struct launch *l, char *path, size_t bytes) {
  char directory[PATH_MAX] = "";
  const char *file = l->file ? l->file : "ullage.%n.%p";
  if (*file != '/' && !getcwd(directory, sizeof directory))
    return say_failed("cannot tell the current directory: %s", strerror(errno));
  int n = snprintf(path, bytes, "%s%s%s", strcmp(directory, "/") ? directory : "",
                   *file == '/' ? "" : "/", file);
  if (n < 0 || (size_t)n >= bytes) return say_failed("%s: too long", file);
  if (!strpbrk(path, " \t\n\"'\\$`#;&|<>*?(){}[]")) return EXIT_FINE;
  return say_failed("%s: has a space, quote or sign that shells or systemd would not "
                    "leave alone; choose another name",
                    path);
}

int env_main(int argc, char *argv[]) {
  struct launch l = {.verb = "env"};
  char path[PATH_MAX];
  int option;
  while ((option = getopt_long(argc, argv, "+:o:q", options, NULL)) != -1) {
    int status = launch_option(&l, option);
    if (status == LAUNCH_OTHER) return say_bad_option("env", argv, option, options);
    if (status != EXIT_FINE) return status;
  }
  if (optind < argc)
    return say_usage("env", "it starts nothing: what is %s for", argv[optind]);
  if (launch_find_preload(&l) || name_file(&l, path, sizeof path)) return EXIT_FAILED;
  bool printed = print("LD_PRELOAD", l.preload) && print("ULLAGE_FILE", path) &&
                 launch_settings(&l, print) &&
                 (l.python_malloc != YES || print("PYTHONMALLOC", "malloc")) &&
                 (l.g_slice != YES || print("G_SLICE", "always-malloc"));
  if (printed && fflush(stdout) == 0 && !ferror(stdout)) return EXIT_FINE;
  return say_failed("cannot write the output: %s", strerror(errno));
}
