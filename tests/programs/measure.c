/* measure.c - measure FILE COMMAND...: runs the command and writes to FILE what it
 * cost: wall, user and system seconds, and the resident peak in bytes of the largest
 * process. Small itself, because a process inherits the peak of the one it is
 * forked from. Ends with the command's status. */
#include "common.h"
#include <sys/resource.h>
#include <sys/wait.h>

static double seconds(struct timeval t) {
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  double start = now();
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    _exit(127);
  }
  int status;
  struct rusage u;
  CHECK(wait4(pid, &status, 0, &u) == pid);
  double wall = now() - start;
  FILE *f = fopen(argv[1], "w");
  CHECK(f);
  fprintf(f, "%.6f %.6f %.6f %ld\n", wall, seconds(u.ru_utime), seconds(u.ru_stime),
          u.ru_maxrss * 1024);
  CHECK(fclose(f) == 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
