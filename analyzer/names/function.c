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

/* What is at a return address, innermost first. */
struct place {
  uint64_t code;
  struct function_call *calls;
  size_t count;
  UT_hash_handle hh;
};

struct functions {
  const struct recording *recording;
  struct symbols *symbols;
  uint32_t *canonical; /* by module: the first of the same file */
  struct function *by_key, **by_number;
  uint32_t room;
  struct place *places;
  uint64_t *codes; /* of a stack */
  size_t depth;
  struct function_call *calls; /* likewise */
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
  to->key.module = ul_code_module(code);
  if (to->key.module == UL_NO_MODULE) return;
  to->key.module = f->canonical[to->key.module];
  if (frame->function && frame->file) {
    to->key.what = BY_NAME;
    to->key.mark = hash_text(hash_text(0xcbf29ce484222325, frame->function), frame->file);
    return;
  }
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

static bool fill_place(struct functions *f, struct place *p) {
  const struct frame *frames;
  size_t n = frame_places(f->symbols, p->code, &frames);
  p->calls = calloc(n, sizeof *p->calls);
  for (size_t i = 0; p->calls && i < n; i++) {
    struct function *function = function_of(f, p->code, &frames[i]);
    if (!function) return false;
    p->calls[p->count++] = (struct function_call){&frames[i], function->number,
                                                  i == 0 && frames[i].by_pointer};
  }
  return p->calls;
}

static const struct place *place_at(struct functions *f, uint64_t code) {
  struct place *p;
  HASH_FIND(hh, f->places, &code, sizeof code, p);
  if (p || !(p = calloc(1, sizeof *p))) return p;
  p->code = code;
  if (!fill_place(f, p)) {
    free(p->calls);
    free(p);
    return NULL;
  }
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

static bool make_room(struct functions *f, size_t depth) {
  if (depth <= f->depth) return true;
  uint64_t *codes = realloc(f->codes, depth * sizeof *codes);
  if (!codes) return false;
  f->codes = codes;
  f->depth = depth;
  return true;
}

static bool push(struct functions *f, size_t n, const struct function_call *call) {
  if (n == f->calls_room) {
    size_t room = f->calls_room ? f->calls_room * 2 : 64;
    struct function_call *more = realloc(f->calls, room * sizeof *more);
    if (!more) return false;
    f->calls = more;
    f->calls_room = room;
  }
  f->calls[n] = *call;
  return true;
}

/* Of a program without symbols, and of a thread: what called its first function. */
static size_t without_start(struct functions *f, size_t n) {
  size_t end = n;
  while (end > 0) {
    uint32_t function = f->calls[end - 1].function;
    const char *name = functions_frame(f, function)->function;
    if (functions_kind(f, function) != FUNCTION_RUNTIME &&
        !(name && strcmp(name, "_start") == 0))
      break;
    end--;
  }
  return end ? end : n;
}

size_t functions_stack(struct functions *f, uint32_t site,
                       const struct function_call **out) {
  size_t depth = recording_stack(f->recording, site, NULL, 0, NULL), n = 0;
  bool start = false;
  *out = NULL;
  if (!depth || !make_room(f, depth)) return 0;
  recording_stack(f->recording, site, f->codes, depth, NULL);
  for (size_t i = 0; i < depth && !start; i++) {
    const struct place *p = place_at(f, f->codes[i]);
    if (!p) return 0;
    for (size_t k = 0; k < p->count && !start; k++) {
      enum function_kind kind = functions_kind(f, p->calls[k].function);
      if (kind == FUNCTION_ULLAGE) continue;
      if (!push(f, n++, &p->calls[k])) return 0;
      start = kind == FUNCTION_START;
    }
  }
  *out = f->calls;
  return without_start(f, n);
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

uint32_t functions_module(const struct functions *f, uint32_t function) {
  return f->by_number[function]->key.module;
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
  if (number_modules(f)) return f;
  functions_free(f);
  return NULL;
}

void functions_free(struct functions *f) {
  struct function *function, *next;
  struct place *place, *after;
  if (!f) return;
  HASH_ITER(hh, f->places, place, after) {
    HASH_DEL(f->places, place);
    free(place->calls);
    free(place);
  }
  HASH_ITER(hh, f->by_key, function, next) {
    HASH_DEL(f->by_key, function);
    free(function);
  }
  free(f->by_number);
  free(f->canonical);
  free(f->codes);
  free(f->calls);
  free(f);
}
