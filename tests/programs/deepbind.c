/* deepbind.c - gives blocks to a plugin that was opened RTLD_DEEPBIND, and takes some. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *open_plugin(const char *name, int by_space);

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    void *plugin = open_plugin(argv[i], i % 2);
    if (!plugin) return puts(dlerror()), 1;
    void *(*take)(void) = (void *(*)(void))dlsym(plugin, "deep_take");
    void (*give)(void *) = (void (*)(void *))dlsym(plugin, "deep_give");
    char *text = take();
    puts(text);
    give(malloc(1000));
    free(realloc(text, 10000));
    dlclose(plugin);
  }
  return dlopen(argv[1], RTLD_NOW) != NULL; /* this program's own path does not lead there */
}
