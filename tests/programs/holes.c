/* holes.c - leaves holes of a page and more in its address space, and looks whether they
 * are still there: in itself, in a forked child, and in a child's child, after the forks.
 */
#include "common.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, HOLES = 64 };
static char *holes[HOLES];

static void dig(void) {
  size_t bytes[HOLES];
  for (int i = 0; i < HOLES; i++) {
    bytes[i] = i % 2 ? PAGE : (size_t)(1 + i / 8) * PAGE;
    holes[i] = mmap(NULL, bytes[i] + 2 * PAGE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(holes[i] != MAP_FAILED);
    holes[i] += PAGE;
  }
  for (int i = 0; i < HOLES; i++)
    CHECK(munmap(holes[i], bytes[i]) == 0);
}

static int filled(void) {
  int count = 0;
  unsigned char in;
  for (int i = 0; i < HOLES; i++)
    count += mincore(holes[i], PAGE, &in) == 0 || errno != ENOMEM;
  return count;
}

int main(void) {
  keep(malloc(1000));
  dig();
  for (int depth = 0; depth < 3; depth++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child) {
      int status, here = filled();
      CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
      if (depth == 0) printf("%d holes filled\n", here + WEXITSTATUS(status));
      if (depth == 0) return 0;
      _exit(here + WEXITSTATUS(status));
    }
  }
  _exit(filled());
}
