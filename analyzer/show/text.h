/* text.h - how the answers look as text: sizes, counts, times, stacks.
 *
 * The functions that return a string use a ring of buffers: good for 16 further
 * calls, not for several threads. Text from a recording is escaped before it
 * reaches a terminal. */
#ifndef ULLAGE_TEXT_H
#define ULLAGE_TEXT_H

#include "show/verbs.h"

const char *text_size(const struct view_options *o, uint64_t bytes); /* "1.5 MiB" */
const char *text_size_signed(const struct view_options *o, int64_t bytes);
const char *text_count(uint64_t n); /* "1,234,567" */
/* "1 block", "1,234 blocks" */
const char *text_plural(uint64_t n, const char *singular, const char *plural);
const char *text_time(uint64_t ms); /* "12 ms", "3.21 s", "2 h 03 min" */
const char *text_percent(uint64_t part, uint64_t whole);
const char *text_escaped(const char *s); /* no control characters; cut at 400 bytes */

enum text_style { TEXT_PLAIN, TEXT_STRONG, TEXT_FAINT, TEXT_BAD, TEXT_GOOD };
/* Escape sequences around what follows; "" without color. */
const char *text_on(const struct view_options *o, enum text_style style);
const char *text_off(const struct view_options *o);

/* "LIVE AT THE END (3 of 17 sites)": what, then in plain style the rest. */
__attribute__((format(printf, 3, 4))) void
text_heading(const struct view_options *o, const char *what, const char *format, ...);

/* Frames, one a line: "at" the innermost, "by" its callers. Without --all, those of the
 * standard library in a row are one line, and of a long stack not all are shown. */
struct frame;
void text_frames(const struct view_options *o, const struct frame *frames, size_t n);
/* The frames of a site. */
void text_stack(const struct view_options *o, uint32_t site);
/* One line: the frame to blame; "" without symbols. */
const char *text_guilty(const struct view_options *o, uint32_t site);
/* What the symbols want to tell: how to get lines. */
void text_hints(const struct view_options *o);

/* The command line as a shell would take it, escaped. Cut at `max` bytes. */
const char *text_command(const struct recording *r, size_t max);
/* "exited with status 3", "killed by signal 11 (Segmentation fault)" ... */
const char *text_end(const struct recording *r);
/* When what the ledger says was so, for a heading: "NOW", "AT THE END" ... */
const char *text_moment(const struct recording *r);

/* Flush; 0, or 1 with a line on stderr. What a verb returns. */
int text_finish(const struct view_options *o);
#endif
