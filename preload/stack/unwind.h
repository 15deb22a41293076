/* unwind.h - what the unwind tables (cfi.h) say of a frame, for a rule, and of a whole
 * stack; and libunwind, kept at arm's length: its unw_backtrace is the oracle of
 * ULLAGE_UNWIND=libunwind and =check, only loaded for these.
 *
 * Where not said otherwise: any thread, no lock of ours held. */
#ifndef ULLAGE_UNWIND_H
#define ULLAGE_UNWIND_H

#include <stdbool.h>
#include <stdint.h>

/* What the unwind table says about the frame of one code address: enough to find
 * the caller's frame from this frame's RSP and RBP. */
struct unwind_frame {
  enum {
    UNWIND_REGULAR,   /* CFA = cfa_base + cfa; return address at CFA - 8 */
    UNWIND_REALIGNED, /* CFA = *(RBP + cfa); RBP saved at RBP + rbp */
    UNWIND_SIGNAL,    /* a struct ucontext is at RSP */
    UNWIND_END,       /* outermost */
    UNWIND_BARE,      /* no unwind information */
    UNWIND_OTHER      /* only the tables can tell */
  } kind;
  bool cfa_from_rbp; /* else from RSP */
  bool rbp_saved;    /* at CFA + rbp; else RBP is the caller's */
  int64_t cfa, rbp;
};

struct unwind_registers {
  uint64_t rip, rsp, rbp, rbx, r12, r13, r14, r15;
};

/* Of the function that this is written in. */
static inline __attribute__((always_inline)) void
unwind_registers_here(struct unwind_registers *r) {
  __asm__ volatile("leaq 0f(%%rip), %%rax\n\t"
                   "movq %%rax, (%0)\n\t"
                   "movq %%rsp, 8(%0)\n\t"
                   "movq %%rbp, 16(%0)\n\t"
                   "movq %%rbx, 24(%0)\n\t"
                   "movq %%r12, 32(%0)\n\t"
                   "movq %%r13, 40(%0)\n\t"
                   "movq %%r14, 48(%0)\n\t"
                   "movq %%r15, 56(%0)\n"
                   "0:"
                   :
                   : "c"(r)
                   : "rax", "memory");
}

/* Where a makecontext() coroutine returns to: the end of its stack, of which the
 * unwind tables know nothing. */
extern uint64_t unwind_coroutine_end;

/* With the oracle, if asked. false: there is none. */
bool unwind_start(bool oracle);

/* Learn about code address `ip`: the return address minus one, or the exact
 * address where a signal came in. In a handler that has interrupted it, too. */
struct unwind_frame unwind_learn(uint64_t ip);

/* The return addresses above the frame whose CFA is `cfa`, from the registers of
 * a function below it, as stack_capture() gives them. Not at the same time in
 * two threads. */
uint32_t unwind_walk(const struct unwind_registers *from, uint64_t cfa, uint64_t *ips,
                     uint32_t limit, uint32_t *end);

/* The same by unw_backtrace, above the frame that returns to `caller`. Under the
 * same lock. */
uint32_t unwind_oracle(uint64_t caller, uint64_t *ips, uint32_t limit, uint32_t *end);
/* From the registers of a function outwards: visit each frame, that of the function
 * first, with the registers as they are while it calls, until `visit` says false.
 * `signal`: the frame is that of a signal; the next one may lie on another stack. true:
 * the outermost frame has been visited. Locks as for unwind_walk(). */
typedef bool unwind_visit(const struct unwind_registers *frame, bool signal, void *arg);
bool unwind_outwards(const struct unwind_registers *from, unwind_visit *visit, void *arg);

#endif
