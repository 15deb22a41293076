#include "base/text.h"

#include "utf8.h"

#include <string.h>

struct text text_in(char *room, size_t size) {
  *room = 0;
  return (struct text){room, 0, size, false};
}

/* As utf8_escape. */
static const char *copy(char *to, size_t size, const char *s) {
  size_t n = strnlen(s, size - 1);
  memcpy(to, s, n);
  to[n] = 0;
  return s + n;
}

static void put(struct text *t, const char *s,
                const char *copy_as(char *to, size_t size, const char *s)) {
  char *to = t->room + t->n;
  t->cut |= *copy_as(to, t->size - t->n, s) != 0;
  t->n += strlen(to);
}

void text_put(struct text *t, const char *s) {
  put(t, s, copy);
}

void text_put_shown(struct text *t, const char *s) {
  put(t, s, utf8_escape);
}

void text_put_number(struct text *t, uint64_t value) {
  char digits[TEXT_DIGITS];
  text_put(t, text_number(digits, value));
}
