/* caller.h - the frame of the program that has called what ends the process.
 *
 * What lies below it on the stack, frames of ullage and of exit(), is not the program's:
 * it holds pointers that others left there. */
#ifndef ULLAGE_CALLER_H
#define ULLAGE_CALLER_H

#include <stdbool.h>
#include <stdint.h>

enum { CALLER_STACKS = 4, CALLER_REGISTERS = 6 };

struct caller {
  /* Where its stack begins; and, if it lies in handlers of signals, where those begin
   * that were interrupted, outwards. */
  uintptr_t sp[CALLER_STACKS];
  unsigned stacks;
  uintptr_t registers[CALLER_REGISTERS]; /* that outlive a call: RBX, RBP, R12 to R15 */
};

/* The function that this is written in, for its own caller's eyes. */
static inline __attribute__((always_inline)) void caller_here(struct caller *c) {
  uintptr_t *r = c->registers;
  c->stacks = 1;
  __asm__ volatile("movq %%rbx, (%0)\n\tmovq %%rbp, 8(%0)\n\tmovq %%r12, 16(%0)\n\t"
                   "movq %%r13, 24(%0)\n\tmovq %%r14, 32(%0)\n\tmovq %%r15, 40(%0)\n\t"
                   "movq %%rsp, (%1)" ::"c"(r),
                   "d"(c->sp)
                   : "memory");
}

/* Once, by stack_start(). */
void caller_start(void);
/* From the calling function outwards the first frame that is neither ullage's nor one of
 * those by which exit() and quick_exit() call a handler: whoever has called them is
 * meant, which for a return from main is main's caller. false: it is not found, and
 * *caller is the calling function. No lock of ours may be held. */
bool caller_find(struct caller *caller);
#endif
