/* pairs.c - N pairs of malloc and free from one site, DEPTH frames below main. */
#include "common.h"

static NOINLINE void pairs(long n) {
  for (long i = 0; i < n; i++)
    free(keep(malloc(64)));
}

static NOINLINE void descend(int depth, long n) {
  if (depth > 0)
    descend(depth - 1, n);
  else
    pairs(n);
  __asm__ volatile("" : : : "memory"); /* no tail call */
}

int main(int argc, char **argv) {
  long n = argc > 1 ? atol(argv[1]) : 10000;
  descend(argc > 2 ? atoi(argv[2]) : 0, n);
  return 0;
}
