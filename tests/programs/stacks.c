/* stacks.c - allocates from where stacks are hard to walk: stacks plain
 * | stacks library FILE */
#include "common.h"
#include <dlfcn.h>

static NOINLINE void leave_one(void) {
  keep(malloc(777)); /* MARK plain */
}

static void in_library(const char *file) {
  void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  CHECK(library);
  void (*hold)(void) = (void (*)(void))dlsym(library, "plugin_hold");
  CHECK(hold);
  hold();
}

int main(int argc, char **argv) {
  CHECK(argc >= 2);
  if (strcmp(argv[1], "plain") == 0) leave_one();
  if (strcmp(argv[1], "library") == 0) in_library(argv[2]);
  printf("done\n");
  return 0;
}
