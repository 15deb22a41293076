#include "base/next.h"

#include "base/thread.h"

#include <dlfcn.h>
#include <stddef.h>

void *next_symbol(const char *name) {
  unsigned before = busy_enter(BUSY_LOOKUP);
  void *symbol = dlsym(RTLD_NEXT, name);
  busy_leave(before);
  return symbol;
}
