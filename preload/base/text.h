/* text.h - numbers to and from text, and text put together piece by piece, where libc's
 * functions may not be called. */
#ifndef ULLAGE_TEXT_H
#define ULLAGE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_DIGITS = 21 }; /* of any number, with the NUL */

/* Where in `digits` the decimal number begins, which a NUL ends. */
static inline char *text_number(char digits[TEXT_DIGITS], uint64_t value) {
  char *p = digits + TEXT_DIGITS - 1;
  *p = 0;
  do
    *--p = (char)('0' + value % 10);
  while (value /= 10);
  return p;
}

static inline int text_hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number whose digits begin at *p, which moves behind them; 0 if there are none.
 * `end` may be NULL if some other character ends the text. */
static inline uint64_t text_decimal(const char **p, const char *end) {
  uint64_t value = 0;
  for (; *p != end && **p >= '0' && **p <= '9'; ++*p)
    value = value * 10 + (uint64_t)(**p - '0');
  return value;
}

static inline uint64_t text_hex(const char **p, const char *end) {
  uint64_t value = 0;
  for (; *p != end && text_hex_digit(**p) >= 0; ++*p)
    value = value << 4 | (uint64_t)text_hex_digit(**p);
  return value;
}

/* Text in its user's room of `size` bytes, of which the last is for the NUL that always
 * ends it. What does not fit is left out; `cut` says so. */
struct text {
  char *room;
  size_t n, size;
  bool cut;
};
#define TEXT_IN(array) text_in(array, sizeof(array))
struct text text_in(char *room, size_t size);

void text_put(struct text *t, const char *s);
/* What a terminal must not get as \xNN (utf8.h). */
void text_put_shown(struct text *t, const char *s);
void text_put_number(struct text *t, uint64_t value);
#endif
