#include "names/module.h"

#include "names/frame.h"
#include "names/words.h"
#include "read/recording.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLOW_NS 500000000u /* work that a person at a terminal should be told of */

bool module_is_runtime(const char *path) {
  static const char *const names[] = {
      "libc.so",  "libc-2.",   "ld-linux", "ld-2.",     "libpthread.so", "libpthread-",
      "libdl.so", "libdl-",    "librt.so", "librt-",    "libm.so",       "libm-",
      "libmvec",  "libstdc++", "libc++",   "libgcc_s",  "libgfortran",   "libgphobos",
      "libgnat",  "libasan",   "libnss_",  "libresolv", "libanl",        "libstd-",
      "libgo.so", "libobjc",   "[vdso]",   NULL};
  return words_begin(basename(path), names);
}

/* ---- files --------------------------------------------------------------------- */

static char *below_sysroot(const struct modules *modules, const char *path) {
  char *joined;
  if (!modules->sysroot) return strdup(path);
  return asprintf(&joined, "%s%s", modules->sysroot, path) < 0 ? NULL : joined;
}

static void open_file(struct modules *modules, struct module *module,
                      const struct ul_module *record) {
  char *path = below_sysroot(modules, module->path);
  if (!path) return;
  size_t bytes = record->build_id_bytes;
  struct symbol_id id = {.path = path, .build_id = record->build_id};
  id.build_id_bytes = bytes < sizeof record->build_id ? bytes : sizeof record->build_id;
  /* A sysroot is a copy: its times say nothing. */
  if (!modules->sysroot)
    id.recorded_ns = recording_header(modules->recording)->start_real_ns;
  module->file = symbol_files_get(modules->files, &id);
  free(path);
  if (!modules->sysroot || !bytes || !module->file ||
      symbol_file_state(module->file) == SYMBOL_FOUND)
    return;
  /* Of several builds one may be there, and the other at its own place. */
  id.path = module->path;
  struct symbol_file *own = symbol_files_get(modules->files, &id);
  if (own && symbol_file_state(own) == SYMBOL_FOUND) module->file = own;
}

struct symbol_file *modules_file(struct modules *modules, size_t module) {
  struct module *m = &modules->at[module];
  if (!m->file) open_file(modules, m, recording_module(modules->recording, module));
  return m->file;
}

bool modules_load(struct modules *modules, const struct recording *recording,
                  const struct symbols_options *options) {
  size_t count = (size_t)recording_count(recording, UL_MODULES);
  modules->recording = recording;
  if (options && options->sysroot) modules->sysroot = strdup(options->sysroot);
  /* The library asks servers whenever this is set. */
  if (!options || !options->debuginfod) unsetenv("DEBUGINFOD_URLS");
  modules->files = options ? options->files : NULL;
  if (!modules->files) modules->files = modules->own_files = symbol_files_new();
  modules->at = calloc(count + 1, sizeof *modules->at);
  if (!modules->at || !modules->files) return false;
  modules->count = count;
  for (size_t i = 0; i < count; i++) {
    const struct ul_module *record = recording_module(recording, i);
    struct module *module = &modules->at[i];
    module->path = recording_text(recording, record->name);
    module->own = strncmp(basename(module->path), "libullage.so", 12) == 0;
  }
  return true;
}

static void forget_hints(struct modules *modules) {
  for (size_t i = 0; i < MODULE_HINTS; i++) {
    free(modules->hints[i]);
    modules->hints[i] = NULL;
  }
}

void modules_free(struct modules *modules) {
  symbol_files_free(modules->own_files);
  free(modules->at);
  forget_hints(modules);
  free(modules->sysroot);
}

/* ---- progress ------------------------------------------------------------------ */

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t modules_begin_work(struct modules *modules, size_t module) {
  if (modules->spent_ns >= SLOW_NS && isatty(STDERR_FILENO)) {
    char name[64];
    utf8_escape(name, sizeof name, basename(modules->at[module].path));
    fprintf(stderr, "\r\033[Kullage: reading symbols of %s ...", name);
    modules->told = true;
  }
  return now_ns();
}

void modules_end_work(struct modules *modules, uint64_t begun) {
  modules->spent_ns += now_ns() - begun;
}

void modules_end_progress(struct modules *modules) {
  if (modules->told) fputs("\r\033[K", stderr);
  modules->told = false;
}

/* ---- hints --------------------------------------------------------------------- */

void modules_note_shown(struct modules *modules, unsigned index, bool has_line) {
  if (index >= modules->count) return;
  modules->at[index].shown = true;
  if (!has_line) modules->at[index].lacks_lines = true;
}

/* "libfoo.so, libbar.so and 3 more": modules for which `wanted` holds. NULL: none. */
static char *list_modules(const struct modules *modules,
                          bool (*wanted)(const struct module *)) {
  char *text = NULL;
  size_t bytes, found = 0;
  FILE *out = open_memstream(&text, &bytes);
  if (!out) return NULL;
  for (size_t i = 0; i < modules->count; i++) {
    const struct module *module = &modules->at[i];
    if (!wanted(module)) continue;
    if (found++ < 3) fprintf(out, "%s%s", found > 1 ? ", " : "", basename(module->path));
  }
  if (found > 3) fprintf(out, " and %zu more", found - 3);
  fclose(out);
  if (found) return text;
  free(text);
  return NULL;
}

static bool has_state(const struct module *module, enum symbol_state state) {
  return module->file && symbol_file_state(module->file) == state;
}
static bool has_changed(const struct module *module) {
  return has_state(module, SYMBOL_CHANGED);
}
static bool is_absent(const struct module *module) {
  return module->path[0] == '/' &&
         (has_state(module, SYMBOL_ABSENT) || has_state(module, SYMBOL_NOT_ELF));
}
static bool shows_changed(const struct module *module) {
  return module->shown && has_changed(module);
}
static bool shows_absent(const struct module *module) {
  return module->shown && is_absent(module);
}
static bool shows_no_debug(const struct module *module) {
  return module->shown && module->lacks_lines && has_state(module, SYMBOL_FOUND) &&
         !symbol_file_has_lines(module->file) && !module_is_runtime(module->path);
}

static void make_hint(struct modules *modules, bool (*wanted)(const struct module *),
                      const char *before, const char *after) {
  char *list = list_modules(modules, wanted);
  size_t i = 0;
  while (i < MODULE_HINTS && modules->hints[i])
    i++;
  if (list && i < MODULE_HINTS &&
      asprintf(&modules->hints[i], "%s%s%s", before, list, after) < 0)
    modules->hints[i] = NULL;
  free(list);
}

const char *modules_nameless(const struct modules *modules, size_t index) {
  for (size_t i = 0; i < modules->count; i++) {
    const struct module *module = &modules->at[i];
    if ((has_changed(module) || is_absent(module)) && !index--) return module->path;
  }
  return NULL;
}

const char *modules_hint(struct modules *modules, size_t index) {
  if (index == 0) {
    forget_hints(modules);
    make_hint(modules, shows_changed,
              "changed since the recording, so shown as offsets: ",
              " (--sysroot=DIR looks elsewhere)");
    make_hint(modules, shows_absent, "not on this machine, so shown as offsets: ",
              " (--sysroot=DIR looks elsewhere)");
    make_hint(modules, shows_no_debug, "no files and lines for ",
              ": install the -dbgsym package, compile with -g, or use --debuginfod");
  }
  return index < MODULE_HINTS ? modules->hints[index] : NULL;
}
