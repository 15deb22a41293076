/* dlopen.c - dlopen and dlmopen without RTLD_DEEPBIND, and dlsym: nobody gets at libc's
 * own malloc and free beside those in front.
 *
 * An object opened with it, and what it needs, looks for symbols among its own libraries
 * first and so finds libc's malloc and free instead of those in front of it: it would
 * free blocks of ours by libc's free, and leave its own to us. Without it, its symbols
 * are looked for in the usual order; each such opening is counted. Nor does dlsym give
 * out libc's own to who has a handle of it, as foreign functions of Python and others do:
 * they free by it what some library has allocated.
 *
 * The loader looks at who calls (RPATH, $ORIGIN, the namespace, RTLD_NEXT), by the return
 * address: hence the jumps, with the caller's own on the stack. */
#include "entry.h"

#include <dlfcn.h>
#include <link.h>
#include <malloc.h>

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
#define KEEP_TWO                                                                         \
  "pushq %rdi\n\t"                                                                       \
  ".cfi_adjust_cfa_offset 8\n\t"                                                         \
  "pushq %rsi\n\t"                                                                       \
  ".cfi_adjust_cfa_offset 8\n\t"                                                         \
  "subq $8, %rsp\n\t"                                                                    \
  ".cfi_adjust_cfa_offset 8\n\t"
#define GIVE_BACK_TWO                                                                    \
  "addq $8, %rsp\n\t"                                                                    \
  ".cfi_adjust_cfa_offset -8\n\t"                                                        \
  "popq %rsi\n\t"                                                                        \
  ".cfi_adjust_cfa_offset -8\n\t"                                                        \
  "popq %rdi\n\t"                                                                        \
  ".cfi_adjust_cfa_offset -8\n\t"

EXPORT __attribute__((naked)) void *dlmopen(Lmid_t space __attribute__((unused)),
                                            const char *file __attribute__((unused)),
                                            int mode __attribute__((unused))) {
  __asm__(KEEP_TWO "movl %edx, %esi\n\t"
                   "call entry_dlmopen\n\t" GIVE_BACK_TWO
                   "jmp *%rax"); /* mode is in rdx */
}

/* ---- dlsym ---------------------------------------------------------------------- */

const struct link_map *entry_object(const void *address) {
  struct dl_find_object o;
  bool found = _dl_find_object((void *)(uintptr_t)address, &o) == 0;
  return found ? o.dlfo_link_map : NULL;
}

/* Of that name, the one in front; NULL: not of malloc's family. */
static void *in_front(const char *name) {
#define OF(f)                                                                            \
  { #f, (void *)(uintptr_t)f }
  static const struct {
    const char *name;
    void *function;
  } family[] = {OF(malloc),
                OF(free),
                OF(calloc),
                OF(realloc),
                OF(reallocarray),
                OF(memalign),
                OF(aligned_alloc),
                OF(posix_memalign),
                OF(valloc),
                OF(pvalloc),
                OF(malloc_usable_size)};
#undef OF
  for (size_t i = 0; i < sizeof family / sizeof *family; i++)
    if (strcmp(name, family[i].name) == 0) return family[i].function;
  return NULL;
}

/* In rax and rdx: the answer, or who has it. */
struct answer {
  void *address;
  long known;
};
struct answer entry_dlsym(void *handle, const char *name);

struct answer entry_dlsym(void *handle, const char *name) {
  static void *(*real)(void *, const char *);
  if (!real) *(void **)&real = next_symbol("dlsym");
  struct answer pass_on = {(void *)(uintptr_t)real, false};
  if (handle == RTLD_NEXT || handle == RTLD_DEFAULT) return pass_on;
  void *ours = in_front(name);
  if (!ours || entry_program_in_front()) return pass_on;
  void *found = real(handle, name);
  bool of_libc = found && entry_object(found) == entry_object((void *)(uintptr_t)real);
  return (struct answer){of_libc ? ours : found, true};
}

EXPORT __attribute__((naked)) void *dlsym(void *handle __attribute__((unused)),
                                          const char *name __attribute__((unused))) {
  __asm__(KEEP_TWO "call entry_dlsym\n\t" GIVE_BACK_TWO "testl %edx, %edx\n\t"
                   "jnz 0f\n\t"
                   "jmp *%rax\n\t"
                   "0:\n\t"
                   "ret");
}
