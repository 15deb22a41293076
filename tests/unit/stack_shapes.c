/* Built without frame pointers. */
#include "stack_shapes.h"

#include <alloca.h>
#include <string.h>

#define KEEP(p) __asm__ volatile("" : : "r"(p) : "memory")

void shape_alloca(inner *f, unsigned bytes) {
  char *p = alloca(bytes);
  memset(p, 1, bytes);
  KEEP(p);
  f();
  KEEP(p);
}

void shape_vla(inner *f, unsigned bytes) {
  char p[bytes];
  memset(p, 1, bytes);
  KEEP(p);
  f();
  KEEP(p);
}

__attribute__((force_align_arg_pointer)) void shape_realigned(inner *f) {
  char p[64] __attribute__((aligned(64)));
  KEEP(p);
  f();
  KEEP(p);
}

void shape_realigned_vla(inner *f, unsigned bytes) {
  char p[128] __attribute__((aligned(128)));
  char q[bytes];
  memset(q, 1, bytes);
  KEEP(p);
  KEEP(q);
  f();
  KEEP(p);
  KEEP(q);
}

void shape_huge(inner *f) {
  char p[1 << 20];
  KEEP(p);
  f();
  KEEP(p);
}

void shape_registers(inner *f) {
  __asm__ volatile("" : : : "rbx", "rbp", "r12", "r13", "r14", "r15");
  f();
  __asm__ volatile("" : : : "rbx", "rbp", "r12", "r13", "r14", "r15");
}

void shape_no_frame_pointer(inner *f, int depth) {
  if (depth > 0)
    shape_no_frame_pointer(f, depth - 1);
  else
    f();
  KEEP(&depth);
}

__asm__(".text\n.globl shape_rbx\n.type shape_rbx, @function\n"
        "shape_rbx:\n"
        ".cfi_startproc\n"
        "pushq %rbx\n"
        ".cfi_def_cfa_offset 16\n.cfi_offset rbx, -16\n"
        "movq %rsp, %rbx\n"
        ".cfi_def_cfa rbx, 16\n"
        "andq $-64, %rsp\n"
        "call *%rdi\n"
        "movq %rbx, %rsp\n"
        "popq %rbx\n"
        ".cfi_def_cfa rsp, 8\n"
        "ret\n"
        ".cfi_endproc\n.size shape_rbx, .-shape_rbx\n");

__asm__(".text\n.globl shape_rbp_above\n.type shape_rbp_above, @function\n"
        "shape_rbp_above:\n"
        ".cfi_startproc\n"
        "subq $24, %rsp\n"
        ".cfi_def_cfa_offset 32\n"
        "call 1f\n"
        "addq $24, %rsp\n"
        ".cfi_def_cfa_offset 8\n"
        "ret\n"
        ".cfi_endproc\n"
        "1:\n"
        ".cfi_startproc\n"
        "movq %rbp, 8(%rsp)\n"
        ".cfi_offset rbp, 0\n"
        "subq $8, %rsp\n"
        ".cfi_def_cfa_offset 16\n"
        "xorl %ebp, %ebp\n"
        "call *%rdi\n"
        "addq $8, %rsp\n"
        ".cfi_def_cfa_offset 8\n"
        "movq 8(%rsp), %rbp\n"
        "ret\n"
        ".cfi_endproc\n.size shape_rbp_above, .-shape_rbp_above\n");

#define TIMES_8(x) x x x x x x x x
void shape_everywhere(inner *f) {
  TIMES_8(TIMES_8(TIMES_8(TIMES_8(f(); __asm__ volatile("");))))
}
