/* dlopen.c - dlopen and dlmopen without RTLD_DEEPBIND.
 *
 * An object opened with it, and what it needs, looks for symbols among its own libraries
 * first and so finds libc's malloc and free instead of those in front of it: it would
 * free blocks of ours by libc's free, and leave its own to us. Without it, its symbols
 * are looked for in the usual order; each such opening is counted.
 *
 * The loader looks at who calls dlopen (RPATH, $ORIGIN, the namespace), by the return
 * address: hence the jumps, with the caller's own on the stack. */
#include "entry.h"

#include <dlfcn.h>

/* In rax and rdx. */
struct opening {
  void *next;
  long mode;
};
struct opening entry_opening(void *next, int mode);
struct opening entry_dlopen(int mode);
struct opening entry_dlmopen(Lmid_t space, int mode);

/* If the program's own malloc is in front, libc's is the object's by right. */
struct opening entry_opening(void *next, int mode) {
  if (mode & RTLD_DEEPBIND && !entry_program_in_front()) {
    fallback(UL_FB_DEEPBIND);
    mode &= ~RTLD_DEEPBIND;
  }
  return (struct opening){next, mode};
}

struct opening entry_dlopen(int mode) {
  NEXT(dlopen);
  return entry_opening((void *)(uintptr_t)real, mode);
}

/* Another namespace has a malloc of its own anyway. */
struct opening entry_dlmopen(Lmid_t space, int mode) {
  NEXT(dlmopen);
  if (space != LM_ID_BASE) return (struct opening){(void *)(uintptr_t)real, mode};
  return entry_opening((void *)(uintptr_t)real, mode);
}

/* The first argument lies on the stack during the call, and aligns it. */
EXPORT __attribute__((naked)) void *dlopen(const char *file __attribute__((unused)),
                                           int mode __attribute__((unused))) {
  __asm__("pushq %rdi\n\t"
          ".cfi_adjust_cfa_offset 8\n\t"
          "movl %esi, %edi\n\t"
          "call entry_dlopen\n\t"
          "popq %rdi\n\t"
          ".cfi_adjust_cfa_offset -8\n\t"
          "movl %edx, %esi\n\t"
          "jmp *%rax");
}

/* Two do not. */
EXPORT __attribute__((naked)) void *dlmopen(Lmid_t space __attribute__((unused)),
                                            const char *file __attribute__((unused)),
                                            int mode __attribute__((unused))) {
  __asm__("pushq %rdi\n\t"
          ".cfi_adjust_cfa_offset 8\n\t"
          "pushq %rsi\n\t"
          ".cfi_adjust_cfa_offset 8\n\t"
          "subq $8, %rsp\n\t"
          ".cfi_adjust_cfa_offset 8\n\t"
          "movl %edx, %esi\n\t"
          "call entry_dlmopen\n\t"
          "addq $8, %rsp\n\t"
          ".cfi_adjust_cfa_offset -8\n\t"
          "popq %rsi\n\t"
          ".cfi_adjust_cfa_offset -8\n\t"
          "popq %rdi\n\t"
          ".cfi_adjust_cfa_offset -8\n\t"
          "jmp *%rax"); /* mode is in rdx */
}
