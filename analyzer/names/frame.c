/* frame.c - see frame.h.
 *
 * What is remembered are places, by code: what symbol.c found there. Stacks are put
 * together from them whenever they are asked for. Each module of the recording has its
 * file opened on the first frame in it; modules that were unloaded, or loaded again
 * elsewhere, are entries of their own, so an address that two of them shared is
 * always looked up in the right one. */
#include "names/frame.h"

#include "names/blame.h"
#include "names/jit.h"
#include "names/module.h"
#include "names/symbol.h"
#include "read/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
  struct jit *jit; /* NULL: none, or not asked for yet */
  bool looked_for_jit;
  struct modules modules;
  struct memory places; /* by code */
  uint32_t numbers;     /* of the frames in them */
  bool paths;
  struct stack stack; /* the one that was asked for last */
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

/* ---- life ---------------------------------------------------------------------- */

struct symbols *symbols_new(const struct recording *recording,
                            const struct symbols_options *options) {
  struct symbols *symbols = calloc(1, sizeof *symbols);
  if (!symbols) return NULL;
  symbols->recording = recording;
  symbols->paths = options && options->paths;
  if (modules_load(&symbols->modules, recording, options)) return symbols;
  symbols_free(symbols);
  return NULL;
}

void symbols_free(struct symbols *symbols) {
  if (!symbols) return;
  memory_free(&symbols->places);
  jit_free(symbols->jit);
  free(symbols->stack.frames);
  modules_free(&symbols->modules);
  free(symbols);
}

void symbols_note_shown(struct symbols *symbols, const struct frame *frames,
                        size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!frames[i].hidden && !frames[i].note)
      modules_note_shown(&symbols->modules, frames[i].of_module, frames[i].file);
}

const char *symbols_hint(struct symbols *symbols, size_t index) {
  return modules_hint(&symbols->modules, index);
}

const char *symbols_nameless(const struct symbols *symbols, size_t index) {
  return modules_nameless(&symbols->modules, index);
}

/* ---- one address --------------------------------------------------------------- */

struct visit {
  struct symbols *symbols;
  struct stack *stack;
  const char *module;
  uint64_t address;
};

static void push_place(void *argument, const struct symbol_place *place) {
  struct visit *visit = argument;
  struct frame *frame = stack_push(visit->stack);
  if (!frame) return;
  frame->function = place->function;
  frame->linkage = place->linkage;
  frame->file = place->file;
  frame->line = place->line;
  frame->start = place->start;
  frame->derived = place->derived;
  frame->inlined = place->inlined;
  frame->paths = visit->symbols->paths;
  frame->offset = place->inlined ? 0 : place->offset + 1; /* looked up: address - 1 */
  frame->module = visit->module;
  frame->address = visit->address;
  frame->of_module = UL_NO_MODULE;
  frame->number = ++visit->symbols->numbers;
}

/* The file in which a code lies; NULL: none is known. */
static struct symbol_file *file_of(struct symbols *symbols, uint64_t code) {
  unsigned module = ul_code_module(code);
  return module < symbols->modules.count ? modules_file(&symbols->modules, module) : NULL;
}

static void find_in_module(struct symbols *symbols, uint64_t code, struct visit *visit) {
  unsigned index = ul_code_module(code);
  const struct module *module = &symbols->modules.at[index];
  struct stack *places = visit->stack;
  uint64_t begun = modules_begin_work(&symbols->modules, index);
  struct symbol_file *file = file_of(symbols, code);
  visit->module = module->path;
  if (file)
    symbol_file_find(file, ul_code_offset(code) - 1, push_place, visit);
  else
    push_place(visit, &(struct symbol_place){.offset = ul_code_offset(code) - 1});
  bool by_pointer = frame_by_pointer(symbols, code);
  bool takes_result = frame_takes_result(symbols, code);
  for (size_t i = 0; i < places->count; i++) {
    places->frames[i].hidden = module->own;
    places->frames[i].by_pointer = by_pointer;
    places->frames[i].takes_result = takes_result;
    places->frames[i].of_module = (uint16_t)index;
  }
  modules_end_work(&symbols->modules, begun);
}

/* Code of no module. */
static void find_made(struct symbols *symbols, uint64_t code, struct visit *visit) {
  uint64_t address = ul_code_offset(code) - 1;
  if (!symbols->looked_for_jit) symbols->jit = jit_load(symbols->recording);
  symbols->looked_for_jit = true;
  const struct jit_function *f = jit_find(symbols->jit, address);
  struct symbol_place place = {.offset = address};
  if (f)
    place = (struct symbol_place){.function = f->name,
                                  .file = f->file,
                                  .line = f->line,
                                  .offset = address - f->start};
  push_place(visit, &place);
}

static void find_places(struct symbols *symbols, uint64_t code, struct stack *places) {
  struct visit visit = {.symbols = symbols,
                        .stack = places,
                        .address = recording_address(symbols->recording, code)};
  if (ul_code_module(code) < symbols->modules.count)
    find_in_module(symbols, code, &visit);
  else
    find_made(symbols, code, &visit);
}

/* There may be millions, of one frame each. */
static void stack_fit(struct stack *stack) {
  struct frame *fitting = reallocarray(stack->frames, stack->count, sizeof *fitting);
  if (!fitting) return;
  stack->frames = fitting;
  stack->room = stack->count;
}

static const struct stack *places_of(struct symbols *symbols, uint64_t code) {
  struct stack *places = memory_at(&symbols->places, code);
  if (!places || places->count) return places;
  find_places(symbols, code, places);
  if (places->count) stack_fit(places);
  return places;
}

