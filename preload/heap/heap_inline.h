/* heap_inline.h - what every malloc and free runs through; see heap.h. */
#ifndef ULLAGE_HEAP_INLINE_H
#define ULLAGE_HEAP_INLINE_H

#include "heap/arena.h"
#include "heap/class.h"
#include "heap/large.h"

static inline __attribute__((always_inline)) void *
heap_take_any(struct heap *h, size_t bytes, size_t align, struct spot *s, bool *zeroed) {
  if (LIKELY(bytes <= UL_MEDIUM_MAX && align <= 16))
    return heap_take(h, class_of(bytes | !bytes), s, zeroed);
  return heap_take_wide(h, bytes, align, s, zeroed);
}

/* Is p, which lies at block `index`, the start of one that was carved? Of a pool that is
 * gone none was, nor of a span. */
static inline bool pool_starts_block(const struct pool *pool, const void *p,
                                     uint32_t index) {
  uint64_t offset = (uint64_t)((const char *)p - pool->base);
  return (uint64_t)index * pool->size == offset &&
         index < __atomic_load_n(&pool->carved, __ATOMIC_RELAXED);
}

static inline struct spot heap_spot(const void *p, map_slot slot) {
  if (UNLIKELY(map_is_large(slot))) {
    struct large *l = map_large(slot);
    return (struct spot){NULL, p == l->base && l->in_use ? l : NULL};
  }
  struct pool *pool = arena_pool_headed(map_arena(slot), p);
  if (LIKELY(pool_starts_block(pool, p, pool_index(pool, p))))
    return (struct spot){pool, NULL};
  pool = arena_pool(map_arena(slot), p);
  bool start = pool->class == UL_SPAN ? pool->live && p == pool->base
                                      : pool_starts_block(pool, p, pool_index(pool, p));
  return (struct spot){start ? pool : NULL, NULL};
}

static inline void *heap_take(struct heap *h, unsigned class, struct spot *s,
                              bool *zeroed) {
  struct round *top = magazine_top(h, class);
  void *block = top->block;
  if (LIKELY(!block)) {
    if (UNLIKELY(magazine_is_shut(h, class))) magazine_open(h, class);
    return heap_take_pooled(h, class, s, zeroed);
  }
  magazine_pop(h, class, top);
  s->pool = arena_pool(map_arena(map_lookup(block)), block);
  *zeroed = false;
  return block;
}

static inline void heap_put_any(struct heap *h, struct spot s, void *p) {
  if (UNLIKELY(s.large))
    large_put(s.large);
  else if (UNLIKELY(s.pool->class == UL_SPAN))
    heap_give(s.pool); /* one block: whoever frees it holds the whole pool */
  else if (LIKELY(s.pool->heap == h))
    heap_put(h, s.pool, p);
  else
    outbox_put(h, s.pool, p);
}

static inline void heap_keep(struct heap *h, struct pool *p, hidden block,
                             uint64_t *entry) {
  bool kept = p->heap == h && magazine_make_room(h, p->class) &&
              magazine_push(h, p->class, reveal(block), entry);
  if (!kept) heap_put_any(h, (struct spot){p, NULL}, reveal(block));
}

static inline size_t heap_usable(struct spot s) {
  return s.large ? s.large->mapped : s.pool->size;
}
#endif
