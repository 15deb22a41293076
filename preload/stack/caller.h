/* caller.h - the frame of the program that has called what ends the process.
 *
 * What lies below it on the stack, frames of ullage and of exit(), is not the program's:
 * it holds pointers that others left there. */
#ifndef ULLAGE_CALLER_H
#define ULLAGE_CALLER_H

#include "stack/unwind.h"

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

/* main's own frame, if it is main that has called what ends the process: it will never
 * need again what only that holds, as after a return. */
struct main_frame {
  uintptr_t low, high; /* 0: it is not main */
  uintptr_t registers[CALLER_REGISTERS];
};

/* Once, by stack_start(). */
void caller_start(void);
/* From a function of ours outwards (unwind_registers_here) the first frame that is
 * neither ullage's nor one of those by which exit() and quick_exit() call a handler:
 * whoever has called them is meant, which for a return from main is main's caller. false:
 * it is not found, and *caller is the function of ours. No lock of ours may be held. */
bool caller_find(const struct unwind_registers *from, struct caller *caller);
/* The same; but if that frame is main's own, main's caller is meant, and *own is main's.
 */
bool caller_find_beyond_main(const struct unwind_registers *from, struct caller *caller,
                             struct main_frame *own);
#endif
