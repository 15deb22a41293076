/* The recording's tables as plain arrays, for tests of what fills them. */
#include "stub_table.h"

#include <stdatomic.h>
#include <string.h>

#define MODULES 4096
#define TEXT (1 << 20)

static struct ul_header header;
struct ul_header *recording = &header;
uint64_t recording_start_ms;
static struct ul_module modules[MODULES];
static char text[TEXT];
static _Atomic uint64_t modules_used, text_used = 1;
static _Atomic uint64_t fallbacks[UL_FB_COUNT];

void *table_at(enum ul_table table, uint64_t i) {
  return table == UL_MODULES ? (void *)&modules[i] : (void *)&text[i];
}

uint32_t table_append(enum ul_table table, uint32_t n) {
  if (table != UL_MODULES || modules_used + n > MODULES) return TABLE_NONE;
  return (uint32_t)atomic_fetch_add(&modules_used, n);
}

uint64_t table_count(enum ul_table table) {
  return table == UL_MODULES ? modules_used : text_used;
}

uint32_t table_text(const char *string, size_t bytes) {
  if (text_used + bytes + 1 > TEXT) return 0;
  uint64_t at = atomic_fetch_add(&text_used, bytes + 1);
  memcpy(text + at, string, bytes);
  return (uint32_t)at;
}

void fallback(enum ul_fallback which) {
  atomic_fetch_add(&fallbacks[which], 1);
}

uint64_t stub_fallbacks(enum ul_fallback which) {
  return fallbacks[which];
}
