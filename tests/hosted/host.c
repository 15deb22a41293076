/* host.c - an interpreter: it runs a script, whose calls go to functions of an extension
 * (guest.c) by their names, and makes values for whoever wants one.
 *
 *     host guest.so CALL N     the script calls that N times */
#include "hosted.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) static void *box(size_t bytes) {
  char *p = malloc(bytes);
  if (p) p[0] = 1;
  return p ? p : NULL;
}

__attribute__((noinline)) void *value_new(size_t bytes) {
  void *volatile p = box(bytes);
  return p;
}

/* A script's function. */
__attribute__((noinline)) static void forget(void) {
  void *volatile value = value_new(100);
  (void)value;
}

/* What scripts may call, and extensions as well. */
static void *encode(size_t bytes) {
  void *volatile p = malloc(bytes + 1);
  return p;
}
static void *upper(size_t bytes) {
  void *volatile p = malloc(bytes);
  return p;
}
static void *lower(size_t bytes) {
  void *volatile p = malloc(bytes);
  return p;
}
static const struct builtin {
  const char *name;
  void *(*function)(size_t bytes);
} builtins[] = {{"encode", encode}, {"upper", upper}, {"lower", lower}, {NULL, NULL}};

__attribute__((noinline)) void *call_builtin(const char *name, size_t bytes) {
  const struct builtin *b = builtins;
  while (b->name && strcmp(b->name, name))
    b++;
  void *volatile p = b->name ? b->function(bytes) : NULL;
  return p;
}

/* The two are by their names known as what calls what it is told to. */
__attribute__((noinline)) void lua_call(script_function *f) {
  f();
  __asm__ volatile("");
}
__attribute__((noinline)) int lua_pcallk(guest_function *f) {
  int volatile result = f(forget);
  return result;
}

__attribute__((noinline)) static void run_script(guest_function *f, int n) {
  for (int i = 0; i < n; i++)
    if (lua_pcallk(f)) puts("?");
  free(value_new(7));
}

int main(int argc, char **argv) {
  void *guest = argc == 4 ? dlopen(argv[1], RTLD_NOW) : NULL;
  const struct guest_entry *entry = guest ? dlsym(guest, "guest_table") : NULL;
  while (entry && entry->name && strcmp(entry->name, argv[2]))
    entry++;
  if (!entry || !entry->name) return 2;
  run_script(entry->function, atoi(argv[3]));
  return 0;
}
