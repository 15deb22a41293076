/* bytes.h - a run of bytes, read one after the other. What would lie behind the end reads
 * as 0, and is remembered. */
#ifndef ULLAGE_BYTES_H
#define ULLAGE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
  const uint8_t *at, *end;
  bool bad;
};

static inline size_t left(const struct bytes *b) {
  return (size_t)(b->end - b->at);
}

static inline void skip(struct bytes *b, uint64_t n) {
  b->bad |= n > left(b);
  b->at = n > left(b) ? b->end : b->at + n;
}

static inline uint64_t take(struct bytes *b, unsigned n) {
  uint64_t value = 0;
  const uint8_t *from = b->at;
  skip(b, n);
  if (!b->bad) memcpy(&value, from, n);
  return value;
}

static inline int64_t take_signed(struct bytes *b, unsigned n) {
  unsigned above = 64 - 8 * n;
  return (int64_t)(take(b, n) << above) >> above;
}

/* The bits of a LEB128, and how many they are. */
static inline uint64_t take_leb(struct bytes *b, unsigned *bits) {
  uint64_t value = 0, byte;
  *bits = 0;
  do {
    byte = take(b, 1);
    if (*bits < 64) value |= (byte & 0x7f) << *bits;
    *bits += 7;
  } while (byte & 0x80);
  return value;
}

static inline uint64_t take_uleb(struct bytes *b) {
  unsigned bits;
  return take_leb(b, &bits);
}

static inline int64_t take_sleb(struct bytes *b) {
  unsigned bits;
  uint64_t value = take_leb(b, &bits);
  if (bits >= 64) return (int64_t)value;
  return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

#endif