size_t frame_places(struct symbols *symbols, uint64_t code, const struct frame **out) {
  static const struct frame no_memory = {.function = "(no memory for a frame)",
                                         .note = true};
  const struct stack *places = places_of(symbols, code);
  bool there = places && places->count;
  *out = there ? places->frames : &no_memory;
  return there ? places->count : 1;
}

bool frame_function_start(struct symbols *symbols, uint64_t code, uint64_t *start) {
  struct symbol_file *file = file_of(symbols, code);
  return file && symbol_file_function(file, ul_code_offset(code) - 1, start);
}

/* Of a function that was not inlined, and whose start is known; else NULL. */
static struct symbol_file *file_of_start(struct symbols *symbols,
                                         const struct frame *frame) {
  bool known =
      !frame->inlined && frame->start && frame->of_module < symbols->modules.count;
  return known ? modules_file(&symbols->modules, frame->of_module) : NULL;
}

const char *frame_symbol(struct symbols *symbols, const struct frame *frame) {
  struct symbol_file *file = file_of_start(symbols, frame);
  return file ? symbol_file_symbol(file, frame->start) : NULL;
}

uint32_t frame_callers(struct symbols *symbols, const struct frame *frame) {
  struct symbol_file *file = file_of_start(symbols, frame);
  return file ? symbol_file_callers(file, frame->start) : 0;
}

bool frame_by_pointer(struct symbols *symbols, uint64_t code) {
  struct symbol_file *file = file_of(symbols, code);
  return file &&
         symbol_file_call_before(file, ul_code_offset(code)) == CODE_CALL_BY_POINTER;
}

bool frame_takes_result(struct symbols *symbols, uint64_t code) {
  struct symbol_file *file = file_of(symbols, code);
  return file && symbol_file_takes_result(file, ul_code_offset(code));
}

/* ---- what to hide -------------------------------------------------------------- */

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
    if (!start && !blame_in_runtime(frame)) break;
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
  if (strncmp(frame->function, "operator new", 12) == 0) return true;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(frame->function, names[i]) == 0) return blame_in_runtime(frame);
  return false;
}

void frame_hide(struct frame *frames, size_t count, bool complete) {
  size_t end = complete ? program_end(frames, count) : count;
  for (size_t i = end; i < count; i++)
    frames[i].hidden = true;
  for (size_t i = 0; i + 1 < end; i++) {
    if (!frames[i].hidden && !is_allocator(&frames[i])) break;
    frames[i].hidden = true;
  }
  for (size_t i = 0; i < count; i++)
    if (!frames[i].hidden) return;
  for (size_t i = 0; i < count; i++)
    frames[i].hidden = false;
}

/* ---- whole stacks -------------------------------------------------------------- */

static void append(struct stack *stack, const struct stack *places) {
  for (size_t i = 0; places && i < places->count; i++) {
    struct frame *frame = stack_push(stack);
    if (frame) *frame = places->frames[i];
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
  frame_hide(stack->frames, stack->count, index == UL_NODE_ROOT);
  if (index == UL_NODE_CUT) push_note(stack, "(callers beyond the depth limit)");
  if (index == UL_NODE_BROKEN)
    push_note(stack, "(callers unknown: no unwind information)");
  if (!stack->count) push_note(stack, "(no call stack)");
  modules_end_progress(&symbols->modules);
}

static void build_site(struct symbols *symbols, uint32_t site, struct stack *stack) {
  const char *note = recording_site_note(site);
  const struct ul_site *record = recording_site(symbols->recording, site);
  if (note) {
    push_note(stack, note);
    return;
  }
  uint32_t code = record ? ul_site_code(record) : 0;
  if (code) append_code(symbols, code, stack);
  build_stack(symbols, record ? record->parent : UL_NODE_ROOT, stack);
}

static size_t give_stack(const struct stack *stack, const struct frame **out) {
  static const struct frame no_memory = {.function = "(no memory for the call stack)",
                                         .note = true};
  *out = stack->count ? stack->frames : &no_memory;
  return stack->count ? stack->count : 1;
}

size_t frame_node_stack(struct symbols *symbols, uint32_t node,
                        const struct frame **out) {
  symbols->stack.count = 0;
  build_stack(symbols, node, &symbols->stack);
  return give_stack(&symbols->stack, out);
}

size_t frame_stack(struct symbols *symbols, uint32_t site, const struct frame **out) {
  symbols->stack.count = 0;
  build_site(symbols, site, &symbols->stack);
  return give_stack(&symbols->stack, out);
}

/* ---- text ---------------------------------------------------------------------- */

size_t frame_text(const struct frame *frame, char *buffer, size_t size) {
  const char *module = frame->module ? basename(frame->module) : NULL;
  const char *file = frame->file && !frame->paths ? basename(frame->file) : frame->file;
  unsigned long long address = frame->address, offset = frame->offset;
  int n;
  if (frame->note)
    n = snprintf(buffer, size, "%s", frame->function);
  else if (frame->function && file && !frame->line)
    n = snprintf(buffer, size, "%s (%s)", frame->function, file);
  else if (frame->function && file)
    n = snprintf(buffer, size, "%s (%s:%u)", frame->function, file, frame->line);
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

bool frame_same_module(const struct frame *a, const struct frame *b) {
  return a->module && b->module &&
         (a->module == b->module || strcmp(a->module, b->module) == 0);
}
