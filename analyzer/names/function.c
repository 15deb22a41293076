#include "names/function.h"

#include "names/blame.h"
#include "read/recording.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct function {
  struct {
    uint64_t mark;   /* hash of name and file, the start, or the return address */
    uint32_t module; /* canonical */
    uint32_t what;   /* is the mark */
  } key;
  const struct frame *frame; /* at one of its places */
  uint32_t number;
  int kind; /* enum function_kind; -1: not asked for so far */
  UT_hash_handle hh;
};
enum { BY_NAME, BY_START, BY_ADDRESS };

/* What is at a return address, innermost first; and of that, what stacks show, which
 * end with main. */
struct place {
  UT_hash_handle hh;
  uint64_t code;
  struct function_call *shown;
  size_t count, shown_count;
  size_t own; /* of the shown ones those up to the outermost that is not the runtime's */
  bool ends;
  struct function_call calls[]; /* behind them the shown ones */
};

struct functions {
  const struct recording *recording;
  struct symbols *symbols;
  uint32_t *canonical; /* by module: the first of the same file */
  struct function *by_key, **by_number;
  uint32_t room;
  struct place *places;
  struct place *
      *by_code; /* the same by index in UL_CODES, as far as they were asked for */
  struct function_call *calls; /* of a stack */
  size_t calls_room;
};

/* ---- modules ------------------------------------------------------------------- */

static bool same_file(const struct recording *r, const struct ul_module *a,
                      const struct ul_module *b) {
  return a->build_id_bytes == b->build_id_bytes &&
         memcmp(a->build_id, b->build_id, sizeof a->build_id) == 0 &&
         strcmp(recording_text(r, a->name), recording_text(r, b->name)) == 0;
}

static bool number_modules(struct functions *f) {
  size_t count = recording_count(f->recording, UL_MODULES);
  f->canonical = malloc((count + 1) * sizeof *f->canonical);
  if (!f->canonical) return false;
  for (uint32_t i = 0; i < count; i++) {
    const struct ul_module *m = recording_module(f->recording, i);
    uint32_t first = 0;
    while (!same_file(f->recording, m, recording_module(f->recording, first)))
      first++;
    f->canonical[i] = first;
  }
  return true;
}

/* ---- functions ----------------------------------------------------------------- */

/* FNV-1a, 64 bits. */
static uint64_t hash_text(uint64_t hash, const char *text) {
  for (; *text; text++)
    hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
  return (hash ^ 0xff) * 0x100000001b3;
}

static void set_key(struct functions *f, uint64_t code, const struct frame *frame,
                    struct function *to) {
  bool made = ul_code_module(code) == UL_NO_MODULE; /* while it ran (jit.h) */
  to->key.module = made ? UL_NO_MODULE : f->canonical[ul_code_module(code)];
  if (frame->function && (frame->file || made)) {
    to->key.what = BY_NAME;
    to->key.mark = hash_text(hash_text(0xcbf29ce484222325, frame->function),
                             frame->file ? frame->file : "");
    return;
  }
  if (made) return;
  bool known = frame->start || frame_function_start(f->symbols, code, &to->key.mark);
  if (frame->start) to->key.mark = frame->start;
  to->key.what = known ? BY_START : BY_ADDRESS;
  if (!known) to->key.mark = ul_code_offset(code);
}

static struct function *function_of(struct functions *f, uint64_t code,
                                    const struct frame *frame) {
  struct function *known, wanted;
  memset(&wanted, 0, sizeof wanted); /* padding is hashed, too */
  set_key(f, code, frame, &wanted);
  HASH_FIND(hh, f->by_key, &wanted.key, sizeof wanted.key, known);
  if (known) return known;
  uint32_t number = functions_count(f);
  if (number == f->room) {
    uint32_t room = f->room ? f->room * 2 : 256;
    struct function **more = realloc(f->by_number, room * sizeof(*more));
    if (!more) return NULL;
    f->by_number = more;
    f->room = room;
  }
  struct function *made = malloc(sizeof *made);
  if (!made) return NULL;
  *made = wanted;
  made->frame = frame;
  made->number = number;
  made->kind = -1;
  f->by_number[number] = made;
  HASH_ADD(hh, f->by_key, key, sizeof made->key, made);
  return made;
}

/* Is it outside of all that the program does? */
static bool is_outside(struct functions *f, uint32_t function) {
  const char *name = functions_frame(f, function)->function;
  return functions_kind(f, function) == FUNCTION_RUNTIME ||
         (name && strcmp(name, "_start") == 0);
}

static void show(struct functions *f, struct place *p, const struct function_call *call) {
  enum function_kind kind = functions_kind(f, call->function);
  if (kind == FUNCTION_ULLAGE || p->ends) return;
  p->shown[p->shown_count++] = *call;
  if (!is_outside(f, call->function)) p->own = p->shown_count;
  p->ends = kind == FUNCTION_START;
}

static bool fill_place(struct functions *f, struct place *p, const struct frame *frames,
                       size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct function *function = function_of(f, p->code, &frames[i]);
    if (!function) return false;
    bool by_pointer = i == 0 && (frames[i].by_pointer || blame_is_machine(&frames[i]));
    p->calls[p->count++] =
        (struct function_call){&frames[i], function->number, by_pointer};
    show(f, p, &p->calls[i]);
  }
  return true;
}

