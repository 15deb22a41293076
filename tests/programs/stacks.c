/* stacks.c - allocates from where stacks are hard to walk: stacks plain
 * | stacks library FILE | stacks apart, from code that stacks_apart has far from the rest
 */
#include "common.h"
#include <dlfcn.h>

static NOINLINE void leave_one(void) {
  keep(malloc(777)); /* MARK plain */
}

__attribute__((section(".apart"))) NOINLINE static void leave_one_apart(void) {
  keep(malloc(555)); /* MARK apart */
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
  if (strcmp(argv[1], "apart") == 0) leave_one_apart();
  if (strcmp(argv[1], "library") == 0) in_library(argv[2]);
  printf("done\n");
  return 0;
}
