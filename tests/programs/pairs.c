/* pairs.c - N pairs of malloc and free, DEPTH frames below main: from one site, or by
 * turns from two that are NEW frames further in. */
#include "common.h"

static NOINLINE void pair(int new_frames) {
  if (new_frames > 1)
    pair(new_frames - 1);
  else
    free(keep(malloc(64)));
  __asm__ volatile("" : : : "memory"); /* no tail call */
}

static NOINLINE void pairs(long n, int new_frames) {
  for (long i = 0; i < n && !new_frames; i++)
    free(keep(malloc(64)));
  for (long i = 0; i < n && new_frames; i += 2) {
    pair(new_frames);
    __asm__ volatile("" : : : "memory"); /* two calls, not one in a loop twice as long */
    pair(new_frames);
  }
}

static NOINLINE void descend(int depth, long n, int new_frames) {
  if (depth > 0)
    descend(depth - 1, n, new_frames);
  else
    pairs(n, new_frames);
  __asm__ volatile("" : : : "memory"); /* no tail call */
}

int main(int argc, char **argv) {
  long n = argc > 1 ? atol(argv[1]) : 10000;
  descend(argc > 2 ? atoi(argv[2]) : 0, n, argc > 3 ? atoi(argv[3]) : 0);
  return 0;
}
