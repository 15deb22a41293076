/* frame.c - see frame.h.
 *
 * Two memories: places by return address (what symbol.c found; many stacks share their
 * outer frames) and finished stacks by node. Each module of the recording has its file
 * opened on the first frame in it; modules that were unloaded, or loaded again
 * elsewhere, are entries of their own, so an address that two of them shared is
 * always looked up in the right one. */
#include "names/frame.h"
#include "names/symbol.h"
#include "read/recording.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HINTS 3
#define SLOW_NS 500000000u /* work that a person at a terminal should be told of */

struct module {
  const char *path;         /* as recorded */
  struct symbol_file *file; /* NULL: not needed so far, or there is none */
  bool shown;               /* a frame in it was shown */
  bool lacks_lines;         /* ... without file and line */
  bool own;                 /* libullage.so */
};

struct stack {
  struct frame *frames;
  size_t count, room;
};

/* Open addressing; key 0 is an empty slot, keys are stored plus one. */
struct memory {
  struct {
    uint64_t key;
    struct stack stack;
  } * slots;
  size_t count, room;
};

struct symbols {
  const struct recording *recording;
  char *sysroot;
  struct module *modules;
  size_t module_count;
  struct memory places; /* by node of the trie that first had the address */
  struct memory stacks; /* by node */
  char *hints[HINTS];
  uint64_t spent_ns;
  bool told; /* a line of progress is on the terminal */
};

/* ---- memory -------------------------------------------------------------------- */

static size_t memory_slot(const struct memory *memory, uint64_t key) {
  size_t mask = memory->room - 1;
  size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 32) & mask;
  while (memory->slots[i].key && memory->slots[i].key != key + 1)
    i = (i + 1) & mask;
  return i;
}

static bool memory_grow(struct memory *memory) {
  struct memory larger = {.room = memory->room ? memory->room * 2 : 256};
  larger.slots = calloc(larger.room, sizeof *larger.slots);
  if (!larger.slots) return false;
  for (size_t i = 0; i < memory->room; i++)
    if (memory->slots[i].key)
      larger.slots[memory_slot(&larger, memory->slots[i].key - 1)] = memory->slots[i];
  larger.count = memory->count;
  free(memory->slots);
  *memory = larger;
  return true;
}

/* The stack remembered for the key; an empty one if it is new. NULL: no memory. */
static struct stack *memory_at(struct memory *memory, uint64_t key) {
  if (memory->count * 2 >= memory->room && !memory_grow(memory)) return NULL;
  size_t i = memory_slot(memory, key);
  if (!memory->slots[i].key) {
    memory->slots[i].key = key + 1;
    memory->count++;
  }
  return &memory->slots[i].stack;
}

static void memory_free(struct memory *memory) {
  for (size_t i = 0; i < memory->room; i++)
    free(memory->slots[i].stack.frames);
  free(memory->slots);
}

static struct frame *stack_push(struct stack *stack) {
  if (stack->count == stack->room) {
    size_t room = stack->room ? stack->room * 2 : 4;
    struct frame *moved = reallocarray(stack->frames, room, sizeof *moved);
    if (!moved) return NULL;
    stack->frames = moved;
    stack->room = room;
  }
  struct frame *frame = &stack->frames[stack->count++];
  memset(frame, 0, sizeof *frame);
  return frame;
}

static void push_note(struct stack *stack, const char *text) {
  struct frame *frame = stack_push(stack);
  if (!frame) return;
  frame->function = text;
  frame->note = true;
}

