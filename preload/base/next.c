#include "base/next.h"

#include "base/thread.h"

#include <dlfcn.h>
#include <stddef.h>

void *next_symbol(const char *name) {
  thread_state.busy++;
  void *symbol = dlsym(RTLD_NEXT, name);
  thread_state.busy--;
  return symbol;
}
