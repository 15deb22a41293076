/* Frames of every shape around a call, for test_stack.c. */
#ifndef STACK_SHAPES_H
#define STACK_SHAPES_H

#ifdef __cplusplus
extern "C" {
#endif
typedef void inner(void);

void shape_alloca(inner *, unsigned bytes);
void shape_vla(inner *, unsigned bytes);
void shape_realigned(inner *);
void shape_realigned_vla(inner *, unsigned bytes);
void shape_huge(inner *);
void shape_registers(inner *);
void shape_no_frame_pointer(inner *, int depth);
void shape_rbx(inner *);       /* assembler: CFA = RBX + 16 */
void shape_rbp_above(inner *); /* assembler: RBP saved in the caller's frame */
/* 4096 calls of `inner` from as many places. */
void shape_everywhere(inner *);

/* C++: `inner` from a destructor while an exception flies, and from its handler. */
void shape_throw(inner *, int depth);
#ifdef __cplusplus
}
#endif
#endif
