/* new.c - C++: operator new and delete, by their mangled names.
 *
 * Whose they are. Ours stand in front of those of the C++ runtime, which are malloc and
 * free with an exception for want of memory, and come down to two: all other forms call
 * operator new(size) and operator delete(p). So who has these (a program that counts, or
 * takes its objects from a pool) has them all; and others mean something: a collector's
 * library (libgccpp) looks for pointers in what its operators gave. So where any is
 * another's, in front of ours or behind, each of ours goes on to the next of its name, as
 * if we were not there, and what comes of that by malloc is recorded as malloc's. Behind
 * us stands nobody else, if the next are the runtime's (which has std::get_new_handler as
 * well) or an allocator's (which has malloc as well). So it is with a program whose own
 * malloc is in front of ours, too, whose free would get the blocks. The loader is asked
 * once, before main: later somebody may hold its lock and wait for us. */
#include "base/say.h"
#include "entry.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>

void *_Znwm(size_t);
void *_Znam(size_t);
void *_ZnwmRKSt9nothrow_t(size_t, const void *);
void *_ZnamRKSt9nothrow_t(size_t, const void *);
void *_ZnwmSt11align_val_t(size_t, size_t);
void *_ZnamSt11align_val_t(size_t, size_t);
void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t, size_t, const void *);
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t, size_t, const void *);
void _ZdlPv(void *);
void _ZdaPv(void *);
void _ZdlPvm(void *, size_t);
void _ZdaPvm(void *, size_t);
void _ZdlPvRKSt9nothrow_t(void *, const void *);
void _ZdaPvRKSt9nothrow_t(void *, const void *);
void _ZdlPvSt11align_val_t(void *, size_t);
void _ZdaPvSt11align_val_t(void *, size_t);
void _ZdlPvmSt11align_val_t(void *, size_t, size_t);
void _ZdaPvmSt11align_val_t(void *, size_t, size_t);
void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *, size_t, const void *);
void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *, size_t, const void *);

/* Of the C++ runtime, if there is one. */
__attribute__((weak)) void *_ZSt15get_new_handlerv(void);

#define OPERATORS(X)                                                                     \
  X(_Znwm)                                                                               \
  X(_Znam)                                                                               \
  X(_ZnwmRKSt9nothrow_t)                                                                 \
  X(_ZnamRKSt9nothrow_t)                                                                 \
  X(_ZnwmSt11align_val_t)                                                                \
  X(_ZnamSt11align_val_t)                                                                \
  X(_ZnwmSt11align_val_tRKSt9nothrow_t)                                                  \
  X(_ZnamSt11align_val_tRKSt9nothrow_t)                                                  \
  X(_ZdlPv)                                                                              \
  X(_ZdaPv)                                                                              \
  X(_ZdlPvm)                                                                             \
  X(_ZdaPvm)                                                                             \
  X(_ZdlPvRKSt9nothrow_t)                                                                \
  X(_ZdaPvRKSt9nothrow_t)                                                                \
  X(_ZdlPvSt11align_val_t)                                                               \
  X(_ZdaPvSt11align_val_t)                                                               \
  X(_ZdlPvmSt11align_val_t)                                                              \
  X(_ZdaPvmSt11align_val_t)                                                              \
  X(_ZdlPvSt11align_val_tRKSt9nothrow_t)                                                 \
  X(_ZdaPvSt11align_val_tRKSt9nothrow_t)

enum form {
#define X(name) FORM_##name,
  OPERATORS(X) FORMS
#undef X
};
static const char *const operators[] = {
#define X(name) #name,
    OPERATORS(X)
#undef X
};

/* ---- whose they are -------------------------------------------------------------- */

static _Atomic enum { NOT_KNOWN, OURS, THE_NEXT } whose;
static void *next_operators[FORMS]; /* if it is THE_NEXT */

static bool of_one_object(const void *one, const void *other) {
  return one && other && entry_object(one) == entry_object(other);
}

static bool one_in_front(void) {
  for (int i = 0; i < FORMS; i++) {
    void *first = symbol_of(RTLD_DEFAULT, operators[i]);
    if (!of_one_object(first, (void *)(uintptr_t)entry_free) && !entry_is_stub(first))
      return true;
  }
  return false;
}

