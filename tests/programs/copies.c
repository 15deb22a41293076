/* copies.c - what an allocation leaves of its result below the stack pointer: nothing. A
 * copy there would come to lie in the frames of others, and hide a leak. */
#include "common.h"
#include <malloc.h>

enum { BELOW = 8192 };

/* No call in here: how many words below the stack pointer are ~hidden. */
#define COPIES(hidden, count)                                                            \
  __asm__ volatile("notq %%rax\n\txorl %%edx, %%edx\n\t"                                 \
                   "leaq -%c2(%%rsp), %%rdi\n"                                           \
                   "1:\tcmpq (%%rdi), %%rax\n\tjne 2f\n\tincq %%rdx\n"                   \
                   "2:\taddq $8, %%rdi\n\tcmpq %%rsp, %%rdi\n\tjb 1b\n\t"                \
                   "xorl %%eax, %%eax"                                                   \
                   : "=d"(count), "+a"(hidden)                                           \
                   : "i"(BELOW)                                                          \
                   : "rdi", "cc", "memory")

static void *by_malloc(size_t n) {
  return malloc(n);
}
static void *by_calloc(size_t n) {
  return calloc(1, n);
}
static void *by_realloc(size_t n) {
  return realloc(NULL, n);
}
static void *by_growing(size_t n) {
  return realloc(malloc(n / 2 + 1), n);
}
static void *by_memalign(size_t n) {
  return memalign(64, n);
}
static void *(*const ways[])(size_t) = {by_malloc, by_calloc, by_realloc, by_growing,
                                        by_memalign};

int main(int argc, char **argv) {
  size_t most = argc > 1 ? (size_t)atol(argv[1]) : 0;
  size_t copies = 0, count;
  CHECK(most);
  for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
    for (size_t n = 1; n <= most; n += n / 8 + 1) {
      for (int i = 0; i < 20; i++) {
        uintptr_t hidden = ~(uintptr_t)ways[way](n);
        if (!(uint32_t)~hidden) continue; /* the upper half of any old pointer looks like it */
        COPIES(hidden, count);
        copies += count;
        if (count && argc > 2) printf("way %zu, %zu bytes: %zu\n", way, n, count);
      }
    }
  printf("%zu copies\n", copies);
  return 0;
}
