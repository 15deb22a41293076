/* pairs.c - N pairs of malloc and free from one site. */
#include "common.h"

int main(int argc, char **argv) {
  long n = argc > 1 ? atol(argv[1]) : 10000;
  for (long i = 0; i < n; i++)
    free(keep(malloc(64)));
  return 0;
}
