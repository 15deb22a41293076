/* demangle.h - names of functions as their programmer wrote them. */
#ifndef ULLAGE_DEMANGLE_H
#define ULLAGE_DEMANGLE_H

#include <stdbool.h>

/* A readable name for a linker's symbol: C++ and Rust are demangled without parameters,
 * D with them, Emacs Lisp is as it was; suffixes that compilers add to copies
 * (".constprop.0", ".cold") and symbol versions are dropped. What cannot be demangled is
 * returned as it is. To be freed; NULL: no memory. */
char *demangle(const char *symbol);
/* The same with parameters. */
char *demangle_fully(const char *symbol);
/* Does it look like a mangled name? */
bool is_mangled(const char *symbol);
#endif
