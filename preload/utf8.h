/* utf8.h - which characters of somebody's text may reach a terminal: not those that it
 * obeys (controls), nor those that make what follows look like something else (marks that
 * turn the direction of writing, or have no width), nor what is not UTF-8 at all, of
 * which an older terminal might obey bytes. Shared by the preload and the analyzer. */
#ifndef ULLAGE_UTF8_H
#define ULLAGE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character that begins at s, and which it is; 0: none does. */
static inline unsigned utf8_decode(const char *s, uint32_t *character) {
  const unsigned char *p = (const unsigned char *)s;
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  unsigned n = *p < 0x80       ? 1
               : *p >> 5 == 6  ? 2
               : *p >> 4 == 14 ? 3
               : *p >> 3 == 30 ? 4
                               : 0;
  uint32_t c = n > 1 ? *p & (0x7fu >> n) : *p;
  for (unsigned i = 1; i < n; i++) {
    if (p[i] >> 6 != 2) return 0;
    c = c << 6 | (p[i] & 0x3f);
  }
  if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
  *character = c;
  return n;
}

static inline bool utf8_harmless(uint32_t c) {
  static const uint32_t harm[][2] = {
      {0, 0x1f},          {0x7f, 0x9f},     /* controls */
      {0xad, 0xad},       {0x61c, 0x61c},   /* soft hyphen; directions ... */
      {0x180e, 0x180e},   {0x200b, 0x200f}, /* ... and no width */
      {0x2028, 0x202e},   {0x2060, 0x206f}, /* separators of lines; directions */
      {0xfeff, 0xfeff},   {0xfff9, 0xfffb}, /* byte order mark, annotations */
      {0xfffe, 0xffff},                     /* none, and not for XML */
      {0xe0000, 0xe0fff},                   /* tags */
  };
  for (unsigned i = 0; i < sizeof harm / sizeof *harm; i++)
    if (c >= harm[i][0] && c <= harm[i][1]) return false;
  return true;
}

/* Copy s, what must not be shown as \xNN, as far as `size` bytes reach, and a NUL. Where
 * in s it stopped. */
static inline const char *utf8_escape(char *to, size_t size, const char *s) {
  size_t n = 0;
  while (*s) {
    uint32_t c;
    unsigned bytes = utf8_decode(s, &c);
    bool shown = bytes && utf8_harmless(c);
    if (n + (shown ? bytes : 4) >= size) break;
    if (shown) {
      while (bytes--)
        to[n++] = *s++;
    } else {
      to[n++] = '\\';
      to[n++] = 'x';
      to[n++] = "0123456789abcdef"[(unsigned char)*s >> 4];
      to[n++] = "0123456789abcdef"[(unsigned char)*s++ & 15];
    }
  }
  to[n] = 0;
  return s;
}
#endif
