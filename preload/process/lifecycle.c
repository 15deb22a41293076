/* lifecycle.c - the functions of libc that end, replace or multiply the process,
 * interposed so that end.c hears of it. Each does what the real one does. */
#include "base/next.h"
#include "base/os_thread.h"
#include "base/say.h"
#include "process/end.h"
#include "process/process.h"
#include "process/target.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <threads.h>
#include <unistd.h>

/* ---- the end ------------------------------------------------------------------- */

static _Noreturn void leave(int status) {
  end_finish(UL_STATE_EXITED, status);
  os_exit(status);
}

EXPORT _Noreturn void _exit(int status) {
  leave(status);
}
EXPORT _Noreturn void _Exit(int status) {
  leave(status);
}

static int quick_status;
static void at_quick_exit_finish(void) {
  end_finish(UL_STATE_EXITED, quick_status);
}
__attribute__((constructor)) static void register_quick_exit(void) {
  at_quick_exit(at_quick_exit_finish);
}

EXPORT _Noreturn void quick_exit(int status) {
  NEXT(quick_exit);
  quick_status = status;
  if (real) real(status);
  leave(status);
}

static bool abort_is_deadly(void) {
  struct os_action action;
  return os_action(SIGABRT, NULL, &action) == 0 && action.handler == NULL;
}

static void before_abort(void) {
  if (abort_is_deadly()) end_finish(UL_STATE_ABORTED, SIGABRT);
}

EXPORT _Noreturn void abort(void) {
  NEXT(abort);
  before_abort();
  if (real) real();
  os_exit(128 + SIGABRT);
}

/* assert(): libc's abort() is called from within libc, past ours. */
EXPORT _Noreturn void __assert_fail(const char *assertion, const char *file,
                                    unsigned line, const char *function) {
  NEXT(__assert_fail);
  before_abort();
  real(assertion, file, line, function);
  os_exit(128 + SIGABRT);
}
EXPORT _Noreturn void __assert_perror_fail(int error, const char *file, unsigned line,
                                           const char *function) {
  NEXT(__assert_perror_fail);
  before_abort();
  real(error, file, line, function);
  os_exit(128 + SIGABRT);
}
EXPORT _Noreturn void __assert(const char *assertion, const char *file, int line) {
  NEXT(__assert);
  before_abort();
  real(assertion, file, line);
  os_exit(128 + SIGABRT);
}

/* ---- exec ---------------------------------------------------------------------- */

/* What execvp will find in PATH: shells and make try names that are nowhere. Its path, in
 * `found` if it is another. What is no program, execvp gives to a shell. */
static bool can_have(struct target *t, const char *path, char *const arguments[],
                     char *const environment[]) {
  *t = target_at(path, arguments, environment);
  return !t->error || t->error == -ENOEXEC;
}

static const char *find(struct target *t, const char *file, char *const arguments[],
                        char *const environment[], char found[PATH_MAX]) {
  const char *directory = getenv("PATH");
  if (strchr(file, '/')) return can_have(t, file, arguments, environment) ? file : NULL;
  if (!directory) directory = "/bin:/usr/bin"; /* as libc */
  for (;; directory++) {
    int length = (int)strcspn(directory, ":");
    int n =
        snprintf(found, PATH_MAX, "%.*s%s%s", length, directory, length ? "/" : "", file);
    if (n > 0 && n < PATH_MAX && can_have(t, found, arguments, environment)) return found;
    directory += length;
    if (!*directory) return NULL;
  }
}

static int exec_raw(const char *path, char *const arguments[],
                    char *const environment[]) {
  errno = -os_exec(path, arguments, environment);
  return -1;
}

EXPORT int execve(const char *path, char *const arguments[], char *const environment[]) {
  NEXT(execve);
  struct target t = target_at(path, arguments, environment);
  if (!t.error) end_before_exec(path);
  environment = TARGET_ENVIRONMENT(&t, environment);
  int result =
      real ? real(path, arguments, environment) : exec_raw(path, arguments, environment);
  end_take_back();
  return result;
}

