/* blame.h - which frame of a stack is to blame, by what is known of names alone. */
#ifndef ULLAGE_BLAME_H
#define ULLAGE_BLAME_H

#include "names/frame.h"

/* In a library of the language's runtime (libc, ld.so, libstdc++ ...)? */
bool blame_in_runtime(const struct frame *);
/* A well-known wrapper of malloc such as xmalloc or g_malloc? */
bool blame_is_wrapper(const struct frame *);
/* The part of an interpreter that calls what it is told to? */
bool blame_is_machine(const struct frame *);
/* Of a function that a runtime made while it ran, and named (jit.h)? */
bool blame_is_made(const struct frame *);
/* Neither of the runtime, nor the standard library's code, nor a wrapper. */
bool blame_is_own(const struct frame *);
/* What a machine does for a script that it runs, as node does for JavaScript, is the
 * script's. Index of the innermost function of a stack that was made while it ran, and
 * named (jit.h), if everything further in lies in what calls such functions, or is the
 * language's own; else 0. */
typedef const struct frame *blame_frame_at(const void *stack, size_t i);
size_t blame_behind_machine(const void *stack, size_t n, blame_frame_at *);
/* What an interpreter's own function i does for an extension that called it, the extension
 * being called by the interpreter: index of the extension's innermost function. n: it does
 * it for nobody, or for a script that the extension calls. */
size_t blame_guest(const void *stack, size_t i, size_t n, blame_frame_at *);
#endif
