#include "base/say.h"

#include "base/os_thread.h"
#include "base/text.h"
#include "utf8.h"

#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

struct line {
  char text[512];
  size_t n;
};

static void put(struct line *l, const char *s) {
  l->n += utf8_escape(l->text + l->n, sizeof l->text - l->n, s);
}

static void put_number(struct line *l, unsigned long value) {
  char digits[TEXT_DIGITS];
  put(l, text_number(digits, value));
}

static void put_signed(struct line *l, int value) {
  if (value < 0) put(l, "-");
  put_number(l, value < 0 ? -(unsigned long)value : (unsigned long)value);
}

static void put_format(struct line *l, const char *f, va_list arguments) {
  for (; *f; f++) {
    if (*f != '%') {
      put(l, (char[]){*f, 0});
      continue;
    }
    f++;
    if (*f == 's') put(l, va_arg(arguments, const char *));
    if (*f == 'd') put_signed(l, va_arg(arguments, int));
    if (*f == 'u') put_number(l, va_arg(arguments, unsigned));
    if (*f == 'l') put_number(l, va_arg(arguments, unsigned long)), f++;
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

static void emit(struct line *l) {
  l->text[l->n++] = '\n'; /* in place of the NUL */
  if (is_standard_error()) os_write_quietly(STDERR_FILENO, l->text, l->n);
}

void say_once(bool *once, const char *format, ...) {
  if (__atomic_exchange_n(once, true, __ATOMIC_RELAXED) || !may_speak || !may_speak())
    return;
  struct line l = {.n = 0};
  va_list arguments;
  va_start(arguments, format);
  put(&l, "ullage: ");
  put_format(&l, format, arguments);
  va_end(arguments);
  emit(&l);
}

void say_invariant(const char *what, const char *file, int line) {
  struct line l = {.n = 0};
  put(&l, "ullage: invariant does not hold: ");
  put(&l, what);
  put(&l, " (");
  put(&l, file);
  put(&l, ":");
  put_number(&l, (unsigned long)line);
  put(&l, ")");
  emit(&l);
  os_kill_self(SIGABRT);
  os_exit(128 + SIGABRT);
}
