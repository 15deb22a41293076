/* known.h - functions of other projects that are known by their names: those who allocate
 * for others, call what they are told to, or are a language's own. */
#ifndef ULLAGE_KNOWN_H
#define ULLAGE_KNOWN_H

#include <stdbool.h>

/* A wrapper of malloc that everybody calls and nobody means, such as xmalloc? */
bool known_is_wrapper(const char *function);
/* Of an interpreter, and runs what it is told: a script, or a function that it or an
 * extension calls? */
bool known_is_machine(const char *function);
/* Of a container of theirs that keeps its elements in one block, with room for more? */
bool known_is_container(const char *function);
/* Of the standard library of C++ or Rust: a function, and a file of source (of node as
 * well)? */
bool known_is_library(const char *function);
bool known_is_library_source(const char *file);
#endif
