/* ullage.h - what a program may say about itself to ullage.
 *
 * Everything here does nothing, and costs next to nothing, when the program does not run
 * under ullage: nothing need be linked, and the same binary is good for both.
 *
 *     #include <ullage.h>
 *     ...
 *     ullage_mark("loaded");
 *
 * and then
 *
 *     ullage run -o app.ull -- ./app
 *     ullage diff app.ull@loaded app.ull       what came and went since
 *     ullage report --at=loaded app.ull        who held what then
 *
 * From other languages: look up `ullage_mark_here` (dlsym, ctypes, FFI); it is there
 * under ullage only. */
#ifndef ULLAGE_H
#define ULLAGE_H

#include <dlfcn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Keep what is live now, and whose it is, under a name: a snapshot, which takes as long
 * as there are call stacks to count (0.02 to 0.3 ms for a thousand, up to 25 ms for a
 * hundred thousand, the first time three times that). A name that was used before is given
 * to the new one. At most 32 names of at most 55 bytes, without '/' and '@'. Any thread;
 * not from signal handlers that interrupt malloc, where it does nothing.
 *
 * 1: there is a mark of this moment; 0: not under ullage, or no room. */
static inline int ullage_mark(const char *name) {
  typedef int mark_here(const char *);
  static int looked; /* whoever comes second looks once more, and finds the same */
  static mark_here *found;
  mark_here *mark;
  if (!__atomic_load_n(&looked, __ATOMIC_ACQUIRE)) {
    union {
      void *object;
      mark_here *function;
    } u;
#ifdef RTLD_DEFAULT /* C++, or with _GNU_SOURCE */
    u.object = dlsym(RTLD_DEFAULT, "ullage_mark_here");
#else
    u.object = dlsym((void *)0, "ullage_mark_here");
#endif
    __atomic_store_n(&found, u.function, __ATOMIC_RELAXED);
    __atomic_store_n(&looked, 1, __ATOMIC_RELEASE);
  }
  mark = __atomic_load_n(&found, __ATOMIC_RELAXED);
  return mark ? mark(name) : 0;
}

/* That of libullage.so, in a process that runs under it; else there is none. */
int ullage_mark_here(const char *name);

#ifdef __cplusplus
}
#endif
#endif
