/* causes.h - causes in words: the function, and what calls it. */
#ifndef ULLAGE_SHOW_CAUSES_H
#define ULLAGE_SHOW_CAUSES_H

#include "answers/laid.h"
#include "show/text.h"

/* "function (file.c:12)", "libfoo.so+0x1234 (no name)". */
const char *causes_function_in(struct text_long *to, struct functions *f,
                               const struct cause *c);
#define causes_function(f, c) causes_function_in(TEXT_LONG, f, c)
/* Without what tells where in the function, unless it is a line. */
const char *causes_short_in(struct text_long *to, struct functions *f,
                            const struct cause *c);
#define causes_short(f, c) causes_short_in(TEXT_LONG, f, c)
/* Of a cause that is spread: what all goes through, without its line. */
const char *causes_loop_in(struct text_long *to, struct functions *f,
                           const struct cause *c);
#define causes_loop(f, c) causes_loop_in(TEXT_LONG, f, c)
/* Who made it for that function, ", by NAME"; or "". */
const char *causes_helper_in(struct text_long *to, struct functions *f,
                             const struct cause *c);
#define causes_helper_text(f, c) causes_helper_in(TEXT_LONG, f, c)
/* The callers that all its stacks have, inner ones and the outermost, or who uses the
 * library that it is in, as many as there is room for in `columns`: "< parse < ... < main
 * (a.c:3)"; "" if there are none. */
const char *causes_callers_in(struct text_long *to, struct functions *f,
                              const struct causes *c, size_t cause, size_t columns);
#define causes_callers(f, c, cause, columns)                                             \
  causes_callers_in(TEXT_LONG, f, c, cause, columns)
/* To stand alone: what has no name is told by who calls it. */
const char *causes_alone_in(struct text_long *to, struct functions *f,
                            const struct causes *c, size_t cause);
#define causes_alone(f, c, cause) causes_alone_in(TEXT_LONG, f, c, cause)
/* The function that a call site is laid at; by names alone if there is none by that
 * measure. "": there are no names. */
const char *causes_laid_in(struct text_long *to, struct process *p, enum laid by,
                           uint32_t site, const struct view_options *o);
#define causes_laid(p, by, site, o) causes_laid_in(TEXT_LONG, p, by, site, o)
/* The same of frames: a function; and those that call it, or each other, innermost first
 * (NULL: it is unknown). */
const char *causes_frame_in(struct text_long *to, const struct frame *frame);
/* Without what tells where in the function, unless it is a line. */
const char *causes_frame_short_in(struct text_long *to, const struct frame *frame);
#define causes_frame_short(frame) causes_frame_short_in(TEXT_LONG, frame)
const char *causes_chain_in(struct text_long *to, const struct frame *of,
                            const struct frame *const *frames, size_t n, size_t columns);
#define causes_chain(of, frames, n, columns)                                             \
  causes_chain_in(TEXT_LONG, of, frames, n, columns)
#endif
