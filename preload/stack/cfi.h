/* cfi.h - call frame information: the caller's registers, by the unwind tables.
 *
 * A reader of .eh_frame as compilers, assemblers and linkers make it (DWARF 4, 6.4 and
 * 7.23, with the LSB's augmentations), found through the sorted table of .eh_frame_hdr.
 * Every byte is checked to lie in its record, and every record in what is mapped, so what
 * is damaged is CFI_BAD and no more. */
#ifndef ULLAGE_CFI_H
#define ULLAGE_CFI_H

#include <stdbool.h>
#include <stdint.h>

/* By DWARF's numbers. Those that are not kept over calls are 0, except where a signal has
 * come in. */
enum {
  CFI_RBX = 3,
  CFI_RBP = 6,
  CFI_RSP = 7,
  CFI_R12 = 12,
  CFI_R13,
  CFI_R14,
  CFI_R15,
  CFI_RIP,
  CFI_REGISTERS
};
struct cfi_registers {
  uint64_t of[CFI_REGISTERS];
};

/* A word of the stack; false: it cannot be read. */
typedef bool cfi_word(void *memory, uint64_t address, uint64_t *value);

enum cfi_outcome {
  CFI_STEPPED,
  CFI_OUTERMOST, /* there is no caller */
  CFI_NONE,      /* no table knows this code */
  CFI_BAD
};

struct cfi_frame {
  bool signal; /* it was interrupted: the caller's RIP is where it goes on, not behind a
                  call */
  /* Where the caller's RBP is. */
  enum { CFI_KEPT, CFI_IN_MEMORY, CFI_ELSEWHERE } rbp;
  uint64_t rbp_at;
};

/* From the registers of a frame to those of its caller: RSP becomes the CFA. `code` is an
 * address in the instruction that the frame executes. One at a time (under the rule
 * lock): what the tables say of all registers is static, for the stack may be a
 * coroutine's, of 4 KiB. */
enum cfi_outcome cfi_step(struct cfi_registers *, uint64_t code, cfi_word *, void *memory,
                          struct cfi_frame *);

/* The same, of RSP, RBP and RIP alone; the others stay as they are. In any number of
 * threads at once, and in a handler that has interrupted it: what they say of these is on
 * the stack. */
enum cfi_outcome cfi_step_for_rule(struct cfi_registers *, uint64_t code, cfi_word *,
                                   void *memory, struct cfi_frame *);

/* The function, as its table entry has it, that `code` lies in. */
bool cfi_function(uint64_t code, uint64_t *start, uint64_t *end);
#endif