static struct place *make_place(struct functions *f, uint64_t code) {
  const struct frame *frames;
  size_t n = frame_places(f->symbols, code, &frames);
  struct place *p = calloc(1, sizeof *p + 2 * n * sizeof *p->calls);
  if (!p) return NULL;
  p->code = code;
  p->shown = p->calls + n;
  if (fill_place(f, p, frames, n)) return p;
  free(p);
  return NULL;
}

static struct place *place_at(struct functions *f, uint64_t code) {
  struct place *p;
  HASH_FIND(hh, f->places, &code, sizeof code, p);
  if (p || !(p = make_place(f, code))) return p;
  HASH_ADD(hh, f->places, code, sizeof code, p);
  return p;
}

size_t functions_at_code(struct functions *f, uint64_t code,
                         const struct function_call **out) {
  const struct place *p = place_at(f, code);
  *out = p ? p->calls : NULL;
  return p ? p->count : 0;
}

bool functions_at(struct functions *f, uint64_t code, uint32_t function) {
  const struct place *p = place_at(f, code);
  for (size_t i = 0; p && i < p->count; i++)
    if (p->calls[i].function == function) return true;
  return false;
}

uint32_t functions_count(const struct functions *f) {
  return HASH_COUNT(f->by_key);
}

/* ---- stacks -------------------------------------------------------------------- */

static const struct place *place_of(struct functions *f, uint32_t index) {
  struct place **p = &f->by_code[index];
  if (!*p) *p = place_at(f, recording_code(f->recording, index));
  return *p;
}

static bool push(struct functions *f, size_t n, const struct place *p) {
  if (n + p->shown_count > f->calls_room) {
    size_t room = (n + p->shown_count) * 2;
    struct function_call *more = realloc(f->calls, room * sizeof *more);
    if (!more) return false;
    f->calls = more;
    f->calls_room = room;
  }
  for (size_t i = 0; i < p->shown_count; i++)
    f->calls[n + i] = p->shown[i];
  return true;
}

/* Of a program without symbols, and of a thread: what called its first function. */
static size_t without_start(struct functions *f, size_t n) {
  size_t end = n;
  while (end > 0 && is_outside(f, f->calls[end - 1].function))
    end--;
  return end ? end : n;
}

size_t functions_stack(struct functions *f, uint32_t site,
                       const struct function_call **out) {
  const struct ul_node *nodes = recording_node(f->recording, 0);
  const struct ul_site *s = recording_site(f->recording, site);
  uint32_t code = s ? ul_site_code(s) : 0, node = s ? s->parent : UL_NODE_ROOT;
  size_t n = 0;
  *out = NULL;
  while (code) {
    const struct place *p = place_of(f, code);
    if (!p || !push(f, n, p)) return 0;
    n += p->shown_count;
    if (p->ends || node < UL_NODE_RESERVED) break;
    code = nodes[node].code;
    node = nodes[node].parent;
  }
  *out = f->calls;
  return without_start(f, n);
}

struct functions_shown functions_shown(const struct functions *f, uint32_t index) {
  const struct place *p = f->by_code[index];
  if (!p) return (struct functions_shown){.calls = NULL};
  return (struct functions_shown){p->shown, p->shown_count, p->own, p->ends};
}

/* ---- one function -------------------------------------------------------------- */

const struct frame *functions_frame(struct functions *f, uint32_t function) {
  return f->by_number[function]->frame;
}

static enum function_kind kind_of(const struct frame *frame) {
  if (frame->hidden) return FUNCTION_ULLAGE;
  if (frame->function && strcmp(frame->function, "main") == 0) return FUNCTION_START;
  if (blame_is_wrapper(frame)) return FUNCTION_WRAPPER;
  return blame_is_own(frame) ? FUNCTION_OWN : FUNCTION_RUNTIME;
}

enum function_kind functions_kind(struct functions *f, uint32_t function) {
  struct function *it = f->by_number[function];
  if (it->kind < 0) it->kind = (int)kind_of(functions_frame(f, function));
  return (enum function_kind)it->kind;
}

uint32_t functions_callers(struct functions *f, uint32_t function) {
  return frame_callers(f->symbols, functions_frame(f, function));
}

uint32_t functions_module(const struct functions *f, uint32_t function) {
  return f->by_number[function]->key.module;
}

const struct recording *functions_recording(const struct functions *f) {
  return f->recording;
}

struct symbols *functions_symbols(const struct functions *f) {
  return f->symbols;
}

/* ---- life ---------------------------------------------------------------------- */

struct functions *functions_new(const struct recording *recording,
                                struct symbols *symbols) {
  struct functions *f = calloc(1, sizeof *f);
  if (!f) return NULL;
  f->recording = recording;
  f->symbols = symbols;
  f->by_code = calloc(recording_count(recording, UL_CODES) + 1, sizeof(*f->by_code));
  if (f->by_code && number_modules(f)) return f;
  functions_free(f);
  return NULL;
}

void functions_free(struct functions *f) {
  struct function *function, *next;
  struct place *place, *after;
  if (!f) return;
  HASH_ITER(hh, f->places, place, after) {
    HASH_DEL(f->places, place);
    free(place);
  }
  HASH_ITER(hh, f->by_key, function, next) {
    HASH_DEL(f->by_key, function);
    free(function);
  }
  free(f->by_number);
  free(f->by_code);
  free(f->canonical);
  free(f->calls);
  free(f);
}
