#include "show/text.h"

#include "show/once.h"
#include "utf8.h"
#include "weight.h"

#include "names/frame.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define FRAMES_SHOWN 8
#define FRAMES_INNER 2 /* shown above the guilty one if that is far out */
#define ESCAPED_BYTES 400

const char *text_count_in(struct text_short *buffer, uint64_t n) {
  char digits[24], *out = buffer->s, *to = out;
  int count = snprintf(digits, sizeof digits, "%" PRIu64, n);
  for (int i = 0; i < count; i++) {
    if (i && (count - i) % 3 == 0) *to++ = ',';
    *to++ = digits[i];
  }
  *to = 0;
  return out;
}

const char *text_plural_in(struct text_short *to, uint64_t n, const char *singular,
                           const char *plural) {
  snprintf(to->s, sizeof to->s, "%s %s", text_count(n), n == 1 ? singular : plural);
  return to->s;
}

const char *text_size_in(struct text_short *to, const struct view_options *o,
                         uint64_t bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (o->bytes) return text_count_in(to, bytes);
  double value = (double)bytes;
  unsigned unit = 0;
  while (value >= 1023.95 && unit < 6) {
    value /= 1024;
    unit++;
  }
  snprintf(to->s, sizeof to->s, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return to->s;
}

const char *text_size_signed_in(struct text_short *to, const struct view_options *o,
                                int64_t bytes) {
  if (bytes >= 0) return text_size_in(to, o, (uint64_t)bytes);
  snprintf(to->s, sizeof to->s, "-%s", text_size(o, -(uint64_t)bytes));
  return to->s;
}

const char *text_time_in(struct text_short *to, uint64_t ms) {
  uint64_t s = ms / 1000;
  if (ms < 1000)
    snprintf(to->s, sizeof to->s, "%" PRIu64 " ms", ms);
  else if (s < 100)
    snprintf(to->s, sizeof to->s, "%.2f s", (double)ms / 1000);
  else if (s < 7200)
    snprintf(to->s, sizeof to->s, "%" PRIu64 " min %02" PRIu64 " s", s / 60, s % 60);
  else
    snprintf(to->s, sizeof to->s, "%" PRIu64 " h %02" PRIu64 " min", s / 3600,
             s / 60 % 60);
  return to->s;
}

const char *text_percent_in(struct text_short *to, uint64_t part, uint64_t whole) {
  double percent = whole ? 100.0 * (double)part / (double)whole : 0;
  snprintf(to->s, sizeof to->s, percent < 10 ? "%.1f %%" : "%.0f %%", percent);
  return to->s;
}

const char *text_escaped_in(struct text_long *to, const char *s) {
  utf8_escape(to->s, ESCAPED_BYTES + 1, s);
  return to->s;
}

/* Where a character begins, at or before that byte. */
static size_t character_at(const char *s, size_t byte) {
  while (byte > 0 && ((unsigned char)s[byte] & 0xc0) == 0x80)
    byte--;
  return byte;
}

const char *text_path_in(struct text_long *to, const char *path, size_t most) {
  static const char gap[] = "...";
  size_t bytes = strlen(path);
  if (most > ESCAPED_BYTES) most = ESCAPED_BYTES;
  if (bytes <= most) return text_escaped_in(to, path);
  size_t room = most > strlen(gap) ? most - strlen(gap) : 0;
  size_t first = character_at(path, room / 3);
  char begin[ESCAPED_BYTES + 1];
  snprintf(begin, sizeof begin, "%.*s", (int)first, path);
  snprintf(to->s, sizeof to->s, "%s%s%s", text_escaped(begin), gap,
           text_escaped(path + character_at(path, bytes - (room - room / 3))));
  return to->s;
}

size_t text_room(const struct view_options *o, size_t used) {
  enum { LEAST = 16 };
  size_t width = o->columns ? o->columns : TEXT_COLUMNS;
  if (o->all) return ESCAPED_BYTES;
  return width > used + LEAST ? width - used : LEAST;
}

const char *text_on(const struct view_options *o, enum text_style style) {
  static const char *const codes[] = {[TEXT_PLAIN] = "",
                                      [TEXT_STRONG] = "\033[1m",
                                      [TEXT_FAINT] = "\033[2m",
                                      [TEXT_BAD] = "\033[1;31m",
                                      [TEXT_GOOD] = "\033[32m"};
  return o->color ? codes[style] : "";
}

const char *text_off(const struct view_options *o) {
  return o->color ? "\033[0m" : "";
}

/* Bytes of an escape sequence or of a character; *columns: what it takes of the width. */
static size_t text_step(const char *s, size_t *columns) {
  *columns = 1;
  if (*s == '\033') {
    const char *m = strchr(s, 'm');
    *columns = 0;
    return m ? (size_t)(m - s) + 1 : 1;
  }
  size_t n = 1;
  while (((unsigned char)s[n] & 0xc0) == 0x80)
    n++;
  return n;
}

static void text_fit_line(const struct view_options *o, const char *line, size_t bytes) {
  size_t width = o->columns ? o->columns : TEXT_COLUMNS, used = 0, columns;
  size_t keep = 0; /* bytes in front of "..." */
  for (size_t i = 0; i < bytes; i += text_step(line + i, &columns), used += columns)
    if (used + strlen(" ...") <= width) keep = i;
  bool cut = used > width;
  fprintf(o->out, "%.*s%s%s\n", (int)(cut ? keep : bytes), line, cut ? " ..." : "",
          cut ? text_off(o) : "");
}

void text_fit(const struct view_options *o, const char *lines) {
  while (*lines) {
    size_t bytes = strcspn(lines, "\n");
    text_fit_line(o, lines, bytes);
    lines += bytes + (lines[bytes] == '\n');
  }
}

/* How much of a line stands in the first of two: up to the last "; " that fits, else to
 * the last blank. 0: all of it, or there is none. */
static size_t first_part(const char *line, size_t bytes, size_t width, size_t indent) {
  size_t used = 0, columns, blank = 0, clause = 0;
  for (size_t i = 0; i < bytes; i += text_step(line + i, &columns), used += columns) {
    if (used > width) return clause ? clause : blank;
    if (line[i] != ' ' || used <= indent) continue;
    blank = i;
    if (line[i - 1] == ';') clause = i;
  }
  return used > width ? clause ? clause : blank : 0;
}

void text_fold(const struct view_options *o, const char *lines, size_t indent) {
  size_t width = o->columns ? o->columns : TEXT_COLUMNS;
  while (*lines) {
    size_t bytes = strcspn(lines, "\n"), first = first_part(lines, bytes, width, indent);
    if (first)
      fprintf(o->out, "%.*s\n%*s%.*s\n", (int)first, lines, (int)indent, "",
              (int)(bytes - first - 1), lines + first + 1);
    else
      fprintf(o->out, "%.*s\n", (int)bytes, lines);
    lines += bytes + (lines[bytes] == '\n');
  }
}

void text_heading(const struct view_options *o, const char *what, const char *format,
                  ...) {
  va_list list;
  if (o->once) once_section(o->once, what);
  va_start(list, format);
  fprintf(o->out, "\n%s%s%s", text_on(o, TEXT_STRONG), what, text_off(o));
  vfprintf(o->out, format, list);
  fputc('\n', o->out);
  va_end(list);
}

void text_entry(const struct view_options *o, size_t number) {
  if (o->once) once_entry(o->once, number);
  fprintf(o->out, "\n %3zu   ", number);
}

/* ---- stacks -------------------------------------------------------------------- */

static const char *frame_line(struct text_long *to, const struct frame *f) {
  char line[ESCAPED_BYTES + 1];
  frame_text(f, line, sizeof line);
  return text_escaped_in(to, line);
}

struct stack {
  const struct frame *frames;
  size_t count, guilty;
};

/* What takes one line: a frame, or several of the standard library in a row. */
struct line {
  size_t first, frames;
};

/* The line that begins at frame i or later; no frames: there is none. Gives the index
 * behind it. */
static size_t next_line(const struct view_options *o, const struct stack *s, size_t i,
                        struct line *line) {
  *line = (struct line){.first = i};
  for (; i < s->count; i++) {
    if (s->frames[i].hidden && !o->all) continue;
    bool folds = !o->all && i != s->guilty && frame_is_library(&s->frames[i]);
    if (line->frames && !folds) break;
    if (!line->frames++) line->first = i;
    if (!folds) return i + 1;
  }
  return i;
}

static void print_frame(const struct view_options *o, const struct stack *s, size_t i,
                        bool first) {
  fprintf(o->out, "       %s %s%s%s%s\n", first ? "at" : "by",
          text_on(o, i == s->guilty ? TEXT_STRONG : TEXT_PLAIN),
          frame_line(TEXT_LONG, &s->frames[i]), i == s->guilty ? text_off(o) : "",
          s->frames[i].inlined ? " [inlined]" : "");
}

static void print_folded(const struct view_options *o, size_t frames, const char *of) {
  fprintf(o->out, "       %s... %s %s%s\n", text_on(o, TEXT_FAINT), text_count(frames),
          of, text_off(o));
}

static void print_line(const struct view_options *o, const struct stack *s,
                       const struct line *line, bool first) {
  if (line->frames == 1)
    print_frame(o, s, line->first, first);
  else
    print_folded(o, line->frames, "frames of the standard library");
}

/* Lines before the guilty frame's, and all. */
static size_t count_lines(const struct view_options *o, const struct stack *s,
                          size_t *before) {
  size_t lines = 0;
  struct line line;
  *before = 0;
  for (size_t i = 0; (i = next_line(o, s, i, &line)), line.frames; lines++)
    if (line.first == s->guilty) *before = lines;
  return lines;
}

/* Of a long stack: the innermost frames, the guilty one and its callers. Nothing is
 * left out where a line would say only that. */
void text_frames(const struct view_options *o, const struct frame *frames, size_t n) {
  struct stack s = {frames, n, n ? frame_guilty(frames, n) : 0};
  size_t guilty, lines = count_lines(o, &s, &guilty), number = 0, skipped = 0;
  size_t inner = o->all || guilty < FRAMES_SHOWN ? guilty : FRAMES_INNER;
  size_t end = guilty + FRAMES_SHOWN - inner;
  if (o->all || end + 1 >= lines) end = lines;
  struct line line;
  bool first = true;
  for (size_t i = 0; (i = next_line(o, &s, i, &line)), line.frames; number++) {
    if ((number >= inner && number < guilty) || number >= end) {
      skipped += line.frames;
      continue;
    }
    if (skipped) print_folded(o, skipped, "more frames (--all)");
    skipped = 0;
    print_line(o, &s, &line, first);
    first = first && line.frames > 1;
  }
  if (skipped) print_folded(o, skipped, "more frames (--all)");
}

/* To be freed. NULL: no memory. */
static char *lines_of(const struct view_options *options, const struct frame *frames,
                      size_t n) {
  struct view_options o = *options;
  char *lines = NULL;
  size_t bytes;
  if (!(o.out = open_memstream(&lines, &bytes))) return NULL;
  text_frames(&o, frames, n);
  if (fclose(o.out) == 0) return lines;
  free(lines);
  return NULL;
}

static bool is_one_line(const char *lines) {
  return strchr(lines, '\n') + 1 == lines + strlen(lines);
}

/* One line is as short as where it is. */
void text_stack(const struct view_options *o, uint32_t site) {
  const struct frame *frames;
  size_t n = frame_stack(o->symbols, site, &frames);
  symbols_note_shown(o->symbols, frames, n);
  char *lines = o->once && n ? lines_of(o, frames, n) : NULL;
  struct text_long to;
  bool once = lines && *lines && !is_one_line(lines);
  const char *where = once ? once_where_in(&to, o->once, lines) : NULL;
  if (where)
    fprintf(o->out, "       as %s: %s\n", where, text_blamed(frames, n));
  else if (lines)
    fputs(lines, o->out);
  else
    text_frames(o, frames, n);
  free(lines);
}

const char *text_blamed_in(struct text_long *to, const struct frame *frames, size_t n) {
  size_t guilty = frame_guilty(frames, n);
  const char *line = frame_line(to, &frames[guilty]);
  if (frames[guilty].function) return line;
  size_t caller = frame_named_caller(frames, n, guilty), have = strlen(line);
  snprintf(to->s + have, sizeof to->s - have, " (no name)%s%s",
           caller < n ? ", called by " : "",
           caller < n ? frame_line(TEXT_LONG, &frames[caller]) : "");
  return to->s;
}

const char *text_guilty_in(struct text_long *to, const struct view_options *o,
                           uint32_t site) {
  const struct frame *frames;
  if (!o->symbols) return "";
  size_t n = frame_stack(o->symbols, site, &frames);
  symbols_note_shown(o->symbols, &frames[frame_guilty(frames, n)], 1);
  return text_blamed_in(to, frames, n);
}

/* A sentence in lines as wide as the page, broken at blanks; the first begins with
 * `before`, the others with as many blanks. */
static void wrap(const struct view_options *o, const char *before, const char *s) {
  size_t indent = strlen(before), width = o->columns ? o->columns : TEXT_COLUMNS;
  size_t room = width > indent + 20 ? width - indent : 20;
  for (const char *start = before; *s; start = "") {
    size_t n = strlen(s) <= room ? strlen(s) : room;
    while (s[n] && n > 0 && s[n] != ' ')
      n--;
    if (n == 0) n = strcspn(s, " ");
    fprintf(o->out, "%-*s%.*s\n", (int)indent, start, (int)n, s);
    s += n + (s[n] == ' ');
  }
}

bool text_bounds(const struct view_options *o, struct ul_amount all,
                 struct ul_amount estimated, uint64_t *low, uint64_t *high) {
  *low = *high = all.bytes;
  if (!o->sampling.bytes || !all.blocks || (!estimated.blocks && !o->sampling.ms))
    return false;
  struct ul_amount of = estimated.blocks ? estimated : all;
  uint64_t known = all.bytes > estimated.bytes ? all.bytes - estimated.bytes : 0;
  struct weight_bounds b =
      weight_interval((double)estimated.bytes, (double)of.bytes / (double)of.blocks,
                      (double)o->sampling.bytes);
  *low = known + (uint64_t)b.low;
  *high = known + (uint64_t)b.high;
  return true;
}

const char *text_interval_in(struct text_short *to, const struct view_options *o,
                             struct ul_amount all, struct ul_amount estimated) {
  uint64_t low, high;
  if (!text_bounds(o, all, estimated, &low, &high)) return "";
  snprintf(to->s, sizeof to->s, " (95 %%: %s to %s)", text_size(o, low),
           text_size(o, high));
  return to->s;
}

void text_sampled(const struct view_options *o, const char *lead) {
  if (!o->sampling.bytes) return;
  fprintf(o->out,
          "%s one stack in %s: what call sites have is estimated, totals are exact\n",
          lead, text_size(o, o->sampling.bytes));
  if (o->sampling.ms)
    fprintf(o->out, "%*s since %s, %s allocations and frees; all stacks until then\n",
            (int)strlen(lead + strspn(lead, "\n")), "", text_time(o->sampling.ms),
            text_count(o->sampling.work));
}

void text_hint(const struct view_options *o, const char *hint, bool first) {
  if (first) fputc('\n', o->out);
  wrap(o, "hint: ", text_escaped(hint));
}

/* ---- the program --------------------------------------------------------------- */

static bool plain_word(const char *s) {
  for (const char *p = s; *p; p++)
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                "_-./=:,+@%^",
                *p))
      return false;
  return *s != 0;
}

