/* text.h - how the answers look as text: sizes, counts, times, stacks.
 *
 * A function that makes a string writes it into a buffer handed in and returns that, or a
 * constant. The macros of the same name hand in one of the calling block: the string is
 * good until the end of the block that the call stands in. Text from a recording is
 * escaped before it reaches a terminal. */
#ifndef ULLAGE_TEXT_H
#define ULLAGE_TEXT_H

#include "show/verbs.h"

struct text_short {
  char s[96];
};
struct text_long {
  char s[1664];
};
#define TEXT_SHORT (&(struct text_short){.s = ""})
#define TEXT_LONG (&(struct text_long){.s = ""})

/* "1.5 MiB" */
const char *text_size_in(struct text_short *to, const struct view_options *o,
                         uint64_t bytes);
#define text_size(o, bytes) text_size_in(TEXT_SHORT, o, bytes)
const char *text_size_signed_in(struct text_short *to, const struct view_options *o,
                                int64_t bytes);
#define text_size_signed(o, bytes) text_size_signed_in(TEXT_SHORT, o, bytes)
const char *text_count_in(struct text_short *to, uint64_t n); /* "1,234,567" */
#define text_count(n) text_count_in(TEXT_SHORT, n)
/* "1 block", "1,234 blocks" */
const char *text_plural_in(struct text_short *to, uint64_t n, const char *singular,
                           const char *plural);
#define text_plural(n, singular, plural) text_plural_in(TEXT_SHORT, n, singular, plural)
/* "12 ms", "3.21 s", "2 h 03 min" */
const char *text_time_in(struct text_short *to, uint64_t ms);
#define text_time(ms) text_time_in(TEXT_SHORT, ms)
const char *text_percent_in(struct text_short *to, uint64_t part, uint64_t whole);
#define text_percent(part, whole) text_percent_in(TEXT_SHORT, part, whole)
/* No control characters; cut at 400 bytes. */
const char *text_escaped_in(struct text_long *to, const char *s);
#define text_escaped(s) text_escaped_in(TEXT_LONG, s)

/* The same of a path, and no longer than `most` (but for what is escaped in it): what it
 * lacks is in the middle, for its end tells most. */
const char *text_path_in(struct text_long *to, const char *path, size_t most);
#define text_path(path, most) text_path_in(TEXT_LONG, path, most)
#define TEXT_PATH 40u /* in a line that says more */

#define TEXT_COLUMNS 100u /* where the output is no terminal */
/* What is left of a line, unless all is asked for. */
size_t text_room(const struct view_options *o, size_t used);
/* Lines, each cut at the width of the page (escape sequences take no room). */
void text_fit(const struct view_options *o, const char *lines);
/* Lines, each that is longer than the page in two, the second indented. */
void text_fold(const struct view_options *o, const char *lines, size_t indent);

/* Of a sampled recording: " (95 %: 1.2 MiB to 3.4 MiB)", between which what a site has,
 * or several, of which that part was estimated, truly lies; "": it is known. */
const char *text_interval_in(struct text_short *to, const struct view_options *o,
                             struct ul_amount all, struct ul_amount estimated);
#define text_interval(o, all, estimated) text_interval_in(TEXT_SHORT, o, all, estimated)
/* The same in bytes; false: it is known, and both are what it is. Where samples began
 * later, there may be some of what has none. */
bool text_bounds(const struct view_options *o, struct ul_amount all,
                 struct ul_amount estimated, uint64_t *low, uint64_t *high);
/* ... and a line that says that the recording is one, and from when on, after `lead`. */
void text_sampled(const struct view_options *o, const char *lead);

enum text_style { TEXT_PLAIN, TEXT_STRONG, TEXT_FAINT, TEXT_BAD, TEXT_GOOD };
/* Escape sequences around what follows; "" without color. */
const char *text_on(const struct view_options *o, enum text_style style);
const char *text_off(const struct view_options *o);

/* "LIVE AT THE END (3 of 17 sites)": what, then in plain style the rest. */
__attribute__((format(printf, 3, 4))) void
text_heading(const struct view_options *o, const char *what, const char *format, ...);

/* A blank line, and the number of an entry. */
void text_entry(const struct view_options *o, size_t number);

/* Frames, one a line: "at" the innermost, "by" its callers. Without --all, those of the
 * standard library in a row are one line, and of a long stack not all are shown. */
struct frame;
void text_frames(const struct view_options *o, const struct frame *frames, size_t n);
/* The frames of a site; of a stack that the page has, where that is. */
void text_stack(const struct view_options *o, uint32_t site);
/* One line: the frame to blame; "" without symbols. */
const char *text_guilty_in(struct text_long *to, const struct view_options *o,
                           uint32_t site);
#define text_guilty(o, site) text_guilty_in(TEXT_LONG, o, site)
/* The same of frames; they are at least one. */
const char *text_blamed_in(struct text_long *to, const struct frame *frames, size_t n);
#define text_blamed(frames, n) text_blamed_in(TEXT_LONG, frames, n)
/* What symbols want to tell: how to get lines. */
void text_hint(const struct view_options *o, const char *hint, bool first);

/* One word as a shell would take it, escaped. */
const char *text_word_in(struct text_long *to, const char *word);
#define text_word(word) text_word_in(TEXT_LONG, word)
/* The command line as a shell would take it, escaped. Cut at `max` bytes. */
const char *text_command_in(struct text_long *to, const struct recording *r, size_t max);
#define text_command(r, max) text_command_in(TEXT_LONG, r, max)
/* "exited with status 3", "killed by signal 11 (Segmentation fault)" ... */
const char *text_end_in(struct text_long *to, const struct recording *r);
#define text_end(r) text_end_in(TEXT_LONG, r)
/* When what the ledger says was so, for a heading: "NOW", "AT THE END" ... */
const char *text_moment(const struct recording *r);
/* When a look back was: "at 12.3 s", "at 12.3 s, loaded". */
const char *text_when_in(struct text_long *to, const struct view_options *o,
                         const struct moment *at, uint64_t peak_bytes);
#define text_when(o, at, peak_bytes) text_when_in(TEXT_LONG, o, at, peak_bytes)
/* Does what is known of another moment do for the peak? */
bool text_is_near(uint64_t bytes, uint64_t peak_bytes);

/* Flush; 0, or 1 with a line on stderr. What a verb returns. */
int text_finish(const struct view_options *o);
#endif