static bool library_behind(void) {
  void *allocator = next_symbol("malloc");
  for (int i = 0; i < FORMS; i++) {
    void *next = next_symbol(operators[i]);
    if (next && !of_one_object(next, (void *)(uintptr_t)_ZSt15get_new_handlerv) &&
        !of_one_object(next, allocator))
      return true;
  }
  return false;
}

__attribute__((constructor, noinline, cold)) static void find_operators(void) {
  if (whose != NOT_KNOWN) return;
  int saved = errno;
  bool cplusplus = _ZSt15get_new_handlerv != NULL;
  bool next =
      entry_program_in_front() || (cplusplus && (one_in_front() || library_behind()));
  for (int i = 0; next && i < FORMS; i++)
    next_operators[i] = next_symbol(operators[i]);
  whose = next ? THE_NEXT : OURS;
  errno = saved;
}

static __attribute__((noinline, cold)) void *next_operator(enum form form) {
  find_operators();
  return next_operators[form];
}

INLINE bool ours(void) {
  return LIKELY(atomic_load_explicit(&whose, memory_order_acquire) == OURS);
}

/* ---- the runtime's own ---------------------------------------------------------- */

/* With the runtime of a plugin that was opened RTLD_LOCAL nobody is acquainted but the
 * plugin, who is the caller; or who called us before, if the runtime's operator went on
 * to another of ours by a jump. So the functions between have frame pointers. */
#define KEEP_FRAME() __asm__ volatile("" : : "r"(FRAME))

static void *symbol_of_caller(const char *name, struct entrance e) {
  const struct link_map *ours = entry_object((void *)(uintptr_t)entry_free), *caller;
  while ((caller = entry_object((void *)entrance_ip(e))) == ours)
    e = entry_entrance((const uint64_t *)e.rbp);
  if (!caller) return NULL;
  struct busy_before before = busy_enter(BUSY_LOOKUP);
  void *object = dlopen(caller->l_name, RTLD_LAZY | RTLD_NOLOAD);
  void *symbol = object ? symbol_of(object, name) : NULL;
  if (object) dlclose(object);
  busy_leave(before);
  return symbol;
}

/* operator new as the C++ runtime has it: it calls the new handler and throws. It
 * allocates by malloc, so what failed with us fails again, in the proper way. */
static __attribute__((noinline)) void *runtime_new(enum form form, size_t size,
                                                   size_t align, const void *nothrow,
                                                   struct entrance e) {
  KEEP_FRAME();
  union {
    void *symbol;
    void *(*plain)(size_t);
    void *(*aligned)(size_t, size_t);
    void *(*plain_nothrow)(size_t, const void *);
    void *(*aligned_nothrow)(size_t, size_t, const void *);
  } next = {.symbol = next_operators[form]};
  if (!next.symbol) next.symbol = next_symbol(operators[form]);
  if (!next.symbol) next.symbol = symbol_of_caller(operators[form], e);
  if (!next.symbol && nothrow) return NULL;
  if (!next.symbol) {
    static bool said;
    say_once(&said, "operator new is out of memory, and there is nobody to throw");
    abort();
  }
  if (nothrow)
    return align ? next.aligned_nothrow(size, align, nothrow)
                 : next.plain_nothrow(size, nothrow);
  return align ? next.aligned(size, align) : next.plain(size);
}

/* ---- new ------------------------------------------------------------------------ */

static __attribute__((noinline)) void *new_slowly(size_t size, size_t align,
                                                  const void *nothrow,
                                                  enum ul_family family, enum form form,
                                                  struct entrance e) {
  KEEP_FRAME();
  find_operators();
  if (!ours()) return runtime_new(form, size, align, nothrow, e);
  int saved = errno;
  void *p = entry_allocate(size, align, family, AS_IT_IS, e);
  if (LIKELY(p != NULL)) return p;
  errno = saved;
  return runtime_new(form, size, align, nothrow, e);
}

INLINE void *do_new(size_t size, size_t align, const void *nothrow, enum ul_family family,
                    enum form form, const uint64_t *frame) {
  void *p = align || !ours() ? NULL : entry_allocate_small(size, family, AS_IT_IS, frame);
  return LIKELY(p)
             ? p
             : new_slowly(size, align, nothrow, family, form, entry_entrance(frame));
}

