#include "stack/span.h"

#include "base/os.h"
#include "stack/hash.h"

#define PAGE ((uint64_t)OS_PAGE)
/* Beyond this, a frame is not believed. */
#define FRAME_MAX ((uint64_t)16 << 20)
#define LOWER_MAX (16 * PAGE)

_Thread_local struct spans spans __attribute__((tls_model("initial-exec")));

/* A stack that grows down below a span is the same stack, if it is near: looking
 * at each page in between costs a system call. */
static bool span_lower(struct span *s, uint64_t rsp) {
  uint64_t page = span_last_page(rsp);
  if (page >= s->low || s->low - page > LOWER_MAX) return false;
  for (uint64_t p = s->low - PAGE; p > page; p -= PAGE)
    if (!os_readable(p)) return false;
  s->low = page;
  return true;
}

static bool span_find(uint64_t rsp, uint32_t *found) {
  for (*found = 0; *found < SPANS; ++*found) {
    const struct span *s = &spans.of[*found];
    if (rsp - 8 - s->low < s->kept - s->low) return true;
  }
  for (*found = 0; *found < SPANS; ++*found)
    if (span_lower(&spans.of[*found], rsp)) return true;
  *found = spans.oldest++ % SPANS;
  uint64_t page = span_last_page(rsp);
  spans.of[*found] = (struct span){.low = page, .kept = page + PAGE};
  return false;
}

bool span_enter(struct span *s, uint64_t rsp) {
  if (s->kept < s->high) s->kept = s->high;
  spans.of[spans.current] = *s;
  bool known = span_find(rsp, &spans.current);
  *s = spans.of[spans.current];
  s->high = span_last_page(rsp) + PAGE;
  s->limit = 0;
  return known;
}

/* Is what was kept still there? It is if the stack is left by the same frame as when
 * it was asked last; else one question, about its end. */
static void span_believe(struct span *s, uint64_t rsp, uint64_t top) {
  uint64_t way = hash_mix(hash_mix(HASH_SEED, rsp), top);
  if (rsp % PAGE) way = hash_mix(way, span_word(rsp - 8));
  if (s->way != way && !os_readable(s->kept - PAGE)) {
    s->kept = s->high;
    return;
  }
  s->way = way;
  s->high = s->kept;
}

bool span_raise(struct span *s, uint64_t rsp, uint64_t top) {
  if (top > s->high && s->high < s->kept) span_believe(s, rsp, top);
  if (top <= s->high) return true;
  if ((s->limit && top > s->limit) || top - s->high > FRAME_MAX) return false;
  while (s->high < top) {
    if (!os_readable(s->high)) {
      s->limit = s->high;
      return false;
    }
    s->high += PAGE;
  }
  return true;
}

void span_doubt(struct span *s, uint64_t rsp) {
  s->high = span_last_page(rsp) + PAGE;
  if (s->kept < s->high) s->kept = s->high;
  s->way = 0;
}