const char *text_word_in(struct text_long *to, const char *word) {
  char quoted[sizeof to->s];
  size_t n = 0;
  bool plain = plain_word(word);
  if (!plain) quoted[n++] = '\'';
  for (; *word && n < sizeof quoted - 6; word++)
    n += (size_t)snprintf(quoted + n, 5, *word == '\'' ? "'\\''" : "%c", *word);
  strcpy(quoted + n, plain ? "" : "'");
  utf8_escape(to->s, sizeof to->s, quoted);
  return to->s;
}

const char *text_command_in(struct text_long *to, const struct recording *r, size_t max) {
  char *out = to->s;
  out[0] = 0;
  size_t n = 0;
  if (max > sizeof to->s - 8) max = sizeof to->s - 8;
  const char *word;
  for (uint32_t i = 0; n < max && (word = recording_argument(r, i)); i++) {
    const char *quote = plain_word(word) ? "" : "'";
    n += (size_t)snprintf(out + n, sizeof to->s - n, "%s%s%s%s", i ? " " : "", quote,
                          text_escaped(word), quote);
  }
  if (n > max) snprintf(out + max, 8, " ...");
  if (!n) return text_escaped_in(to, recording_text(r, recording_header(r)->program));
  return out;
}

const char *text_end_in(struct text_long *to, const struct recording *r) {
  const struct ul_header *h = recording_header(r);
  switch (recording_end(r)) {
  case RECORDING_RUNNING:
    return h->copied_ms ? "was running when this copy was made" : "is still running";
  case RECORDING_KILLED:
    return "was killed";
  case RECORDING_EXITED:
    snprintf(to->s, sizeof to->s, "exited with status %" PRId32, h->status);
    return to->s;
  case RECORDING_SIGNALED: {
    if (recording_was_oom_killed(r)) return "was OOM-killed";
    const char *name = sigdescr_np(h->status);
    snprintf(to->s, sizeof to->s, "was ended by signal %" PRId32 " (%s)", h->status,
             name ? name : "unknown");
    return to->s;
  }
  case RECORDING_EXECED:
    snprintf(to->s, sizeof to->s, "replaced itself by %s",
             text_path(recording_text(r, h->exec), TEXT_PATH));
    return to->s;
  case RECORDING_ABORTED:
    return "aborted";
  case RECORDING_ELSEWHERE:
    return "runs, or was killed, in another name space";
  case RECORDING_UNSEEN:
    return "is gone";
  }
  return "ended";
}

