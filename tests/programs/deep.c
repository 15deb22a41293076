/* deep.c - allocations far below the depth limit: deep DEPTH */
#include "common.h"

static NOINLINE void descend(int depth) {
  if (depth == 0) {
    keep(malloc(1234)); /* MARK bottom */
    return;
  }
  descend(depth - 1);
  __asm__ volatile("" : : : "memory"); /* no tail call */
}

int main(int argc, char **argv) {
  int depth = argc > 1 ? atoi(argv[1]) : 1000;
  for (int i = 0; i < 10; i++)
    descend(depth);
  printf("descended %d\n", depth);
  return 0;
}
