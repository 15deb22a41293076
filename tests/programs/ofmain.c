/* ofmain.c - main's own frame is all that holds a chain of ten blocks when main is over:
 * whether it returns or calls what ends the process is no difference. Built with and
 * without optimization.
 *   ofmain return | exit | _exit | quick_exit    it is over
 *   ofmain abort | deeper                        it is not: it aborts, or a callee exits */
#include "common.h"

static NOINLINE void **chain(void) {
  void **last = NULL;
  for (int i = 0; i < 10; i++) {
    void **block = malloc(100); /* MARK chain */
    block[0] = last;
    last = block;
  }
  return last;
}

static NOINLINE void leave(void) {
  exit(3);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  void **volatile held = chain();
  scrub_stack();
  if (!strcmp(mode, "exit")) exit(3);
  if (!strcmp(mode, "_exit")) _exit(3);
  if (!strcmp(mode, "quick_exit")) quick_exit(3);
  if (!strcmp(mode, "abort")) abort();
  if (!strcmp(mode, "deeper")) leave();
  return held ? 3 : 1;
}
