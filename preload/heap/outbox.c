#include "heap/outbox.h"

#include "base/say.h"
#include "heap/arena.h"
#include "heap/heap.h"

/* Acquires what the heap's owner before, who is dead, has left by end(). */
static bool begin(struct outbox *o) {
  if (UNLIKELY(atomic_load_explicit(&o->at_work, memory_order_acquire))) return false;
  atomic_store_explicit(&o->at_work, true, memory_order_relaxed);
  atomic_signal_fence(memory_order_seq_cst);
  return true;
}

static void end(struct outbox *o) {
  atomic_store_explicit(&o->at_work, false, memory_order_release);
}

static void send(struct outbox *o) {
  if (!o->first) return;
  heap_send(o->home, o->first, o->last, o->bytes);
  o->first = o->last = NULL;
  o->bytes = o->blocks = 0;
}

void outbox_put(struct heap *h, struct pool *p, void *block) {
  struct outbox *o = &h->outbox;
  struct block *b = block;
  if (UNLIKELY(!begin(o))) {
    heap_send(p->heap, b, b, p->size);
    return;
  }
  if (UNLIKELY(o->home != p->heap)) {
    send(o);
    o->home = p->heap;
  }
  b->next = o->first;
  o->first = b;
  if (!o->last) o->last = b;
  o->bytes += p->size;
  if (UNLIKELY(++o->blocks == OUTBOX_BLOCKS || o->bytes >= OUTBOX_BYTES)) send(o);
  end(o);
}

void outbox_empty(struct heap *h) {
  if (!begin(&h->outbox)) return;
  send(&h->outbox);
  end(&h->outbox);
}

void outbox_check(const struct heap *h) {
  const struct outbox *o = &h->outbox;
  uint32_t bytes = 0, blocks = 0;
  for (const struct block *b = o->first; b && !o->at_work; b = b->next) {
    struct spot s = heap_spot(b, map_lookup(b));
    invariant(s.pool && s.pool->heap == o->home, "an outbox has blocks of one heap");
    invariant(++blocks < OUTBOX_BLOCKS, "an outbox has few blocks");
    bytes += s.pool->size;
    if (!b->next) invariant(b == o->last, "an outbox knows its last block");
  }
  invariant(o->at_work || (blocks == o->blocks && bytes == o->bytes),
            "an outbox counts its blocks");
}
