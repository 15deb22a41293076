/* registered.c - see registered.h.
 *
 * What looks like a call but is none leads to no function that begins there, and to no
 * word. */
#include "names/registered.h"

#include "names/arguments.h"

#include <stdlib.h>
#include <string.h>

struct call {
  struct registered what;
  uint64_t callee;
  unsigned function, text; /* indices of the arguments */
};
struct calls {
  const struct code *code;
  struct call *at;
  size_t count, room;
};

static void add_call(void *to, const struct arguments *a) {
  struct calls *calls = to;
  struct call call = {.callee = a->callee, .function = ARGUMENTS, .text = ARGUMENTS};
  for (unsigned i = 0; i < ARGUMENTS; i++) {
    bool function = a->at[i] && code_is_function(calls->code, a->at[i]);
    const char *text = function ? NULL : code_word(calls->code, a->at[i]);
    if (!function && !text) continue;
    unsigned *which = function ? &call.function : &call.text;
    if (*which != ARGUMENTS) return;
    *which = i;
    if (function) call.what.start = a->at[i];
    if (text) call.what.text = text;
  }
  if (call.function == ARGUMENTS || call.text == ARGUMENTS) return;
  if (calls->count == calls->room) {
    size_t room = calls->room ? calls->room * 2 : 64;
    struct call *more = realloc(calls->at, room * sizeof *more);
    if (!more) return;
    calls->at = more;
    calls->room = room;
  }
  calls->at[calls->count++] = call;
}

static int by_callee(const void *a, const void *b) {
  const struct call *x = a, *y = b;
  if (x->callee != y->callee) return x->callee < y->callee ? -1 : 1;
  if (x->function != y->function) return x->function < y->function ? -1 : 1;
  if (x->text != y->text) return x->text < y->text ? -1 : 1;
  return strcmp(x->what.text, y->what.text);
}

static bool is_alike(const struct call *a, const struct call *b) {
  return a->callee == b->callee && a->function == b->function && a->text == b->text;
}

/* Do they say something different of each? */
static bool is_believed(const struct call *at, size_t count) {
  enum { FEWEST = 3 };
  size_t texts = 1;
  for (size_t i = 1; i < count; i++)
    texts += strcmp(at[i].what.text, at[i - 1].what.text) != 0;
  return texts >= FEWEST && texts >= count / 2;
}

struct registered *registered_in(const struct code *code, size_t *count) {
  struct calls calls = {.code = code};
  *count = 0;
  arguments_each(code, add_call, &calls);
  if (!calls.count) return NULL;
  qsort(calls.at, calls.count, sizeof *calls.at, by_callee);
  struct registered *all = malloc(calls.count * sizeof *all);
  for (size_t i = 0, n; all && i < calls.count; i += n) {
    n = 1;
    while (i + n < calls.count && is_alike(&calls.at[i], &calls.at[i + n]))
      n++;
    if (!is_believed(calls.at + i, n)) continue;
    for (size_t k = i; k < i + n; k++)
      all[(*count)++] = calls.at[k].what;
  }
  free(calls.at);
  return all;
}
