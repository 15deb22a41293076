/* alternate.c - _exit in a handler whose stack lies in main's frame: the frames above it
 * and those below, which the signal interrupted, both live. Prints "name verdict bytes
 * blocks". */
#include "common.h"
#include <signal.h>

static void leave(int sig) {
  (void)sig;
  printf("main reachable 111 1\n");
  printf("deeper reachable %d 5\n", 5 * 222);
  fflush(stdout);
  _exit(0);
}

static NOINLINE void deeper(int more) {
  void *volatile held = malloc(222); /* MARK deeper */
  if (more)
    deeper(more - 1);
  else
    raise(SIGUSR1);
  keep(held);
}

int main(void) {
  char stack[128 * 1024];
  void *volatile held = malloc(111); /* MARK main */
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  struct sigaction action = {.sa_handler = leave, .sa_flags = SA_ONSTACK};
  CHECK(sigaltstack(&alternate, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
  deeper(4);
  keep(held);
  return 1;
}
