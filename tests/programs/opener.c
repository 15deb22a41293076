/* opener.c - a library that opens a plugin from where only its own RUNPATH leads. */
#define _GNU_SOURCE
#include <dlfcn.h>

void *open_plugin(const char *name, int by_space);

void *open_plugin(const char *name, int by_space) {
  void *volatile plugin = by_space
                              ? dlmopen(LM_ID_BASE, name, RTLD_NOW | RTLD_DEEPBIND)
                              : dlopen(name, RTLD_NOW | RTLD_DEEPBIND);
  return plugin;
}
