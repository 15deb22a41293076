/* Defines malloc and free of its own as wrappers of glibc's names for the real ones: what
 * stands behind __libc_malloc must never come back to them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__libc_malloc(size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void *__libc_pvalloc(size_t bytes);
void __libc_free(void *p);
void __libc_cfree(void *p);

static long depth, calls;

static void enter(void) {
  calls++;
  if (++depth > 1) _Exit(4);
}

void *malloc(size_t bytes) {
  enter();
  void *p = __libc_malloc(bytes);
  depth--;
  return p;
}

void free(void *p) {
  enter();
  __libc_free(p);
  depth--;
}

int main(void) {
  char *p = malloc(40000000), *q = malloc(10);
  strcpy(p, "kept");
  long before = calls;
  p = __libc_realloc(p, 10); /* has to move, and frees the old block */
  void *r = __libc_pvalloc(10);
  if (calls != before || strcmp(p, "kept") != 0 || !r) return 5;
  free(p);
  free(q);
  free(r);
  return 0;
}
