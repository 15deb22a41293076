#include "answers/tails.h"

#include "names/blame.h"
#include "names/frame.h"
#include "names/known.h"

#define LEAST (UINT64_C(1) << 20)
#define SHARE 8 /* of the block, and of all that is unused */

/* Frames of the language's own come first, where the names of a program are known. */
static bool is_container(struct symbols *symbols, uint32_t site) {
  const struct frame *frames;
  size_t n = frame_stack(symbols, site, &frames);
  for (size_t i = 0; i < n && !blame_is_own(&frames[i]); i++)
    if (frames[i].function && known_is_container(frames[i].function)) return true;
  return false;
}

/* To double from a few bytes to n asks for 2n in all, to grow by half for 3n. */
static bool was_resized(const struct site_sum *s) {
  enum { STEPS = 4, MOST = 4 };
  const struct site_count *c = &s->count;
  return c->allocations >= STEPS * s->blocks &&
         c->allocated_bytes >= s->bytes + s->bytes / 2 &&
         c->allocated_bytes <= MOST * s->bytes;
}

bool tails_load(struct process *p, struct tails *t) {
  const struct unused *u = p->unused;
  const struct sites *sites = process_sites(p);
  *t = (struct tails){0};
  if (!sites) return false;
  for (size_t i = 0; i < u->count; i++) {
    const struct unused_site *s = &u->sites[i];
    if (!s->tail || s->tail < s->live_bytes / SHARE) continue;
    enum tails_kind kind = TAILS_OF_CONTAINERS;
    if (!p->symbols || !is_container(p->symbols, s->site)) {
      if (!was_resized(&sites->sum[s->site])) continue;
      kind = TAILS_OF_RESIZED;
    }
    t->of[kind].bytes += s->tail;
    t->of[kind].sites++;
  }
  uint64_t part = (unused_at_end(u) + u->total.untouched) / SHARE;
  for (size_t i = 0; i < TAILS_KINDS; i++)
    if (t->of[i].bytes < LEAST || t->of[i].bytes < part)
      t->of[i] = (struct tails_sum){0, 0};
  return true;
}
