/* mapped.c - memory that malloc does not give, as runtimes with heaps of their own have
 * it.
 *
 *     mapped keep|drop MIB     maps and fills so much, little by little, and keeps it, or
 *                              drops it before malloc is asked again
 *     mapped malloc MIB        has as much from malloc */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK = 1 << 20 };

static void fill(int mib, int keep) {
  size_t bytes = (size_t)mib * CHUNK;
  char *all =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) exit(1);
  for (int i = 0; i < mib; i++) {
    memset(all + (size_t)i * CHUNK, i + 1, CHUNK);
    char *small = keep ? malloc(100) : NULL;
    if (small) small[0] = 1;
    free(small);
  }
  if (!keep) munmap(all, bytes);
}

int main(int argc, char **argv) {
  int mib = argc > 2 ? atoi(argv[2]) : 32;
  const char *how = argc > 1 ? argv[1] : "keep";
  char *block = malloc(1000);
  if (strcmp(how, "malloc") == 0) {
    char *blocks = calloc((size_t)mib, CHUNK);
    if (blocks) memset(blocks, 1, (size_t)mib * CHUNK);
    free(block);
    block = blocks;
  } else {
    fill(mib, strcmp(how, "keep") == 0);
  }
  if (block) puts(how);
  free(block);
  return 0;
}
