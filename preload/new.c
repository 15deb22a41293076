/* new.c - C++: operator new and delete, by their mangled names. */
#include "entry.h"

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

/* Out of memory is libstdc++'s to handle: its operator new calls the new handler and
 * throws; it allocates by malloc, so it fails again as we did, in the proper way. */
INLINE void *do_new(size_t size, size_t align, enum ul_family family, const char *name,
                    const void *frame) {
  int saved = errno;
  void *p = entry_allocate(size, align, family, false, frame);
  if (LIKELY(p != NULL)) return p;
  errno = saved;
  void *next = next_symbol(name);
  if (!next) return NULL;
  return align ? ((void *(*)(size_t, size_t))next)(size, align)
               : ((void *(*)(size_t))next)(size);
}

EXPORT void *_Znwm(size_t n) {
  return do_new(n, 0, UL_FAMILY_NEW, "_Znwm", HERE);
}
EXPORT void *_Znam(size_t n) {
  return do_new(n, 0, UL_FAMILY_NEW_ARRAY, "_Znam", HERE);
}
EXPORT void *_ZnwmSt11align_val_t(size_t n, size_t align) {
  return do_new(n, align, UL_FAMILY_NEW, "_ZnwmSt11align_val_t", HERE);
}
EXPORT void *_ZnamSt11align_val_t(size_t n, size_t align) {
  return do_new(n, align, UL_FAMILY_NEW_ARRAY, "_ZnamSt11align_val_t", HERE);
}
EXPORT void *_ZnwmRKSt9nothrow_t(size_t n, const void *nothrow) {
  (void)nothrow;
  return entry_allocate(n, 0, UL_FAMILY_NEW, false, HERE);
}
EXPORT void *_ZnamRKSt9nothrow_t(size_t n, const void *nothrow) {
  (void)nothrow;
  return entry_allocate(n, 0, UL_FAMILY_NEW_ARRAY, false, HERE);
}
EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align,
                                                const void *nothrow) {
  (void)nothrow;
  return entry_allocate(n, align, UL_FAMILY_NEW, false, HERE);
}
EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align,
                                                const void *nothrow) {
  (void)nothrow;
  return entry_allocate(n, align, UL_FAMILY_NEW_ARRAY, false, HERE);
}

EXPORT void _ZdlPv(void *p) {
  entry_free(p);
}
EXPORT void _ZdaPv(void *p) {
  entry_free(p);
}
EXPORT void _ZdlPvm(void *p, size_t n) {
  (void)n;
  entry_free(p);
}
EXPORT void _ZdaPvm(void *p, size_t n) {
  (void)n;
  entry_free(p);
}
EXPORT void _ZdlPvRKSt9nothrow_t(void *p, const void *nothrow) {
  (void)nothrow;
  entry_free(p);
}
EXPORT void _ZdaPvRKSt9nothrow_t(void *p, const void *nothrow) {
  (void)nothrow;
  entry_free(p);
}
EXPORT void _ZdlPvSt11align_val_t(void *p, size_t align) {
  (void)align;
  entry_free(p);
}
EXPORT void _ZdaPvSt11align_val_t(void *p, size_t align) {
  (void)align;
  entry_free(p);
}
EXPORT void _ZdlPvmSt11align_val_t(void *p, size_t n, size_t align) {
  (void)n;
  (void)align;
  entry_free(p);
}
EXPORT void _ZdaPvmSt11align_val_t(void *p, size_t n, size_t align) {
  (void)n;
  (void)align;
  entry_free(p);
}
EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
                                                const void *nothrow) {
  (void)align;
  (void)nothrow;
  entry_free(p);
}
EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align,
                                                const void *nothrow) {
  (void)align;
  (void)nothrow;
  entry_free(p);
}
