/* limits.c - memory runs out: malloc says ENOMEM, and everything goes on after
 * some of it came back. */
#include "common.h"
#include <sys/resource.h>

static void **held;
static size_t count, capacity = 1 << 20;

static void fill(size_t bytes) {
  while (count < capacity) {
    errno = 0;
    void *p = malloc(bytes);
    if (!p) {
      CHECK(errno == ENOMEM);
      return;
    }
    memset(p, 1, bytes < 64 ? bytes : 64);
    held[count++] = p;
  }
}

static void release(void) {
  while (count)
    free(held[--count]);
}

int main(int argc, char **argv) {
  size_t mb = argc > 1 ? (size_t)atol(argv[1]) : 0;
  held = calloc(capacity, sizeof *held);
  CHECK(held);
  if (mb) {
    struct rlimit limit = {mb << 20, mb << 20};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
  }
  for (int round = 0; round < 3; round++) {
    fill(5 << 20);
    CHECK(count < capacity);
    fill(100000);
    fill(1000);
    fill(16);
    release();
    CHECK(!malloc((size_t)1 << 46) && errno == ENOMEM);
    free(keep(malloc(1 << 20)));
  }
  puts("survived");
  return 0;
}
