/* Loaded and unloaded by test_stack.c. */
#include "stack_shapes.h"

void plugin_call(inner *f);

void plugin_call(inner *f) {
  char p[PLUGIN_FRAME];
  __asm__ volatile("" : : "r"(p) : "memory");
  f();
  __asm__ volatile("" : : "r"(p) : "memory");
}
