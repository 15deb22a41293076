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
                                       "MemoryContextAlloc",
                                       "MemoryContextAllocExtended",
                                       "MemoryContextAllocHuge",
                                       "MemoryContextAllocZero",
                                       "MemoryContextAllocZeroAligned",
                                       "MemoryContextStrdup",
                                       "Perl_calloc",
                                       "Perl_malloc",
                                       "Perl_more_bodies",
                                       "Perl_more_sv",
                                       "Perl_realloc",
                                       "Perl_safesyscalloc",
                                       "Perl_safesysmalloc",
                                       "Perl_safesysrealloc",
                                       "Perl_savepv",
                                       "Perl_savepvn",
                                       "Perl_sv_grow",
                                       "Perl_sv_grow_fresh",
                                       "PyByteArray_Resize",
                                       "PyMem_Calloc",
                                       "PyMem_Malloc",
                                       "PyMem_RawCalloc",
                                       "PyMem_RawMalloc",
                                       "PyMem_RawRealloc",
                                       "PyMem_Realloc",
                                       "PyObject_Calloc",
                                       "PyObject_Malloc",
                                       "PyObject_Realloc",
                                       "PyType_GenericAlloc",
                                       "PyUnicode_New",
                                       "TclAllocateFreeObjects",
                                       "TclThreadAllocObj",
                                       "Tcl_Alloc",
                                       "Tcl_AttemptAlloc",
                                       "Tcl_AttemptRealloc",
                                       "Tcl_Realloc",
                                       "TclpAlloc",
                                       "TclpRealloc",
                                       "_PyBytesWriter_Alloc",
                                       "_PyBytesWriter_Prepare",
                                       "_PyBytesWriter_Resize",
                                       "_PyBytes_Resize",
                                       "_PyMem_RawCalloc",
                                       "_PyMem_RawMalloc",
                                       "_PyMem_RawRealloc",
                                       "_PyObject_GC_New",
                                       "_PyObject_GC_NewVar",
                                       "_PyObject_Malloc",
                                       "_PyObject_New",
                                       "_PyObject_NewVar",
                                       "_PyObject_Realloc",
                                       "_PyUnicodeWriter_PrepareInternal",
                                       "_PyUnicodeWriter_PrepareKindInternal",
                                       "__zend_calloc",
                                       "__zend_malloc",
                                       "__zend_realloc",
                                       "_ecalloc",
                                       "_emalloc",
                                       "_emalloc_huge",
                                       "_emalloc_large",
                                       "_erealloc",
                                       "_erealloc2",
                                       "_estrdup",
                                       "_estrndup",
                                       "_safe_emalloc",
                                       "_safe_erealloc",
                                       "_safe_femalloc",
                                       "_safe_malloc",
                                       "_safe_realloc",
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
                                       "palloc_extended",
                                       "pnstrdup",
                                       "pstrdup",
                                       "repalloc",
                                       "repalloc_huge",
                                       "ruby_strdup",
                                       "ruby_xcalloc",
                                       "ruby_xmalloc",
                                       "ruby_xmalloc2",
                                       "ruby_xrealloc",
                                       "ruby_xrealloc2",
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
                                       "xmlStrdup",
                                       "xmlStrndup",
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

/* Functions of interpreters that run what they are told: a script, or a function that it
 * or an extension calls. Beginnings of names. */
bool blame_is_machine(const struct frame *frame) {
  static const char *const names[] = {"PyEval_Eval",
                                      "PyObject_Call",
                                      "PyObject_Vectorcall",
                                      "PyRun_",
                                      "PyVectorcall_Call",
                                      "Py_BytesMain",
                                      "Py_RunMain",
                                      "_PyEval_",
                                      "_PyFunction_Vectorcall",
                                      "_PyObject_Call",
                                      "_PyObject_FastCall",
                                      "_PyObject_MakeTpCall",
                                      "_PyRun_",
                                      "rb_block_call",
                                      "rb_funcall",
                                      "rb_iterate",
                                      "rb_vm_call",
                                      "rb_vm_exec",
                                      "rb_yield",
                                      "ruby_run_node",
                                      "Perl_call_",
                                      "Perl_pp_entersub",
                                      "Perl_runops_",
                                      "perl_run",
                                      "execute_ex",
                                      "php_execute_",
                                      "zend_call_",
                                      "zend_execute",
                                      "luaV_execute",
                                      "lua_call",
                                      "lua_pcall",
                                      "TclEvalEx",
                                      "TclNREvalObjv",
                                      "TclNRRunCallbacks",
                                      "Tcl_Eval",
                                      "scm_apply",
                                      "scm_call_",
                                      "v8::Function::Call",
                                      "v8::Script::Run",
                                      "v8::internal::Execution::",
                                      "\"builtin_function_or_method.__call__",
                                      "\"function.__call__",
                                      "\"functools.partial.__call__",
                                      "\"generator.__next__",
                                      "\"method.__call__",
                                      "\"method_descriptor.__call__",
                                      "\"type.__call__",
                                      "\"wrapper_descriptor.__call__",
                                      NULL};
  return frame->function && words_begin(frame->function, names);
}

bool blame_is_own(const struct frame *frame) {
  return !blame_in_runtime(frame) && !frame_is_library(frame) && !blame_is_wrapper(frame);
}

/* Of a function that a runtime made while it ran, and named (jit.h)? */
static bool is_made(const struct frame *frame) {
  return !frame->module && frame->function && !frame->note;
}

/* What a wrapper calls is its own business, also where that has no name: frames of its
 * module up to it. */
static bool is_of_wrapper(const struct frame *frames, size_t i, size_t count) {
  for (size_t w = i + 1; w < count; w++) {
    if (!frame_same_module(&frames[i], &frames[w]) && !blame_in_runtime(&frames[w]))
      return false;
    if (blame_is_wrapper(&frames[w])) return true;
    if (frames[w].function && blame_is_own(&frames[w])) return false;
  }
  return false;
}

static bool is_guilty(const struct frame *frames, size_t i, size_t count) {
  return blame_is_own(&frames[i]) && !is_of_wrapper(frames, i, count);
}

/* Is it another module's own? The module is asked first: that is no search. */
static bool may_be_guest(const struct frame *frame, const struct frame *host) {
  return frame->module && !frame_same_module(frame, host) && !frame->by_pointer &&
         blame_is_own(frame);
}

static bool is_hosts_machine(const struct frame *frame, const struct frame *host) {
  return frame_same_module(frame, host) && blame_is_machine(frame);
}

size_t blame_guest(const void *stack, size_t i, size_t n, blame_frame_at *at) {
  const struct frame *host = at(stack, i);
  size_t guest = i + 1, caller;
  while (guest < n && !may_be_guest(at(stack, guest), host))
    guest++;
  if (guest >= n) return n;
  for (size_t k = i + 1; k < guest; k++)
    if (is_hosts_machine(at(stack, k), host)) return n;
  for (caller = guest + 1; caller < n; caller++)
    if (is_hosts_machine(at(stack, caller), host)) return guest;
  return n;
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
    if (frame->module && blame_is_own(frame) &&
        !frame_same_module(frame, at(stack, machine)))
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
