/* symbol.h - from an address in an object file to functions, files and lines.
 *
 * Works offline: the file found on this machine is used if it is the recorded one (same
 * build id; without one, not modified since the recording began). Otherwise separate
 * debug information for the recorded build id is tried, which lives below
 * /usr/lib/debug/.build-id or, when allowed, on a debuginfod server.
 *
 * Paths come from a recording and are not trusted: only regular files are opened.
 * Damaged ELF and DWARF yield fewer answers, never wrong memory accesses: all
 * parsing is elfutils', each result is checked. */
#ifndef ULLAGE_SYMBOL_H
#define ULLAGE_SYMBOL_H

#include "names/code.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum symbol_state {
  SYMBOL_FOUND,
  SYMBOL_ABSENT,  /* no such file, or not readable */
  SYMBOL_CHANGED, /* another file has its name now */
  SYMBOL_NOT_ELF  /* not an object file, or damaged */
};

struct symbol_id {
  const char *path;
  const uint8_t *build_id;
  size_t build_id_bytes; /* 0: none was recorded */
  uint64_t recorded_ns;  /* CLOCK_REALTIME of the start of the recording; 0: unknown */
};

struct symbol_place {
  const char *function; /* demangled; NULL: unknown */
  const char *linkage;  /* the same mangled; NULL: it is not, or that is not told */
  const char *file;     /* NULL: unknown */
  unsigned line;
  uint64_t offset; /* from the start of the function, or of the file if it is NULL */
  uint64_t start;  /* of the function that the address is in, inlined ones have their
                      caller's; of the file; 0: unknown */
  bool inlined;    /* into the next place */
  bool derived;    /* `function` is not its name, but what it is for (derived.h) */
};

struct symbol_file;

/* Never NULL but without memory; look at symbol_file_state(). The id is not kept. */
struct symbol_file *symbol_file_open(const struct symbol_id *id);
void symbol_file_close(struct symbol_file *);
enum symbol_state symbol_file_state(const struct symbol_file *);

/* The places an address of the file stands for, innermost first: inlined functions,
 * then the function itself. Give the return address minus one for callers. Calls
 * `visit` at least once. Strings belong to the file. */
typedef void symbol_visit(void *argument, const struct symbol_place *place);
void symbol_file_find(struct symbol_file *, uint64_t address, symbol_visit *visit,
                      void *argument);

/* The symbol of the function around an address, as linkers know it, of several the best;
 * NULL: there is none. */
const char *symbol_file_symbol(struct symbol_file *, uint64_t address);

/* Where the function around an address begins, without a look at debug information;
 * false: not known. */
bool symbol_file_function(struct symbol_file *, uint64_t address, uint64_t *start);

/* How the call was made that returns there (code.h). */
enum code_call symbol_file_call_before(struct symbol_file *, uint64_t return_address);

/* Whether the caller takes what the call returned (code.h). */
bool symbol_file_takes_result(struct symbol_file *, uint64_t return_address);

/* How many functions of the file call the one that begins there (callers.h). */
uint32_t symbol_file_callers(struct symbol_file *, uint64_t start);

/* Whether there is debug information (files and lines). Known after the first find. */
bool symbol_file_has_lines(const struct symbol_file *);
#endif
