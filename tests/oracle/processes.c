/* processes.c - children, programs that follow, plugins. */
#include "cases.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

NOINLINE static char *block(void) {
  return calloc(1, 100);
}
NOINLINE static char *block_of_child(void) {
  return calloc(1, 70);
}
extern char **environ;

static void leave(void) {
  scrub();
  exit(0);
}
static void wait_for(pid_t child) {
  int status;
  MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

CASE(child_forgets) {
  pid_t child = fork();
  if (child == 0) {
    keep(block_of_child());
    leave();
  }
  wait_for(child);
}
CASE(child_holds) {
  pid_t child = fork();
  if (child == 0) {
    held[0] = block_of_child();
    leave();
  }
  wait_for(child);
}
CASE(child_leaves_by_the_raw_exit) {
  pid_t child = fork();
  if (child == 0) {
    keep(block_of_child());
    _exit(0);
  }
  wait_for(child);
}
CASE(parent_forgets_after_fork) {
  pid_t child = fork();
  if (child == 0) _exit(0);
  wait_for(child);
  keep(block());
}
CASE(parent_forgot_before_fork) { /* whose is it? */
  keep(block());
  pid_t child = fork();
  if (child == 0) exit(0);
  wait_for(child);
}
CASE(child_drops_what_it_inherited) {
  held[0] = block();
  pid_t child = fork();
  if (child == 0) {
    held[0] = NULL;
    leave();
  }
  wait_for(child);
  free(held[0]);
}
CASE(child_frees_what_it_inherited) {
  held[0] = block();
  pid_t child = fork();
  if (child == 0) {
    free(held[0]);
    leave();
  }
  wait_for(child);
  free(held[0]);
}
CASE(grandchild_forgets) {
  pid_t child = fork();
  if (child == 0) {
    pid_t further = fork();
    if (further == 0) {
      keep(block_of_child());
      leave();
    }
    wait_for(further);
    leave();
  }
  wait_for(child);
}
CASE(child_frees_twice) {
  pid_t child = fork();
  if (child == 0) {
    void *p = keep(block_of_child());
    free(p);
    free(keep(p));
    leave();
  }
  wait_for(child);
}
static char self[PATH_MAX];
static char *other[] = {self, NULL, NULL};
static void name_other(const char *name) {
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  MUST(length > 0);
  self[length] = '\0'; /* valgrind has put its own longer name there before */
  other[1] = (char *)name;
}
CASE(nothing) {}
CASE(forgets) {
  keep(block());
}
CASE(spawned_program_forgets) {
  name_other("forgets");
  pid_t child;
  MUST(posix_spawn(&child, self, NULL, NULL, other, environ) == 0);
  wait_for(child);
}
CASE(program_after_vfork_forgets) {
  name_other("forgets");
  pid_t child = vfork();
  if (child == 0) {
    execv(self, other);
    _exit(3);
  }
  wait_for(child);
}
CASE(program_of_a_shell_forgets) {
  name_other("forgets");
  char line[PATH_MAX + 32];
  snprintf(line, sizeof line, "%s forgets", self);
  MUST(system(line) == 0);
}
CASE(program_that_follows_forgets) {
  name_other("forgets");
  execv(self, other);
}
CASE(lost_before_exec) { /* nobody frees before: what is held is not lost */
  name_other("nothing");
  keep(block());
  execv(self, other);
}
CASE(held_before_exec) {
  name_other("nothing");
  held[0] = block();
  execv(self, other);
}
CASE(exec_that_fails) {
  name_other("forgets");
  keep(block());
  char missing[] = "/nonexistent";
  execv(missing, other);
}

static void *plugin(void) {
  name_other(NULL);
  char path[PATH_MAX + 32];
  snprintf(path, sizeof path, "%s/oracle_plugin.so", dirname(self));
  void *h = dlopen(path, RTLD_NOW);
  MUST(h);
  return h;
}
static void call(void *handle, const char *name) {
  void (*function)(void);
  *(void **)&function = dlsym(handle, name);
  MUST(function);
  function();
}
CASE(plugin_forgets) {
  call(plugin(), "plugin_forgets");
}
CASE(plugin_forgets_and_is_closed) {
  void *h = plugin();
  call(h, "plugin_forgets");
  dlclose(h);
}
CASE(plugin_holds) {
  call(plugin(), "plugin_holds");
}
CASE(plugin_held_and_is_closed) {
  void *h = plugin();
  call(h, "plugin_holds");
  dlclose(h);
}
CASE(plugin_frees_at_its_end) {
  void *h = plugin();
  call(h, "plugin_holds_and_frees");
  dlclose(h);
}
CASE(plugin_holds_in_its_tls) {
  call(plugin(), "plugin_holds_in_tls");
}
CASE(plugin_frees_twice) {
  void *h = plugin();
  call(h, "plugin_frees_twice");
  dlclose(h);
}
CASE(handle_dropped) {
  keep(plugin());
}
CASE(dlopen_that_fails) {
  MUST(!dlopen("/nonexistent.so", RTLD_NOW));
}
CASE(dlerror_asked) {
  MUST(!dlopen("/nonexistent.so", RTLD_NOW));
  MUST(dlerror());
}
