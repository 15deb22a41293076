/* new.c - C++: operator new and delete, by their mangled names. */
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
static __attribute__((noinline)) void *runtime_new(const char *name, size_t size,
                                                   size_t align, const void *nothrow,
                                                   struct entrance e) {
  KEEP_FRAME();
  union {
    void *symbol;
    void *(*plain)(size_t);
    void *(*aligned)(size_t, size_t);
    void *(*plain_nothrow)(size_t, const void *);
    void *(*aligned_nothrow)(size_t, size_t, const void *);
  } next = {.symbol = next_symbol(name)};
  if (!next.symbol) next.symbol = symbol_of_caller(name, e);
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
                                                  enum ul_family family, const char *name,
                                                  struct entrance e) {
  KEEP_FRAME();
  int saved = errno;
  void *p = entry_allocate(size, align, family, AS_IT_IS, e);
  if (LIKELY(p != NULL)) return p;
  errno = saved;
  return runtime_new(name, size, align, nothrow, e);
}

INLINE void *do_new(size_t size, size_t align, const void *nothrow, enum ul_family family,
                    const char *name, const uint64_t *frame) {
  if (UNLIKELY(entry_program_in_front()))
    return runtime_new(name, size, align, nothrow, entry_entrance(frame));
  void *p = align ? NULL : entry_allocate_small(size, family, AS_IT_IS, frame);
  return LIKELY(p)
             ? p
             : new_slowly(size, align, nothrow, family, name, entry_entrance(frame));
}

EXPORT void *_Znwm(size_t n) {
  return do_new(n, 0, NULL, UL_FAMILY_NEW, "_Znwm", FRAME);
}
EXPORT void *_Znam(size_t n) {
  return do_new(n, 0, NULL, UL_FAMILY_NEW_ARRAY, "_Znam", FRAME);
}
EXPORT void *_ZnwmSt11align_val_t(size_t n, size_t align) {
  return do_new(n, align, NULL, UL_FAMILY_NEW, "_ZnwmSt11align_val_t", FRAME);
}
EXPORT void *_ZnamSt11align_val_t(size_t n, size_t align) {
  return do_new(n, align, NULL, UL_FAMILY_NEW_ARRAY, "_ZnamSt11align_val_t", FRAME);
}
EXPORT void *_ZnwmRKSt9nothrow_t(size_t n, const void *nothrow) {
  return do_new(n, 0, nothrow, UL_FAMILY_NEW, "_ZnwmRKSt9nothrow_t", FRAME);
}
EXPORT void *_ZnamRKSt9nothrow_t(size_t n, const void *nothrow) {
  return do_new(n, 0, nothrow, UL_FAMILY_NEW_ARRAY, "_ZnamRKSt9nothrow_t", FRAME);
}
EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align,
                                                const void *nothrow) {
  return do_new(n, align, nothrow, UL_FAMILY_NEW, "_ZnwmSt11align_val_tRKSt9nothrow_t",
                FRAME);
}
EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align,
                                                const void *nothrow) {
  return do_new(n, align, nothrow, UL_FAMILY_NEW_ARRAY,
                "_ZnamSt11align_val_tRKSt9nothrow_t", FRAME);
}

/* ---- delete --------------------------------------------------------------------- */

EXPORT void _ZdlPv(void *p) {
  entry_free_as(p, UL_FAMILY_NEW, SIZE_MAX, FRAME);
}
EXPORT void _ZdaPv(void *p) {
  entry_free_as(p, UL_FAMILY_NEW_ARRAY, SIZE_MAX, FRAME);
}
EXPORT void _ZdlPvm(void *p, size_t n) {
  entry_free_as(p, UL_FAMILY_NEW, n, FRAME);
}
EXPORT void _ZdaPvm(void *p, size_t n) {
  entry_free_as(p, UL_FAMILY_NEW_ARRAY, n, FRAME);
}
EXPORT void _ZdlPvRKSt9nothrow_t(void *p, const void *nothrow) {
  (void)nothrow;
  entry_free_as(p, UL_FAMILY_NEW, SIZE_MAX, FRAME);
}
EXPORT void _ZdaPvRKSt9nothrow_t(void *p, const void *nothrow) {
  (void)nothrow;
  entry_free_as(p, UL_FAMILY_NEW_ARRAY, SIZE_MAX, FRAME);
}
EXPORT void _ZdlPvSt11align_val_t(void *p, size_t align) {
  (void)align;
  entry_free_as(p, UL_FAMILY_NEW, SIZE_MAX, FRAME);
}
EXPORT void _ZdaPvSt11align_val_t(void *p, size_t align) {
  (void)align;
  entry_free_as(p, UL_FAMILY_NEW_ARRAY, SIZE_MAX, FRAME);
}
EXPORT void _ZdlPvmSt11align_val_t(void *p, size_t n, size_t align) {
  (void)align;
  entry_free_as(p, UL_FAMILY_NEW, n, FRAME);
}
EXPORT void _ZdaPvmSt11align_val_t(void *p, size_t n, size_t align) {
  (void)align;
  entry_free_as(p, UL_FAMILY_NEW_ARRAY, n, FRAME);
}
EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
                                                const void *nothrow) {
  (void)align;
  (void)nothrow;
  entry_free_as(p, UL_FAMILY_NEW, SIZE_MAX, FRAME);
}
EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
                                                const void *nothrow) {
  (void)align;
  (void)nothrow;
  entry_free_as(p, UL_FAMILY_NEW_ARRAY, SIZE_MAX, FRAME);
}
