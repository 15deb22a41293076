#include "base/hidden.h"

/* As deep as the slow paths of the heap go, and no deeper: a stack may be small. */
enum { WIPED_BYTES = 768 };

__attribute__((noinline)) void wipe_stack(void) {
  char frames[WIPED_BYTES];
  __builtin_memset(frames, 0, sizeof frames);
  __asm__ volatile("" ::"r"(frames) : "memory");
}