/* ---- modules ------------------------------------------------------------------- */

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool starts_with(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Does `text` begin with one of the prefixes (the last is NULL)? */
static bool starts_with_any(const char *text, const char *const *prefixes) {
  while (*prefixes && !starts_with(text, *prefixes))
    prefixes++;
  return *prefixes != NULL;
}

static bool is_runtime(const char *path) {
  static const char *const names[] = {
      "libc.so",  "libc-2.",   "ld-linux", "ld-2.",     "libpthread.so", "libpthread-",
      "libdl.so", "libdl-",    "librt.so", "librt-",    "libm.so",       "libm-",
      "libmvec",  "libstdc++", "libc++",   "libgcc_s",  "libgfortran",   "libgphobos",
      "libgnat",  "libasan",   "libnss_",  "libresolv", "libanl",        "libstd-",
      "libgo.so", "libobjc",   "[vdso]",   NULL};
  return starts_with_any(base_name(path), names);
}

static char *below_sysroot(const struct symbols *symbols, const char *path) {
  char *joined;
  if (!symbols->sysroot) return strdup(path);
  return asprintf(&joined, "%s%s", symbols->sysroot, path) < 0 ? NULL : joined;
}

static void open_module(struct symbols *symbols, struct module *module,
                        const struct ul_module *record) {
  char *path = below_sysroot(symbols, module->path);
  if (!path) return;
  size_t bytes = record->build_id_bytes;
  struct symbol_id id = {.path = path, .build_id = record->build_id};
  id.build_id_bytes = bytes < sizeof record->build_id ? bytes : sizeof record->build_id;
  /* A sysroot is a copy: its times say nothing. */
  if (!symbols->sysroot)
    id.recorded_ns = recording_header(symbols->recording)->start_real_ns;
  module->file = symbol_file_open(&id);
  free(path);
}

static void load_modules(struct symbols *symbols) {
  size_t count = (size_t)recording_count(symbols->recording, UL_MODULES);
  symbols->modules = calloc(count + 1, sizeof *symbols->modules);
  if (!symbols->modules) return;
  symbols->module_count = count;
  for (size_t i = 0; i < count; i++) {
    const struct ul_module *record = recording_module(symbols->recording, i);
    struct module *module = &symbols->modules[i];
    module->path = recording_text(symbols->recording, record->name);
    module->own = starts_with(base_name(module->path), "libullage.so");
  }
}

struct symbols *symbols_new(const struct recording *recording,
                            const struct symbols_options *options) {
  struct symbols *symbols = calloc(1, sizeof *symbols);
  if (!symbols) return NULL;
  symbols->recording = recording;
  if (options && options->sysroot) symbols->sysroot = strdup(options->sysroot);
  /* The library asks servers whenever this is set. */
  if (!options || !options->debuginfod) unsetenv("DEBUGINFOD_URLS");
  load_modules(symbols);
  if (symbols->modules) return symbols;
  symbols_free(symbols);
  return NULL;
}

static void forget_hints(struct symbols *symbols) {
  for (size_t i = 0; i < HINTS; i++) {
    free(symbols->hints[i]);
    symbols->hints[i] = NULL;
  }
}

void symbols_free(struct symbols *symbols) {
  if (!symbols) return;
  memory_free(&symbols->stacks);
  memory_free(&symbols->places);
  for (size_t i = 0; i < symbols->module_count; i++)
    symbol_file_close(symbols->modules[i].file);
  free(symbols->modules);
  for (size_t i = 0; i < HINTS; i++)
    free(symbols->hints[i]);
  free(symbols->sysroot);
  free(symbols);
}

/* ---- progress ------------------------------------------------------------------ */

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void tell_progress(struct symbols *symbols, const struct module *module) {
  if (symbols->spent_ns < SLOW_NS || !isatty(STDERR_FILENO)) return;
  char name[64];
  utf8_escape(name, sizeof name, base_name(module->path));
  fprintf(stderr, "\r\033[Kullage: reading symbols of %s ...", name);
  symbols->told = true;
}

static void end_progress(struct symbols *symbols) {
  if (symbols->told) fputs("\r\033[K", stderr);
  symbols->told = false;
}

/* ---- one address --------------------------------------------------------------- */

struct visit {
  struct stack *stack;
  const char *module;
  uint64_t address;
};

static void push_place(void *argument, const struct symbol_place *place) {
  struct visit *visit = argument;
  struct frame *frame = stack_push(visit->stack);
  if (!frame) return;
  frame->function = place->function;
  frame->file = place->file;
  frame->line = place->line;
  frame->start = place->start;
  frame->derived = place->derived;
  frame->inlined = place->inlined;
  frame->offset = place->inlined ? 0 : place->offset + 1; /* looked up: address - 1 */
  frame->module = visit->module;
  frame->address = visit->address;
}

static void find_places(struct symbols *symbols, uint64_t code, struct stack *places) {
  struct visit visit = {.stack = places,
                        .address = recording_address(symbols->recording, code)};
  uint64_t own = ul_code_offset(code) - 1;
  unsigned index = ul_code_module(code);
  if (index >= symbols->module_count) {
    push_place(&visit, &(struct symbol_place){.offset = own});
    return;
  }
  struct module *module = &symbols->modules[index];
  uint64_t start = now_ns();
  visit.module = module->path;
  tell_progress(symbols, module);
  if (!module->file)
    open_module(symbols, module, recording_module(symbols->recording, index));
  if (module->file)
    symbol_file_find(module->file, own, push_place, &visit);
  else
    push_place(&visit, &(struct symbol_place){.offset = own});
  bool by_pointer = module->file && symbol_file_call_before(module->file, own + 1) ==
                                        CODE_CALL_BY_POINTER;
  for (size_t i = 0; i < places->count; i++) {
    places->frames[i].hidden = module->own;
    places->frames[i].by_pointer = by_pointer;
  }
  symbols->spent_ns += now_ns() - start;
}

static const struct stack *places_of(struct symbols *symbols, uint64_t code) {
  struct stack *places = memory_at(&symbols->places, code);
  if (places && !places->count) find_places(symbols, code, places);
  return places;
}

/* ---- what to hide -------------------------------------------------------------- */

static bool in_runtime(const struct frame *frame) {
  return frame->module && is_runtime(frame->module);
}

/* Nothing outside of main is of interest; nor, in a thread, are the functions of the
 * C library that started it, nor the loader's around a constructor. Gives the index
 * after the last frame to show. */
static size_t program_end(const struct frame *frames, size_t count) {
  for (size_t i = count; i > 0; i--)
    if (frames[i - 1].function && strcmp(frames[i - 1].function, "main") == 0) return i;
  size_t end = count;
  while (end > 0) {
    const struct frame *frame = &frames[end - 1];
    bool start = frame->function && strcmp(frame->function, "_start") == 0;
    if (!start && !in_runtime(frame)) break;
    end--;
  }
  return end ? end : count;
}

/* Entry points of the allocator, as seen when another library wraps them. */
static bool is_allocator(const struct frame *frame) {
  static const char *const names[] = {"malloc",         "calloc",        "realloc",
                                      "reallocarray",   "aligned_alloc", "memalign",
                                      "posix_memalign", "__libc_malloc", "__libc_calloc",
                                      "__libc_realloc", "valloc",        "pvalloc"};
  if (!frame->function) return false;
  if (starts_with(frame->function, "operator new")) return true;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(frame->function, names[i]) == 0) return in_runtime(frame);
  return false;
}

