/* hidden.h - a pointer to a block that is kept over a call.
 *
 * The callee saves the register that it is in, in its frame, and there it stays, in the
 * dead part of the stack, until a frame of the program's comes to lie over it; then the
 * scan takes it for one of the program's, and a leak is not seen. So none is kept as it
 * is. */
#ifndef ULLAGE_HIDDEN_H
#define ULLAGE_HIDDEN_H

#include <stdint.h>

typedef uintptr_t hidden;

/* The compiler must not know that one can be had from the other. What is revealed begins
 * in a register that no callee saves. */
static inline __attribute__((always_inline)) hidden hide(const void *p) {
  hidden h = ~(uintptr_t)p;
  __asm__ volatile("" : "+r"(h));
  return h;
}
static inline __attribute__((always_inline)) void *reveal(hidden h) {
  __asm__ volatile("" : "+a"(h));
  return (void *)~h;
}
/* After a slow path that has come across the address of a block that is to be handed out:
 * what it left in its frames is wiped, which lay right here. */
void wipe_stack(void);
#endif
