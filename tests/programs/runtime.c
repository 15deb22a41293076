/* runtime.c - a C program whose plugin (argv[1]) has the C++ runtime to itself. */
#include "common.h"
#include <dlfcn.h>

int main(int argc, char **argv) {
  void *plugin = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  CHECK(plugin && !dlsym(RTLD_DEFAULT, "__cxa_throw"));
  int (*throws)(void) = (int (*)(void))dlsym(plugin, "throws");
  int (*does_not_throw)(void) = (int (*)(void))dlsym(plugin, "does_not_throw");
  CHECK(throws && does_not_throw);
  printf("%d %d\n", throws(), does_not_throw());
  return 0;
}
