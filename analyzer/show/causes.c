#include "show/causes.h"

#include "names/blame.h"

#include <stdarg.h>
#include <string.h>

#define CALLERS_MOST 64u

static void leave_out(char *line, const char *what) {
  for (char *at = line; (at = strstr(at, what));)
    memmove(at, at + strlen(what), strlen(at + strlen(what)) + 1);
}

/* Without what Python adds to the names of all extensions: of
 * "_ssl.cpython-311-x86_64-linux-gnu.so" "_ssl.so"; and without what C++ calls a
 * namespace that has no name. */
static const char *place_text(struct text_long *to, const struct frame *frame) {
  static const char tag[] = ".cpython-";
  char line[401];
  frame_text(frame, line, sizeof line);
  leave_out(line, "(anonymous namespace)::");
  char *begin = strstr(line, tag), *end = begin ? strstr(begin, ".so") : NULL;
  if (end) memmove(begin, end, strlen(end) + 1);
  return text_escaped_in(to, line);
}

const char *causes_frame_short_in(struct text_long *to, const struct frame *frame) {
  struct frame brief = *frame;
  brief.note = frame->function && !frame->file;
  return place_text(to, &brief);
}

/* Without its line. */
static const char *name_text(struct text_long *to, const struct frame *frame) {
  struct frame brief = *frame;
  brief.file = NULL;
  return causes_frame_short_in(to, &brief);
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

const char *causes_alone_in(struct text_long *to, struct functions *f,
                            const struct causes *c, size_t cause) {
  const struct frame *of = causes_frame(f, &c->at[cause]), *callers[CALLERS_MOST];
  size_t n = causes_common(f, c, cause, callers, CALLERS_MOST), i = 0;
  const char *function = causes_function(f, &c->at[cause]);
  while (i < n && i < CALLERS_MOST && !callers[i]->function)
    i++;
  bool told = of && !of->function && i < n && i < CALLERS_MOST;
  snprintf(to->s, sizeof to->s, "%s%s%s", function, told ? ", called by " : "",
           told ? place_text(TEXT_LONG, callers[i]) : "");
  return to->s;
}

const char *causes_laid_in(struct text_long *to, struct process *p, enum laid by,
                           uint32_t site, const struct view_options *o) {
  const struct causes *c = o->symbols ? laid_by(p, by) : NULL;
  size_t cause = c ? laid_at(c, site) : LAID_NOWHERE;
  return cause == LAID_NOWHERE || c->at[cause].spread
             ? text_guilty_in(to, o, site)
             : causes_alone_in(to, p->functions, c, cause);
}

const char *causes_short_in(struct text_long *to, struct functions *f,
                            const struct cause *c) {
  const struct frame *frame = causes_frame(f, c);
  if (frame) symbols_note_shown(functions_symbols(f), frame, 1);
  return frame ? causes_frame_short_in(to, frame) : "(no call stack)";
}

const char *causes_loop_in(struct text_long *to, struct functions *f,
                           const struct cause *c) {
  const struct frame *frame = causes_frame(f, c);
  if (frame) symbols_note_shown(functions_symbols(f), frame, 1);
  return frame ? name_text(to, frame) : "(no call stack)";
}

const char *causes_helper_in(struct text_long *to, struct functions *f,
                             const struct cause *c) {
  const struct frame *frame = causes_helper(f, c);
  to->s[0] = 0;
  if (frame) snprintf(to->s, sizeof to->s, ", by %s", name_text(TEXT_LONG, frame));
  return to->s;
}

/* Out to the outermost that has a name: it says more than an address, of main even. */
static size_t to_named(const struct frame *const *frames, size_t n) {
  size_t named = n;
  while (named && !frames[named - 1]->function)
    named--;
  return named ? named : n;
}

/* A text that the file has beside the function: what scripts and users call it by. */
static bool is_text(const struct frame *frame) {
  return frame->function && frame->function[0] == '"';
}

/* From i out to the function of an interpreter that calls what it is told to; n: there is
 * none. */
static size_t to_machine(const struct frame *const *frames, size_t i, size_t n) {
  while (i < n && !blame_is_machine(frames[i]))
    i++;
  return i;
}

/* Where what an interpreter called has no name, what had it called, and has a text: a
 * method in C that calls another. How many there are out to it; 0: there is none. */
static size_t to_method(const struct frame *const *frames, size_t i, size_t n) {
  while (i < n && blame_is_machine(frames[i]))
    i++;
  for (n = to_machine(frames, i, n); i < n; i++)
    if (is_text(frames[i])) return i + 1;
  return 0;
}

/* Is it the interpreter's own, called by an extension and not by the script? */
static bool serves_guest(const struct frame *of, const struct frame *const *frames,
                         size_t machine, size_t n) {
  if (machine == n || !frame_same_module(of, frames[machine])) return false;
  for (size_t i = 0; i < machine; i++)
    if (frames[i]->module && !frame_same_module(of, frames[i])) return true;
  return false;
}

/* How many there are out to who uses the code that `of` is in: an extension's function
 * that scripts know by a text, or where the interpreter enters it; of a library the first
 * one outside, or the first of those in its module that has a name. 0: `of` has such a
 * text by itself, or is in no library. */
static size_t to_user(const struct frame *of, const struct frame *const *frames,
                      size_t n) {
  size_t i = 0, machine = to_machine(frames, 0, n);
  if (!of || (is_text(of) && !serves_guest(of, frames, machine, n))) return 0;
  while (i < machine && !is_text(frames[i]))
    i++;
  if (i < machine) return i + 1;
  while (machine < n && i && !frames[i - 1]->function)
    i--;
  if (machine < n) return i ? i : to_method(frames, machine, n);
  if (!n || frame_same_module(of, frames[n - 1])) return 0;
  for (i = 0; i < n && (!frames[i]->module || frame_same_module(of, frames[i]));)
    i++;
  for (size_t named = i; named < n && frame_same_module(frames[i], frames[named]);
       named++)
    if (frames[named]->function) return named + 1;
  return i < n ? i + 1 : 0;
}

/* As many of the first as there is room for before `last` (NULL: before nothing), or all
 * of them; how many. */
static size_t put_chain(struct text_long *to, const struct frame *const *frames, size_t n,
                        const char *last, size_t columns) {
  static const char gap[] = " < ... < ";
  size_t used = 0, i;
  to->s[0] = 0;
  for (i = 0; i < n; i++) {
    const char *next =
        i && i + 1 == n && last ? last : causes_frame_short_in(TEXT_LONG, frames[i]);
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

/* By which function a library was entered says what it was asked for: with its caller it
 * is told last; before it an address gives way to it. `user` is how many there are out to
 * that caller. false: it has no name, or there is no room. */
static bool put_entered(struct text_long *to, const struct frame *of,
                        const struct frame *const *frames, size_t user, size_t columns) {
  static const char gap[] = "< ... < ";
  struct text_long last;
  if (user < 3 || frame_same_module(of, frames[user - 1]) ||
      !frames[user - 2]->function || !frame_same_module(of, frames[user - 2]))
    return false;
  const char *entered = causes_frame_short_in(TEXT_LONG, frames[user - 2]),
             *by = causes_frame_short_in(TEXT_LONG, frames[user - 1]);
  if (strlen(gap) + strlen(entered) + strlen(" < ") + strlen(by) > columns)
    by = name_text(TEXT_LONG, frames[user - 1]);
  int bytes = snprintf(last.s, sizeof last.s, "%s < %s", entered, by);
  size_t first = strlen("<  ") + strlen(causes_frame_short_in(TEXT_LONG, frames[0]));
  if (bytes < 0 || strlen(gap) + (size_t)bytes > columns) return false;
  if (first + strlen(gap) + (size_t)bytes <= columns)
    put_chain(to, frames, user - 1, last.s, columns);
  else if (!frames[0]->function)
    snprintf(to->s, sizeof to->s, "%s%.*s", gap, (int)(sizeof to->s - sizeof gap),
             last.s);
  else
    return false;
  return true;
}

/* The chain to its last one, without the line of that if there is no room for it. */
static size_t put_to_last(struct text_long *to, const struct frame *const *frames,
                          size_t n, size_t columns) {
  struct text_long last;
  if (n < 2) return put_chain(to, frames, n, "", columns);
  size_t put =
      put_chain(to, frames, n, causes_frame_short_in(&last, frames[n - 1]), columns);
  if (strlen(to->s) <= columns) return put;
  return put_chain(to, frames, n, name_text(&last, frames[n - 1]), columns);
}

static void put_only(struct text_long *to, const struct frame *user) {
  snprintf(to->s, sizeof to->s, "< ... < %s", name_text(TEXT_LONG, user));
}

/* The outermost says where it all began, and the user of a library what to change; but
 * the two innermost say more. Where there is no room for them, the second is told if it
 * is the user, and an address gives way to who is. */
static void put_callers(struct text_long *to, const struct frame *of,
                        const struct frame *const *frames, size_t n, size_t columns) {
  enum { INNERMOST = 2 };
  size_t user = to_user(of, frames, n);
  n = user > INNERMOST ? user : to_named(frames, n);
  if (user == n && put_entered(to, of, frames, user, columns)) return;
  bool two = put_to_last(to, frames, n, columns) >= INNERMOST;
  if (user > INNERMOST && strlen(to->s) > columns && !frames[0]->function)
    return put_only(to, frames[user - 1]);
  if (two || user > INNERMOST || put_chain(to, frames, n, NULL, columns) >= INNERMOST)
    return;
  if (user == INNERMOST && !frame_same_module(of, frames[INNERMOST - 1]))
    put_only(to, frames[INNERMOST - 1]);
  else
    put_to_last(to, frames, n, columns);
}

/* Behind its name in a line of callers; NULL: it is not told there. */
static char *behind_name(char *line, const struct frame *frame) {
  const char *name = name_text(TEXT_LONG, frame);
  size_t n = strlen(name);
  for (char *at = line; (at = strstr(at, "< ")) && *(at += 2);)
    if (!strncmp(at, name, n) && (!at[n] || at[n] == ' ')) return at + n;
  return NULL;
}

/* Neither the cause nor its caller: the caller of that says where it is. */
static bool is_nameless(const struct frame *of, const struct frame *const *frames,
                        size_t n) {
  return of && !of->function && n > 2 && !frames[0]->function && frames[1]->function;
}

static void put_nearest(struct text_long *to, const struct frame *of,
                        const struct frame *const *frames, size_t n, size_t columns) {
  static const char before[] = "< ... ";
  struct text_long rest;
  put_callers(to, of, frames, n, columns);
  if (!is_nameless(of, frames, n) || columns < sizeof before ||
      behind_name(to->s, frames[1]))
    return;
  put_callers(&rest, of, frames + 1, n - 1, columns - strlen(before));
  snprintf(to->s, sizeof to->s, "%s%.*s", before, (int)(sizeof to->s - sizeof before),
           rest.s);
}

/* Who uses the library that `of` is in, if that is in a file of its own; NULL: not so. */
static const struct frame *plugin_of(const struct frame *of,
                                     const struct frame *const *frames, size_t n) {
  size_t user = to_user(of, frames, n);
  const struct frame *frame = user ? frames[user - 1] : NULL;
  bool other = frame && frame->function && !frame->file && frame->module &&
               !frame_same_module(of, frame);
  return other && strstr(frame->module, ".so") ? frame : NULL;
}

/* The user is told with that file, if there is room beside: what calls plugins and
 * extensions calls many by the same name. */
const char *causes_chain_in(struct text_long *to, const struct frame *of,
                            const struct frame *const *frames, size_t n, size_t columns) {
  const struct frame *plugin = plugin_of(of, frames, n);
  put_nearest(to, of, frames, n, columns);
  if (!plugin) return to->s;
  struct text_long shorter;
  struct frame with_file = *plugin;
  with_file.note = false;
  with_file.inlined = true; /* without an offset */
  const char *file =
      place_text(TEXT_LONG, &with_file) + strlen(name_text(TEXT_LONG, plugin));
  size_t more = strlen(file);
  put_nearest(&shorter, of, frames, n, columns > more ? columns - more : 0);
  char *at = behind_name(shorter.s, plugin);
  if (!at || strlen(shorter.s) + more > columns) return to->s;
  snprintf(to->s, sizeof to->s, "%.*s%s%s", (int)(at - shorter.s), shorter.s, file, at);
  return to->s;
}

const char *causes_callers_in(struct text_long *to, struct functions *f,
                              const struct causes *c, size_t cause, size_t columns) {
  const struct frame *frames[CALLERS_MOST];
  size_t n = causes_common(f, c, cause, frames, CALLERS_MOST);
  return causes_chain_in(to, causes_frame(f, &c->at[cause]), frames,
                         n < CALLERS_MOST ? n : CALLERS_MOST, columns);
}
