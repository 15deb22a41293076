#include "names/function.h"

#include "names/blame.h"
#include "read/recording.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct function {
  struct {
    uint64_t start;  /* in the module; the return address if that is not known */
    uint32_t module; /* canonical */
    uint32_t unknown_start;
  } key;
  uint64_t code; /* one of its return addresses */
  uint32_t number;
  int kind; /* enum function_kind; -1: not asked for so far */
  UT_hash_handle hh;
};

struct place {
  uint64_t code;
  struct function_call call;
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
  struct function_call *calls;
  size_t depth;
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

static struct function *function_of(struct functions *f, uint64_t code) {
  struct function *known, wanted;
  memset(&wanted, 0, sizeof wanted); /* padding is hashed, too */
  wanted.key.module = ul_code_module(code);
  if (wanted.key.module != UL_NO_MODULE) {
    wanted.key.module = f->canonical[wanted.key.module];
    wanted.key.unknown_start = !frame_function_start(f->symbols, code, &wanted.key.start);
  }
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
  made->code = code;
  made->number = number;
  made->kind = -1;
  f->by_number[number] = made;
  HASH_ADD(hh, f->by_key, key, sizeof made->key, made);
  return made;
}

static const struct function_call *call_at(struct functions *f, uint64_t code) {
  struct place *p;
  HASH_FIND(hh, f->places, &code, sizeof code, p);
  if (p) return &p->call;
  struct function *function = function_of(f, code);
  if (!function || !(p = malloc(sizeof *p))) return NULL;
  p->code = code;
  p->call =
      (struct function_call){code, function->number, frame_by_pointer(f->symbols, code)};
  HASH_ADD(hh, f->places, code, sizeof code, p);
  return &p->call;
}

uint32_t functions_of(struct functions *f, uint64_t code) {
  const struct function_call *call = call_at(f, code);
  return call ? call->function : UINT32_MAX;
}

uint32_t functions_count(const struct functions *f) {
  return HASH_COUNT(f->by_key);
}

/* ---- stacks -------------------------------------------------------------------- */

static bool make_room(struct functions *f, size_t depth) {
  if (depth <= f->depth) return true;
  free(f->codes);
  free(f->calls);
  f->depth = 0;
  f->codes = malloc(depth * sizeof *f->codes);
  f->calls = malloc(depth * sizeof *f->calls);
  if (!f->codes || !f->calls) return false;
  f->depth = depth;
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
  *out = NULL;
  if (!depth || !make_room(f, depth)) return 0;
  recording_stack(f->recording, site, f->codes, depth, NULL);
  for (size_t i = 0; i < depth; i++) {
    const struct function_call *call = call_at(f, f->codes[i]);
    if (!call) return 0;
    enum function_kind kind = functions_kind(f, call->function);
    if (kind != FUNCTION_ULLAGE) f->calls[n++] = *call;
    if (kind == FUNCTION_START) break;
  }
  *out = f->calls;
  return without_start(f, n);
}

/* ---- one function -------------------------------------------------------------- */

const struct frame *functions_frame(struct functions *f, uint32_t function) {
  const struct frame *frames;
  size_t n = frame_places(f->symbols, f->by_number[function]->code, &frames);
  return &frames[n - 1];
}

const struct frame *functions_place(struct functions *f, uint64_t code) {
  const struct frame *frames;
  size_t n = frame_places(f->symbols, code, &frames), i = 0;
  while (i + 1 < n && !blame_is_own(&frames[i]))
    i++;
  return &frames[i];
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
