#include "base/next.h"

#include "base/thread.h"

#include <dlfcn.h>
#include <stddef.h>

void *symbol_of(void *handle, const char *name) {
  static void *(*_Atomic real)(void *, const char *);
  if (!real)
    real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
  return real(handle, name);
}

void *next_symbol(const char *name) {
  struct busy_before before = busy_enter(BUSY_LOOKUP);
  void *symbol = symbol_of(RTLD_NEXT, name);
  busy_leave(before);
  return symbol;
}
