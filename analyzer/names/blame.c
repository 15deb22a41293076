#include "names/blame.h"

#include "names/module.h"
#include "names/words.h"

#include <stdlib.h>
#include <string.h>

/* Wrappers of malloc that everybody calls and nobody means. Whole names only: a
 * program's own leak_malloc() is not one of them. Sorted, for bsearch. */
static const char *const wrappers[] = {"CRYPTO_malloc",
                                       "CRYPTO_memdup",
                                       "CRYPTO_realloc",
                                       "CRYPTO_strdup",
                                       "CRYPTO_zalloc",
                                       "Perl_calloc",
                                       "Perl_malloc",
                                       "Perl_realloc",
                                       "Perl_safesyscalloc",
                                       "Perl_safesysmalloc",
                                       "Perl_safesysrealloc",
                                       "PyMem_Calloc",
                                       "PyMem_Malloc",
                                       "PyMem_RawCalloc",
                                       "PyMem_RawMalloc",
                                       "PyMem_RawRealloc",
                                       "PyMem_Realloc",
                                       "PyObject_Calloc",
                                       "PyObject_Malloc",
                                       "PyObject_Realloc",
                                       "_PyMem_RawCalloc",
                                       "_PyMem_RawMalloc",
                                       "_PyMem_RawRealloc",
                                       "_PyObject_Malloc",
                                       "_PyObject_Realloc",
                                       "apr_palloc",
                                       "apr_pcalloc",
                                       "av_malloc",
                                       "av_mallocz",
                                       "av_realloc",
                                       "do_xmalloc",
                                       "emalloc",
                                       "g_malloc",
                                       "g_malloc0",
                                       "g_malloc0_n",
                                       "g_malloc_n",
                                       "g_memdup",
                                       "g_memdup2",
                                       "g_realloc",
                                       "g_realloc_n",
                                       "g_slice_alloc",
                                       "g_slice_alloc0",
                                       "g_strconcat",
                                       "g_strdup",
                                       "g_strdup_printf",
                                       "g_strdup_vprintf",
                                       "g_strndup",
                                       "g_try_malloc",
                                       "g_try_malloc0",
                                       "g_try_realloc",
                                       "ngx_alloc",
                                       "ngx_calloc",
                                       "palloc",
                                       "palloc0",
                                       "repalloc",
                                       "sqlite3DbMallocRaw",
                                       "sqlite3DbMallocRawNN",
                                       "sqlite3DbMallocZero",
                                       "sqlite3DbRealloc",
                                       "sqlite3DbStrDup",
                                       "sqlite3DbStrNDup",
                                       "sqlite3Malloc",
                                       "sqlite3MallocZero",
                                       "sqlite3MemMalloc",
                                       "sqlite3MemRealloc",
                                       "sqlite3Realloc",
                                       "sqlite3_malloc",
                                       "sqlite3_malloc64",
                                       "sqlite3_realloc",
                                       "sqlite3_realloc64",
                                       "uv__calloc",
                                       "uv__malloc",
                                       "uv__realloc",
                                       "uv__strdup",
                                       "xasprintf",
                                       "xcalloc",
                                       "xmalloc",
                                       "xmalloc_array",
                                       "xmallocz",
                                       "xmemdup",
                                       "xmemdupz",
                                       "xnmalloc",
                                       "xrealloc",
                                       "xreallocarray",
                                       "xstrdup",
                                       "xstrfmt",
                                       "xstrndup",
                                       "xvasprintf",
                                       "xzalloc",
                                       "zcalloc",
                                       "zcalloc_num",
                                       "zmalloc",
                                       "zmalloc_usable",
                                       "zrealloc",
                                       "zstrdup",
                                       "ztrycalloc",
                                       "ztrymalloc",
                                       "ztrymalloc_usable"};

static int name_order(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_wrapper_name(const char *function) {
  return bsearch(&function, wrappers, sizeof wrappers / sizeof *wrappers,
                 sizeof *wrappers, name_order) != NULL;
}

bool frame_is_library(const struct frame *frame) {
  static const char *const names[] = {
      "std::",    "__gnu_cxx::", "operator new", "alloc::", "core::", "hashbrown::",
      "<alloc::", "<core::",     "<std::",       "__rust_", "__rdl_", NULL};
  static const char *const places[] = {"/include/c++/", "/rustlib/src/", "/rustc/", NULL};
  if (frame->function && words_begin(frame->function, names)) return true;
  if (frame->file && strncmp(frame->file, "node:", 5) == 0) return true; /* node's own */
  for (size_t i = 0; frame->file && places[i]; i++)
    if (strstr(frame->file, places[i])) return true;
  return false;
}

bool blame_in_runtime(const struct frame *frame) {
  return frame->module && module_is_runtime(frame->module);
}

bool blame_is_wrapper(const struct frame *frame) {
  return frame->function && is_wrapper_name(frame->function);
}

bool blame_is_own(const struct frame *frame) {
  return !blame_in_runtime(frame) && !frame_is_library(frame) && !blame_is_wrapper(frame);
}

/* Of a function that a runtime made while it ran, and named (jit.h)? */
static bool is_made(const struct frame *frame) {
  return !frame->module && frame->function && !frame->note;
}

static bool same_module(const struct frame *a, const struct frame *b) {
  return a->module && b->module && strcmp(a->module, b->module) == 0;
}

/* What a wrapper calls is its own business, also where that has no name: frames of its
 * module up to it. */
static bool is_of_wrapper(const struct frame *frames, size_t i, size_t count) {
  for (size_t w = i + 1; w < count; w++) {
    if (!same_module(&frames[i], &frames[w]) && !blame_in_runtime(&frames[w]))
      return false;
    if (blame_is_wrapper(&frames[w])) return true;
    if (frames[w].function && blame_is_own(&frames[w])) return false;
  }
  return false;
}

static bool is_guilty(const struct frame *frames, size_t i, size_t count) {
  return blame_is_own(&frames[i]) && !is_of_wrapper(frames, i, count);
}

size_t blame_behind_machine(const void *stack, size_t n, blame_frame_at *at) {
  size_t made = 0, machine;
  while (made < n && !is_made(at(stack, made)))
    made++;
  for (machine = made; machine < n && !at(stack, machine)->module;)
    machine++;
  if (machine == n) return 0;
  for (size_t i = 0; i < made; i++) {
    const struct frame *frame = at(stack, i);
    if (frame->module && blame_is_own(frame) && !same_module(frame, at(stack, machine)))
      return 0;
  }
  return made;
}

static const struct frame *frame_at(const void *stack, size_t i) {
  return (const struct frame *)stack + i;
}

size_t frame_guilty(const struct frame *frames, size_t count) {
  size_t first = count;
  for (size_t i = blame_behind_machine(frames, count, frame_at); i < count; i++) {
    if (frames[i].hidden || frames[i].note) continue;
    if (first == count) first = i;
    if (is_guilty(frames, i, count)) return i;
  }
  return first < count ? first : 0;
}

size_t frame_named_caller(const struct frame *frames, size_t count, size_t of) {
  size_t i = of + 1;
  while (i < count && (!frames[i].function || frames[i].hidden || frames[i].note))
    i++;
  return i < count ? i : count;
}
