#include "reach/drag.h"

/* Their slot, or one that is free. */
static struct ul_drag *find(struct drags *d, uint32_t leader, uint32_t dragged) {
  uint32_t i = (leader * UINT32_C(0x9e3779b1) ^ dragged) * UINT32_C(0x85ebca6b) >> 16;
  struct ul_drag *s = &d->slots[i];
  while (s->blocks && (s->leader != leader || s->dragged != dragged))
    s = &d->slots[i = (i + 1) % DRAG_SLOTS];
  return s;
}

void drag_add(struct drags *d, uint32_t leader, uint32_t dragged, uint64_t bytes) {
  struct ul_drag *s = find(d, leader, dragged);
  if (!s->blocks && d->used == DRAG_MOST) {
    s = &d->slots[DRAG_SLOTS];
  } else if (!s->blocks) {
    d->used++;
    s->leader = leader;
    s->dragged = dragged;
  }
  s->blocks++;
  s->bytes += bytes;
}

size_t drag_rows(const struct drags *d, struct ul_drag *rows) {
  size_t n = 0;
  if (!d->used) return 0;
  for (size_t i = 0; i <= DRAG_SLOTS; i++) {
    if (!d->slots[i].blocks) continue;
    if (rows) rows[n] = d->slots[i];
    n++;
  }
  return n;
}
