#include "base/say.h"

#include "base/os_thread.h"
#include "base/text.h"

#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

enum { LINE_BYTES = 512 };

static void put_signed(struct text *line, int value) {
  if (value < 0) text_put(line, "-");
  text_put_number(line, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static void put_format(struct text *line, const char *f, va_list arguments) {
  for (; *f; f++) {
    if (*f != '%') {
      text_put(line, (char[]){*f, 0});
      continue;
    }
    f++;
    if (*f == 's') text_put_shown(line, va_arg(arguments, const char *));
    if (*f == 'd') put_signed(line, va_arg(arguments, int));
    if (*f == 'u') text_put_number(line, va_arg(arguments, unsigned));
    if (*f == 'l') text_put_number(line, va_arg(arguments, unsigned long)), f++;
  }
}

static bool (*may_speak)(void);
static struct os_file at_start;
static bool had_any;

void say_begin(bool (*may)(void)) {
  had_any = os_identify(STDERR_FILENO, &at_start) == 0;
  may_speak = may;
}

static bool is_standard_error(void) {
  struct os_file now;
  return had_any && os_identify(STDERR_FILENO, &now) == 0 &&
         os_same_file(&now, &at_start);
}

static void emit(struct text *line) {
  line->room[line->n++] = '\n'; /* in place of the NUL */
  if (is_standard_error()) os_write_quietly(STDERR_FILENO, line->room, line->n);
}

static void say(const char *format, va_list arguments) {
  char room[LINE_BYTES];
  struct text line = TEXT_IN(room);
  text_put(&line, "ullage: ");
  put_format(&line, format, arguments);
  emit(&line);
}

void say_once(bool *once, const char *format, ...) {
  va_list arguments;
  if (__atomic_exchange_n(once, true, __ATOMIC_RELAXED) || !may_speak || !may_speak())
    return;
  va_start(arguments, format);
  say(format, arguments);
  va_end(arguments);
}

void say_last(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say(format, arguments);
  va_end(arguments);
}

/* ---- progress ------------------------------------------------------------------ */

#define START_OF_LINE "\r\033[K"
static unsigned shown; /* percent + 1; 0: no line is there */

static void show(struct text *line) {
  if (is_standard_error()) os_write_quietly(STDERR_FILENO, line->room, line->n);
}

bool say_progress(const char *what, unsigned percent) {
  char room[LINE_BYTES];
  struct text line = TEXT_IN(room);
  if (!may_speak || !may_speak() || !os_is_terminal(STDERR_FILENO)) return false;
  if (shown == percent + 1) return true;
  shown = percent + 1;
  text_put(&line, START_OF_LINE "ullage: ");
  text_put(&line, what);
  text_put(&line, ": ");
  text_put_number(&line, percent);
  text_put(&line, " %");
  show(&line);
  return true;
}

void say_progress_over(void) {
  char room[sizeof START_OF_LINE];
  struct text line = TEXT_IN(room);
  text_put(&line, START_OF_LINE);
  if (shown) show(&line);
  shown = 0;
}

void say_invariant(const char *what, const char *file, int number) {
  char room[LINE_BYTES];
  struct text line = TEXT_IN(room);
  text_put(&line, "ullage: invariant does not hold: ");
  text_put(&line, what);
  text_put(&line, " (");
  text_put(&line, file);
  text_put(&line, ":");
  text_put_number(&line, (unsigned)number);
  text_put(&line, ")");
  emit(&line);
  os_kill_self(SIGABRT);
  os_exit(128 + SIGABRT);
}
