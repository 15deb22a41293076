#include "show/causes.h"

#include <stdarg.h>
#include <string.h>

#define CALLERS_MOST 64u

static const char *place_text(struct text_long *to, const struct frame *frame) {
  char line[401];
  frame_text(frame, line, sizeof line);
  return text_escaped_in(to, line);
}

/* Without what tells where in the function, unless it is a line. */
static const char *short_text(struct text_long *to, const struct frame *frame) {
  struct frame brief = *frame;
  brief.note = frame->function && !frame->file;
  return place_text(to, &brief);
}

const char *causes_frame_in(struct text_long *to, const struct frame *frame) {
  if (!frame) return "(no call stack)";
  snprintf(to->s, sizeof to->s, "%s%s", place_text(TEXT_LONG, frame),
           frame->function || !frame->module ? "" : " (no name)");
  return to->s;
}

const char *causes_function_in(struct text_long *to, struct functions *f,
                               const struct cause *c) {
  const struct frame *frame = causes_frame(f, c);
  if (frame) symbols_note_shown(functions_symbols(f), frame, 1);
  return causes_frame_in(to, frame);
}

const char *causes_short_in(struct text_long *to, struct functions *f,
                            const struct cause *c) {
  const struct frame *frame = causes_frame(f, c);
  if (frame) symbols_note_shown(functions_symbols(f), frame, 1);
  return frame ? short_text(to, frame) : "(no call stack)";
}

/* Out to the outermost that has a name: it says more than an address, of main even. */
static size_t to_named(const struct frame *const *frames, size_t n) {
  size_t named = n;
  while (named && !frames[named - 1]->function)
    named--;
  return named ? named : n;
}

/* As many of the first as there is room for before `last` (NULL: before nothing), or all
 * of them; how many. */
static size_t put_chain(struct text_long *to, const struct frame *const *frames, size_t n,
                        const char *last, size_t columns) {
  static const char gap[] = " < ... < ";
  size_t used = 0, i;
  to->s[0] = 0;
  for (i = 0; i < n; i++) {
    const char *next = short_text(TEXT_LONG, frames[i]);
    size_t behind = i + 1 < n && last ? strlen(gap) + strlen(last) : 0;
    bool fits = used + strlen(i ? " < " : "< ") + strlen(next) + behind <= columns;
    bool cut = i && i + 1 < n && !fits;
    if (cut && !last) break;
    int bytes =
        cut ? snprintf(to->s + used, sizeof to->s - used, "%s%s", gap, last)
            : snprintf(to->s + used, sizeof to->s - used, "%s< %s", i ? " " : "", next);
    if (bytes < 0 || (size_t)bytes >= sizeof to->s - used || cut) break;
    used += (size_t)bytes;
  }
  return i;
}

/* The outermost says where it all began, but the two innermost say more. */
const char *causes_chain_in(struct text_long *to, const struct frame *const *frames,
                            size_t n, size_t columns) {
  struct text_long end;
  n = to_named(frames, n);
  const char *last = n > 1 ? short_text(&end, frames[n - 1]) : "";
  if (put_chain(to, frames, n, last, columns) < 2 &&
      put_chain(to, frames, n, NULL, columns) < 2)
    put_chain(to, frames, n, last, columns);
  return to->s;
}

const char *causes_callers_in(struct text_long *to, struct functions *f,
                              const struct causes *c, size_t cause, size_t columns) {
  const struct frame *frames[CALLERS_MOST];
  size_t n = causes_common(f, c, cause, frames, CALLERS_MOST);
  return causes_chain_in(to, frames, n < CALLERS_MOST ? n : CALLERS_MOST, columns);
}
