/* bundled.c - a program with an allocator of its own: ours is never called. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char pool[1 << 20] __attribute__((aligned(16)));
static size_t used;

void *malloc(size_t n) {
  size_t at = used;
  n = (n + 31) & ~(size_t)15;
  if (n > sizeof pool - at) return NULL;
  used += n;
  *(size_t *)(pool + at) = n;
  return pool + at + 16;
}
void free(void *p) {
  (void)p;
}
void *calloc(size_t n, size_t size) {
  return malloc(n * size);
}
void *realloc(void *p, size_t n) {
  void *q = malloc(n);
  if (p && q) memcpy(q, p, n);
  return q;
}

int main(void) {
  char *p = malloc(10);
  strcpy(p, "bundled\n");
  return write(1, p, 8) != 8;
}