const char *text_moment(const struct recording *r) {
  switch (recording_end(r)) {
  case RECORDING_RUNNING:
    return recording_header(r)->copied_ms ? "WHEN IT WAS COPIED" : "NOW";
  case RECORDING_KILLED:
  case RECORDING_SIGNALED:
    return "WHEN IT WAS KILLED";
  case RECORDING_ELSEWHERE:
    return "NOW, OR WHEN IT WAS KILLED";
  case RECORDING_EXECED:
    return "WHEN IT REPLACED ITSELF";
  case RECORDING_ABORTED:
    return "WHEN IT ABORTED";
  default:
    return "AT THE END";
  }
}

bool text_is_near(uint64_t bytes, uint64_t peak_bytes) {
  return bytes >= peak_bytes / 100 * 99;
}

const char *text_when_in(struct text_long *to, const struct view_options *o,
                         const struct moment *at, uint64_t peak_bytes) {
  uint64_t ms;
  int n = snprintf(to->s, sizeof to->s, "at %s", text_time(at->ms));
  size_t used = n > 0 ? (size_t)n : 0;
  if (at->is_peak && !text_is_near(at->live_bytes, peak_bytes))
    snprintf(to->s + used, sizeof to->s - used, ", nearest to the peak of %s",
             text_size(o, peak_bytes));
  else if (!moment_time(at->name, &ms))
    snprintf(to->s + used, sizeof to->s - used, ", %s", text_escaped(at->name));
  return to->s;
}

int text_finish(const struct view_options *o) {
  if (fflush(o->out) == 0 && !ferror(o->out)) return 0;
  fprintf(stderr, "ullage: the answer could not be written: %s\n", strerror(errno));
  return 1;
}