EXPORT int execv(const char *path, char *const arguments[]) {
  return execve(path, arguments, environ);
}

EXPORT int execvpe(const char *file, char *const arguments[], char *const environment[]) {
  NEXT(execvpe);
  char found[PATH_MAX];
  struct target t;
  bool there = find(&t, file, arguments, environment, found);
  if (there) end_before_exec(file);
  if (there) environment = TARGET_ENVIRONMENT(&t, environment);
  int result = real(file, arguments, environment);
  end_take_back();
  return result;
}

EXPORT int execvp(const char *file, char *const arguments[]) {
  return execvpe(file, arguments, environ);
}

EXPORT int fexecve(int fd, char *const arguments[], char *const environment[]) {
  NEXT(fexecve);
  struct target t = target_of(fd, environment);
  if (!t.error) end_before_exec("(a descriptor)");
  environment = TARGET_ENVIRONMENT(&t, environment);
  int result = real(fd, arguments, environment);
  end_take_back();
  return result;
}

/* A path from a descriptor is not looked at. */
EXPORT int execveat(int fd, const char *path, char *const arguments[],
                    char *const environment[], int flags) {
  NEXT(execveat);
  struct target t = {0};
  if (flags & AT_EMPTY_PATH && !*path)
    t = target_of(fd, environment);
  else if (*path == '/' || fd == AT_FDCWD)
    t = target_at(path, arguments, environment);
  if (!t.error) end_before_exec(path);
  environment = TARGET_ENVIRONMENT(&t, environment);
  int result = real(fd, path, arguments, environment, flags);
  end_take_back();
  return result;
}

/* The variadic ones: count, copy to an array, go on. */
static size_t count_arguments(va_list list) {
  size_t n = 1;
  while (va_arg(list, char *))
    n++;
  return n;
}

#define COLLECT(first)                                                                   \
  va_list list;                                                                          \
  va_start(list, first);                                                                 \
  size_t count = count_arguments(list);                                                  \
  va_end(list);                                                                          \
  char *arguments[count + 1];                                                            \
  arguments[0] = (char *)(uintptr_t)first;                                               \
  va_start(list, first);                                                                 \
  for (size_t i = 1; i <= count; i++)                                                    \
  arguments[i] = va_arg(list, char *)

EXPORT int execl(const char *path, const char *first, ...) {
  COLLECT(first);
  va_end(list);
  return execv(path, arguments);
}

EXPORT int execlp(const char *file, const char *first, ...) {
  COLLECT(first);
  va_end(list);
  return execvp(file, arguments);
}

EXPORT int execle(const char *path, const char *first, ...) {
  COLLECT(first);
  char *const *environment = va_arg(list, char *const *);
  va_end(list);
  return execve(path, arguments, environment);
}

/* ---- spawn ----------------------------------------------------------------------- */

EXPORT int posix_spawn(pid_t *pid, const char *path,
                       const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const arguments[],
                       char *const environment[]) {
  NEXT(posix_spawn);
  struct target t = target_at(path, arguments, environment);
  return real(pid, path, actions, attributes, arguments,
              TARGET_ENVIRONMENT(&t, environment));
}

EXPORT int posix_spawnp(pid_t *pid, const char *file,
                        const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const arguments[],
                        char *const environment[]) {
  NEXT(posix_spawnp);
  char found[PATH_MAX];
  struct target t;
  if (find(&t, file, arguments, environment, found))
    environment = TARGET_ENVIRONMENT(&t, environment);
  return real(pid, file, actions, attributes, arguments, environment);
}

/* ---- a second thread ----------------------------------------------------------- */

/* A forked child's file is made while it has one thread. */
EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*body)(void *), void *argument) {
  NEXT(pthread_create);
  process_settle();
  return real(thread, attributes, body, argument);
}

EXPORT int thrd_create(thrd_t *thread, thrd_start_t body, void *argument) {
  NEXT(thrd_create);
  process_settle();
  return real(thread, body, argument);
}