static void hide(struct stack *stack, bool complete) {
  size_t end = complete ? program_end(stack->frames, stack->count) : stack->count;
  for (size_t i = end; i < stack->count; i++)
    stack->frames[i].hidden = true;
  for (size_t i = 0; i + 1 < end; i++) {
    struct frame *frame = &stack->frames[i];
    if (!frame->hidden && !is_allocator(frame)) break;
    frame->hidden = true;
  }
  for (size_t i = 0; i < stack->count; i++)
    if (!stack->frames[i].hidden) return;
  for (size_t i = 0; i < stack->count; i++)
    stack->frames[i].hidden = false;
}

/* ---- whole stacks -------------------------------------------------------------- */

static void append(struct stack *stack, const struct stack *places) {
  for (size_t i = 0; places && i < places->count; i++) {
    struct frame *frame = stack_push(stack);
    if (frame) *frame = places->frames[i];
  }
}

static void note_shown(struct symbols *symbols, const struct stack *stack) {
  for (size_t i = 0; i < stack->count; i++) {
    const struct frame *frame = &stack->frames[i];
    if (frame->hidden || frame->note || !frame->module) continue;
    for (size_t m = 0; m < symbols->module_count; m++) {
      struct module *module = &symbols->modules[m];
      if (module->path != frame->module) continue;
      module->shown = true;
      if (!frame->file) module->lacks_lines = true;
      break;
    }
  }
}

