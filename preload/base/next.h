/* next.h - the function of the same name that we stand in front of. */
#ifndef ULLAGE_NEXT_H
#define ULLAGE_NEXT_H

#define EXPORT __attribute__((visibility("default")))

/* libc's dlsym, in front of which we stand, too. */
void *symbol_of(void *handle, const char *name);
/* dlsym(RTLD_NEXT): may allocate (for an error message), so the thread is
 * BUSY_LOOKUP meanwhile. NULL: there is none. */
void *next_symbol(const char *name);

/* A static pointer `real` to the next `name`, looked up at first use. Two threads may
 * both look: they find the same. */
#define NEXT(name)                                                                       \
  static __typeof__(&name) real;                                                         \
  if (!real) *(void **)&real = next_symbol(#name)
#endif
