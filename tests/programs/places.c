/* places.c - one pair of malloc and free at each of 64 places; with an argument, at 64
 * further ones. */
#include "common.h"

#define PAIR free(keep(malloc(64)));
#define TIMES_8(x) x x x x x x x x

int main(int argc, char **argv) {
  (void)argv;
  TIMES_8(TIMES_8(PAIR))
  if (argc > 1) {
    TIMES_8(TIMES_8(PAIR))
  }
  return 0;
}
