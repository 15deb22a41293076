#include "command/usage.h"
#include "utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Names in it, of files and programs, may be anybody's. */
__attribute__((format(printf, 1, 0), nonnull)) static void
say_list(const char *format, va_list arguments, const char *end) {
  char *text = NULL, *shown = NULL;
  if (vasprintf(&text, format, arguments) >= 0) {
    size_t room = strlen(text) * 4 + 1;
    shown = malloc(room);
    if (shown) utf8_escape(shown, room, text);
  }
  fprintf(stderr, "ullage: %s%s", shown ? shown : "(out of memory)", end);
  free(shown);
  free(text);
}

void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say_list(format, arguments, "\n");
  va_end(arguments);
}

int say_failed(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say_list(format, arguments, "\n");
  va_end(arguments);
  return EXIT_FAILED;
}

int say_usage(const char *verb, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say_list(format, arguments, "; see 'ullage ");
  fprintf(stderr, "%s%s--help'\n", verb ? verb : "", verb ? " " : "");
  va_end(arguments);
  return EXIT_USAGE;
}

int say_bad_option(const char *verb, char *const argv[], int result,
                   const struct option *options) {
  const char *word = argv[optind - 1];
  bool is_long = strncmp(word, "--", 2) == 0;
  if (result == ':') return say_usage(verb, "option %s needs a value", word);
  if (!is_long && optopt) return say_usage(verb, "unknown option -%c", optopt);
  for (; options->name; options++)
    if (optopt && options->val == optopt)
      return say_usage(verb, "option --%s takes no value", options->name);
  return say_usage(verb, "unknown option %s", word);
}

unsigned page_columns(int fd) {
  enum { LEAST = 20, MOST = 1000 };
  const char *wanted = getenv("COLUMNS");
  struct winsize size;
  unsigned columns;
  if (wanted && parse_number(wanted, LEAST, MOST, &columns)) return columns;
  if (!isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) != 0 || !size.ws_col) return 0;
  return size.ws_col < LEAST ? LEAST : size.ws_col;
}

bool parse_yes_no(const char *text, bool *value) {
  *value = strcmp(text, "yes") == 0;
  return *value || strcmp(text, "no") == 0;
}

bool parse_number(const char *text, unsigned least, unsigned most, unsigned *value) {
  char *end;
  if (*text < '0' || *text > '9') return false;
  unsigned long n = strtoul(text, &end, 10);
  *value = (unsigned)n;
  return !*end && n >= least && n <= most;
}

bool parse_size(const char *text, uint64_t *value) {
  static const char units[] = "KMGT";
  char *end;
  if (*text < '0' || *text > '9') return false;
  errno = 0;
  *value = strtoull(text, &end, 10);
  const char *unit = *end ? strchr(units, *end) : NULL;
  unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
  if (unit) end++;
  if (unit && strcmp(end, "iB") == 0) end += 2;
  if (*end || errno || *value > UINT64_MAX >> shift) return false;
  *value <<= shift;
  return true;
}
