/* front.c - the rest of malloc, free, calloc and realloc's family, which programs that
 * define these themselves seldom define (entry.h).
 *
 * Alignment is not here: libc has the aligned functions from its own heap, whatever the
 * program defines, and with a program in front malloc.c leaves them to it. */
#include "entry.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>

/* Not, or not always, in libc's headers. */
void cfree(void *);
void free_sized(void *, size_t);
void free_aligned_sized(void *, size_t, size_t);

/* Code that is linked to a fixed address knows a function of a library by a stub in
 * itself, and then everybody gets the stub's address, so that there is but one (System V
 * ABI, AMD64 supplement, "Function Addresses"). Such a symbol has a value, and is
 * undefined. */
bool entry_is_stub(void *function) {
  Dl_info in;
  ElfW(Sym) *symbol = NULL;
  return dladdr1(function, &in, (void **)&symbol, RTLD_DL_SYMENT) && symbol &&
         symbol->st_shndx == SHN_UNDEF;
}

bool entry_is_another(void (*first)(void *)) {
  static _Atomic enum { NOT_KNOWN, STUB, ANOTHER } known;
  if (UNLIKELY(known == NOT_KNOWN)) {
    int saved = errno;
    known = entry_is_stub(*(void **)&first) ? STUB : ANOTHER;
    errno = saved;
  }
  return known == ANOTHER;
}

void entry_free_first(void *p) {
  if (UNLIKELY(entry_program_in_front()))
    free(p);
  else
    entry_free(p);
}
EXPORT void cfree(void *p) {
  entry_free_first(p);
}
EXPORT void free_sized(void *p, size_t size) {
  entry_free_as(p, UL_FAMILY_MALLOC, size, FRAME);
}
EXPORT void free_aligned_sized(void *p, size_t align, size_t size) {
  (void)align;
  entry_free_as(p, UL_FAMILY_MALLOC, size, FRAME);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  if (UNLIKELY(entry_program_in_front())) return realloc(p, bytes);
  return entry_realloc(p, bytes, HERE);
}
