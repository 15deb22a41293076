/* deep_plugin.c - a plugin that php, say, opens RTLD_DEEPBIND: blocks go in and out. */
#include <stdlib.h>
#include <string.h>

static void *made_early;
__attribute__((constructor)) static void load(void) {
  made_early = malloc(100);
}

void *deep_take(void);
void deep_give(void *p);

void *deep_take(void) {
  free(made_early);
  return strdup("from the plugin");
}
void deep_give(void *p) {
  free(p);
}