static void append_code(struct symbols *symbols, uint32_t code, struct stack *stack) {
  append(stack, places_of(symbols, recording_code(symbols->recording, code)));
}

/* Below what the stack has already. */
static void build_stack(struct symbols *symbols, uint32_t index, struct stack *stack) {
  while (index >= UL_NODE_RESERVED) {
    const struct ul_node *node = recording_node(symbols->recording, index);
    if (!node) break;
    append_code(symbols, node->code, stack);
    index = node->parent;
  }
  hide(stack, index == UL_NODE_ROOT);
  if (index == UL_NODE_CUT) push_note(stack, "(callers beyond the depth limit)");
  if (index == UL_NODE_BROKEN)
    push_note(stack, "(callers unknown: no unwind information)");
  if (!stack->count) push_note(stack, "(no call stack)");
  note_shown(symbols, stack);
  end_progress(symbols);
}

static size_t give_stack(const struct stack *stack, const struct frame **out) {
  static const struct frame no_memory = {.function = "(no memory for the call stack)",
                                         .note = true};
  bool there = stack && stack->count;
  *out = there ? stack->frames : &no_memory;
  return there ? stack->count : 1;
}

size_t frame_node_stack(struct symbols *symbols, uint32_t node,
                        const struct frame **out) {
  struct stack *stack = memory_at(&symbols->stacks, node);
  if (stack && !stack->count) build_stack(symbols, node, stack);
  return give_stack(stack, out);
}

static void build_site(struct symbols *symbols, uint32_t site, struct stack *stack) {
  const char *note = recording_site_note(site);
  const struct ul_site *record = recording_site(symbols->recording, site);
  if (note) {
    push_note(stack, note);
    return;
  }
  if (record && record->code) append_code(symbols, record->code, stack);
  build_stack(symbols, record ? record->parent : UL_NODE_ROOT, stack);
}

/* Sites are remembered behind the nodes' 32 bits. */
size_t frame_stack(struct symbols *symbols, uint32_t site, const struct frame **out) {
  struct stack *stack = memory_at(&symbols->stacks, (uint64_t)1 << 32 | site);
  if (stack && !stack->count) build_site(symbols, site, stack);
  return give_stack(stack, out);
}

/* ---- whom to blame ------------------------------------------------------------- */

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

static bool is_wrapper(const char *function) {
  return bsearch(&function, wrappers, sizeof wrappers / sizeof *wrappers,
                 sizeof *wrappers, name_order) != NULL;
}

bool frame_is_library(const struct frame *frame) {
  static const char *const names[] = {
      "std::",    "__gnu_cxx::", "operator new", "alloc::", "core::", "hashbrown::",
      "<alloc::", "<core::",     "<std::",       "__rust_", "__rdl_", NULL};
  static const char *const places[] = {"/include/c++/", "/rustlib/src/", "/rustc/", NULL};
  if (frame->function && starts_with_any(frame->function, names)) return true;
  for (size_t i = 0; frame->file && places[i]; i++)
    if (strstr(frame->file, places[i])) return true;
  return false;
}

static bool is_innocent(const struct frame *frame) {
  return in_runtime(frame) || frame_is_library(frame) ||
         (frame->function && is_wrapper(frame->function));
}

