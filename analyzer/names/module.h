/* module.h - the loaded objects of a recording, with their files. */
#ifndef ULLAGE_NAMES_MODULE_H
#define ULLAGE_NAMES_MODULE_H

#include "names/files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recording;
struct symbols_options;

struct module {
  const char *path;         /* as recorded */
  struct symbol_file *file; /* of `files`; NULL: not needed so far, or there is none */
  bool shown;               /* a frame in it was shown */
  bool lacks_lines;         /* ... without file and line */
  bool own;                 /* libullage.so */
};

#define MODULE_HINTS 3
struct modules {
  const struct recording *recording;
  char *sysroot;
  struct symbol_files *files, *own_files; /* own: NULL if they are shared */
  struct module *at;                      /* by index in UL_MODULES */
  size_t count;
  char *hints[MODULE_HINTS];
  uint64_t spent_ns;
  bool told; /* a line of progress is on the terminal */
};

/* false: no memory. */
bool modules_load(struct modules *, const struct recording *,
                  const struct symbols_options *);
void modules_free(struct modules *);

/* Its file, opened if this is the first time; NULL: no memory. */
struct symbol_file *modules_file(struct modules *, size_t module);
/* Around what may take long: a person at a terminal is told which file is read. */
uint64_t modules_begin_work(struct modules *, size_t module);
void modules_end_work(struct modules *, uint64_t begun);
void modules_end_progress(struct modules *);

/* A frame in the module was shown. */
void modules_note_shown(struct modules *, unsigned index, bool has_line);
/* See symbols_hint() and symbols_nameless() in frame.h. */
const char *modules_hint(struct modules *, size_t index);
const char *modules_nameless(const struct modules *, size_t index);

/* Of the language's runtime: libc, ld.so, libstdc++ ... */
bool module_is_runtime(const char *path);
#endif
