/* library.c - makes records for its users, who have to free them. */
#include "hosted.h"

#include <stdlib.h>

__attribute__((noinline)) void *record_new(size_t bytes) {
  char *volatile p = malloc(bytes);
  if (p) p[0] = 1;
  return p;
}

__attribute__((noinline)) struct record *record_read(int depth) {
  struct record *volatile r = depth ? record_read(depth - 1) : record_new(300);
  return r;
}
