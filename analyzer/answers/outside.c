#include "answers/outside.h"

#include <ctype.h>
#include <string.h>

/* Names of files, up to a version. */
static const struct {
  const char *file, *owner;
} owners[] = {{"libcoreclr.so", ".NET's heap"},
              {"libgc.so", "the heap of libgc"},
              {"libjvm.so", "Java's heap"},
              {"libluajit", "LuaJIT's heap"},
              {"luajit", "LuaJIT's heap"},
              {"libmozjs", "JavaScript's heap"},
              {"libnode.so", "V8's heap (node --heap-prof)"},
              {"node", "V8's heap (node --heap-prof)"},
              {"libv8", "V8's heap"},
              {"libphp", "PHP's pools (USE_ZEND_ALLOC=0)"},
              {"php", "PHP's pools (USE_ZEND_ALLOC=0)"},
              {"libruby", "Ruby's pages of objects"}};

static bool is_named(const char *file, const char *name) {
  size_t n = strlen(name);
  return strncmp(file, name, n) == 0 && !isalpha((unsigned char)file[n]) &&
         file[n] != '_';
}

static const char *owner_in(const struct recording *r) {
  const struct ul_module *m;
  for (uint64_t i = 0; (m = recording_module(r, i)); i++) {
    const char *name = basename(recording_text(r, m->name));
    for (size_t k = 0; k < sizeof owners / sizeof *owners; k++)
      if (is_named(name, owners[k].file)) return owners[k].owner;
  }
  return NULL;
}

static uint64_t code_of(const struct recording *r) {
  const struct ul_mapping *m;
  uint64_t sum = 0;
  for (uint64_t i = 0; (m = recording_mapping(r, i)); i++)
    if (m->kind == UL_MAP_CODE || m->kind == UL_MAP_DATA) sum += m->rss;
  return sum;
}

static uint64_t less(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

/* Of the heap and of ullage. */
static uint64_t mapped(const struct ul_snapshot *s) {
  return s->mapped_bytes + s->tool_bytes + s->recording_bytes;
}

/* What ullage makes the rows of a snapshot in (preload/account/rows.c): it is gone before
 * anybody counts, but not from the most that was ever resident. */
static uint64_t rows_of_most(const struct recording *r) {
  enum { NODE = 32, CODE = 16 };
  return NODE * recording_count(r, UL_NODES) + CODE * recording_count(r, UL_CODES);
}

struct outside outside_of(const struct recording *r) {
  enum { LEAST = 8 << 20, SHARE = 4, NOTHING = 8 };
  struct outside o = {.ms = UINT64_MAX};
  const struct ul_snapshot *s;
  uint64_t code = code_of(r), most = 0, heap = 0,
           whole = recording_header(r)->most_rss_bytes;
  for (uint64_t i = 0; (s = recording_snapshot(r, i)); i++) {
    if (s->kind == UL_SNAPSHOT_FREE || !s->rss_bytes) continue;
    uint64_t bytes = less(s->rss_bytes, mapped(s) + code);
    if (mapped(s) > most) most = mapped(s);
    if (s->mapped_bytes > heap) heap = s->mapped_bytes;
    if (bytes > o.bytes || !o.rss_bytes) {
      o.bytes = bytes;
      o.rss_bytes = s->rss_bytes;
      o.ms = s->ms;
    }
  }
  most += rows_of_most(r);
  if (less(whole, most + code) > o.bytes + o.bytes / NOTHING) {
    o.bytes = whole - most - code;
    o.rss_bytes = whole;
    o.ms = UINT64_MAX;
  }
  o.matters = o.bytes >= LEAST && o.bytes >= o.rss_bytes / SHARE && o.bytes >= heap;
  if (o.matters) o.owner = owner_in(r);
  return o;
}