static bool same_module(const struct frame *a, const struct frame *b) {
  return a->module && b->module && strcmp(a->module, b->module) == 0;
}

/* What a wrapper calls is its own business, also where that has no name: frames of its
 * module up to it. */
static bool is_of_wrapper(const struct frame *frames, size_t i, size_t count) {
  for (size_t w = i + 1; w < count; w++) {
    if (!same_module(&frames[i], &frames[w]) && !in_runtime(&frames[w])) return false;
    if (frames[w].function && is_wrapper(frames[w].function)) return true;
    if (frames[w].function && !is_innocent(&frames[w])) return false;
  }
  return false;
}

static bool is_guilty(const struct frame *frames, size_t i, size_t count) {
  return !is_innocent(&frames[i]) && !is_of_wrapper(frames, i, count);
}

size_t frame_guilty(const struct frame *frames, size_t count) {
  size_t first = count;
  for (size_t i = 0; i < count; i++) {
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

/* ---- text ---------------------------------------------------------------------- */

size_t frame_text(const struct frame *frame, char *buffer, size_t size) {
  const char *module = frame->module ? base_name(frame->module) : NULL;
  unsigned long long address = frame->address, offset = frame->offset;
  int n;
  if (frame->note)
    n = snprintf(buffer, size, "%s", frame->function);
  else if (frame->function && frame->file)
    n = snprintf(buffer, size, "%s (%s:%u)", frame->function, base_name(frame->file),
                 frame->line);
  else if (frame->function && frame->inlined)
    n = snprintf(buffer, size, "%s (%s)", frame->function, module ? module : "no module");
  else if (frame->function)
    n = snprintf(buffer, size, "%s+0x%llx (%s)", frame->function, offset,
                 module ? module : "no module");
  else if (module)
    n = snprintf(buffer, size, "%s+0x%llx", module, offset);
  else
    n = snprintf(buffer, size, "0x%llx (no module)", address);
  return n < 0 ? 0 : (size_t)n;
}

/* ---- hints --------------------------------------------------------------------- */

/* "libfoo.so, libbar.so and 3 more": modules for which `wanted` holds. NULL: none. */
static char *list_modules(const struct symbols *symbols,
                          bool (*wanted)(const struct module *)) {
  char *text = NULL;
  size_t bytes, found = 0;
  FILE *out = open_memstream(&text, &bytes);
  if (!out) return NULL;
  for (size_t i = 0; i < symbols->module_count; i++) {
    const struct module *module = &symbols->modules[i];
    if (!module->shown || !wanted(module)) continue;
    if (found++ < 3) fprintf(out, "%s%s", found > 1 ? ", " : "", base_name(module->path));
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
static bool has_no_debug(const struct module *module) {
  return module->lacks_lines && has_state(module, SYMBOL_FOUND) &&
         !symbol_file_has_lines(module->file) && !is_runtime(module->path);
}

static void make_hint(struct symbols *symbols, bool (*wanted)(const struct module *),
                      const char *before, const char *after) {
  char *list = list_modules(symbols, wanted);
  size_t i = 0;
  while (i < HINTS && symbols->hints[i])
    i++;
  if (list && i < HINTS &&
      asprintf(&symbols->hints[i], "%s%s%s", before, list, after) < 0)
    symbols->hints[i] = NULL;
  free(list);
}

const char *symbols_hint(struct symbols *symbols, size_t index) {
  if (index == 0) {
    forget_hints(symbols);
    make_hint(symbols, has_changed,
              "changed since the recording, so shown as offsets: ", "");
    make_hint(symbols, is_absent, "not on this machine, so shown as offsets: ",
              " (--sysroot=DIR looks elsewhere)");
    make_hint(symbols, has_no_debug, "no files and lines for ",
              ": install the -dbgsym package, compile with -g, or use --debuginfod");
  }
  return index < HINTS ? symbols->hints[index] : NULL;
}