EXPORT void *_Znwm(size_t n) {
  return do_new(n, 0, NULL, UL_FAMILY_NEW, FORM__Znwm, FRAME);
}
EXPORT void *_Znam(size_t n) {
  return do_new(n, 0, NULL, UL_FAMILY_NEW_ARRAY, FORM__Znam, FRAME);
}
EXPORT void *_ZnwmSt11align_val_t(size_t n, size_t align) {
  return do_new(n, align, NULL, UL_FAMILY_NEW, FORM__ZnwmSt11align_val_t, FRAME);
}
EXPORT void *_ZnamSt11align_val_t(size_t n, size_t align) {
  return do_new(n, align, NULL, UL_FAMILY_NEW_ARRAY, FORM__ZnamSt11align_val_t, FRAME);
}
EXPORT void *_ZnwmRKSt9nothrow_t(size_t n, const void *nothrow) {
  return do_new(n, 0, nothrow, UL_FAMILY_NEW, FORM__ZnwmRKSt9nothrow_t, FRAME);
}
EXPORT void *_ZnamRKSt9nothrow_t(size_t n, const void *nothrow) {
  return do_new(n, 0, nothrow, UL_FAMILY_NEW_ARRAY, FORM__ZnamRKSt9nothrow_t, FRAME);
}
EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align,
                                                const void *nothrow) {
  return do_new(n, align, nothrow, UL_FAMILY_NEW, FORM__ZnwmSt11align_val_tRKSt9nothrow_t,
                FRAME);
}
EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align,
                                                const void *nothrow) {
  return do_new(n, align, nothrow, UL_FAMILY_NEW_ARRAY,
                FORM__ZnamSt11align_val_tRKSt9nothrow_t, FRAME);
}

/* ---- delete --------------------------------------------------------------------- */

#define DELETE(name, arguments, family, size)                                            \
  __typeof__(&(name)) next = ours() ? NULL : next_operator(FORM_##name);                 \
  if (UNLIKELY(next != NULL))                                                            \
    next arguments;                                                                      \
  else                                                                                   \
    entry_free_as(p, family, size, FRAME)

EXPORT void _ZdlPv(void *p) {
  DELETE(_ZdlPv, (p), UL_FAMILY_NEW, SIZE_MAX);
}
EXPORT void _ZdaPv(void *p) {
  DELETE(_ZdaPv, (p), UL_FAMILY_NEW_ARRAY, SIZE_MAX);
}
EXPORT void _ZdlPvm(void *p, size_t n) {
  DELETE(_ZdlPvm, (p, n), UL_FAMILY_NEW, n);
}
EXPORT void _ZdaPvm(void *p, size_t n) {
  DELETE(_ZdaPvm, (p, n), UL_FAMILY_NEW_ARRAY, n);
}
EXPORT void _ZdlPvRKSt9nothrow_t(void *p, const void *nothrow) {
  DELETE(_ZdlPvRKSt9nothrow_t, (p, nothrow), UL_FAMILY_NEW, SIZE_MAX);
}
EXPORT void _ZdaPvRKSt9nothrow_t(void *p, const void *nothrow) {
  DELETE(_ZdaPvRKSt9nothrow_t, (p, nothrow), UL_FAMILY_NEW_ARRAY, SIZE_MAX);
}
EXPORT void _ZdlPvSt11align_val_t(void *p, size_t align) {
  DELETE(_ZdlPvSt11align_val_t, (p, align), UL_FAMILY_NEW, SIZE_MAX);
}
EXPORT void _ZdaPvSt11align_val_t(void *p, size_t align) {
  DELETE(_ZdaPvSt11align_val_t, (p, align), UL_FAMILY_NEW_ARRAY, SIZE_MAX);
}
EXPORT void _ZdlPvmSt11align_val_t(void *p, size_t n, size_t align) {
  DELETE(_ZdlPvmSt11align_val_t, (p, n, align), UL_FAMILY_NEW, n);
}
EXPORT void _ZdaPvmSt11align_val_t(void *p, size_t n, size_t align) {
  DELETE(_ZdaPvmSt11align_val_t, (p, n, align), UL_FAMILY_NEW_ARRAY, n);
}
EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
                                                const void *nothrow) {
  DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (p, align, nothrow), UL_FAMILY_NEW,
         SIZE_MAX);
}
EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
                                                const void *nothrow) {
  DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (p, align, nothrow), UL_FAMILY_NEW_ARRAY,
         SIZE_MAX);
}
