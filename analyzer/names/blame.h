/* blame.h - which frame of a stack is to blame, by what is known of names alone. */
#ifndef ULLAGE_BLAME_H
#define ULLAGE_BLAME_H

#include "names/frame.h"

/* In a library of the language's runtime (libc, ld.so, libstdc++ ...)? */
bool blame_in_runtime(const struct frame *);
/* A well-known wrapper of malloc such as xmalloc or g_malloc? */
bool blame_is_wrapper(const struct frame *);
/* Neither of the runtime, nor the standard library's code, nor a wrapper. */
bool blame_is_own(const struct frame *);
/* Of a function that a runtime made while it ran, and named (jit.h)? */
bool blame_is_made(const struct frame *);
#endif
