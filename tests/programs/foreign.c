/* foreign.c - blocks of libc's own malloc, given to whatever free is first. */
#include "common.h"
#include <dlfcn.h>
#include <malloc.h>

int main(void) {
  void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  CHECK(libc);
  void *(*libc_malloc)(size_t) = (void *(*)(size_t))dlvsym(libc, "malloc", "GLIBC_2.2.5");
  CHECK(libc_malloc);
  for (int i = 0; i < 1000; i++) {
    char *p = libc_malloc(100 + i);
    CHECK(p);
    memset(p, 'f', 100);
    CHECK(malloc_usable_size(p) >= (size_t)(100 + i));
    if (i % 3 == 0) {
      p = realloc(p, 5000);
      CHECK(p && p[0] == 'f' && p[99] == 'f');
    }
    free(p);
  }
  free(libc_malloc(1 << 20));
  puts("foreign blocks freed");
  return 0;
}
