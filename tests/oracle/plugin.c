/* plugin.c - what processes.c loads. */
#include <stdlib.h>

#define EXPORTED(name)                                                                   \
  void name(void);                                                                       \
  void name(void)

static void *held;
static int frees;
static __thread void *of_thread;

static void *volatile sink;
__attribute__((noinline)) static void *block_of_plugin(void) {
  return calloc(1, 60);
}
EXPORTED(plugin_forgets) {
  sink = block_of_plugin();
  sink = NULL;
}
EXPORTED(plugin_holds) {
  held = block_of_plugin();
}
EXPORTED(plugin_holds_and_frees) {
  plugin_holds();
  frees = 1;
}
EXPORTED(plugin_holds_in_tls) {
  of_thread = block_of_plugin();
}
EXPORTED(plugin_frees_twice) {
  void *volatile p = block_of_plugin();
  free(p);
  free(p);
}
__attribute__((destructor)) static void at_its_end(void) {
  if (frees) free(held);
}
