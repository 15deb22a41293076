/* starts.c - starts a program in one of the ways there are (argv[1]) and ends like it. */
#include "common.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

static int start(const char *way, char **argv, pid_t *pid) {
  if (!strcmp(way, "posix_spawn"))
    return posix_spawn(pid, argv[0], NULL, NULL, argv, environ);
  if (!strcmp(way, "posix_spawnp"))
    return posix_spawnp(pid, argv[0], NULL, NULL, argv, environ);
  *pid = !strcmp(way, "vfork") ? vfork() : fork();
  if (*pid) return 0;
  if (!strcmp(way, "execvp")) execvp(argv[0], argv);
  if (!strcmp(way, "execl")) execl(argv[0], argv[0], argv[1], NULL);
  if (!strcmp(way, "fexecve")) fexecve(open(argv[0], O_RDONLY | O_CLOEXEC), argv, environ);
  if (!strcmp(way, "execveat")) execveat(AT_FDCWD, argv[0], argv, environ, 0);
  execv(argv[0], argv);
  _exit(127);
}

int main(int argc, char **argv) {
  int status;
  pid_t pid;
  CHECK(argc > 2 && start(argv[1], argv + 2, &pid) == 0);
  CHECK(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
