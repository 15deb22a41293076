#include "heap/magazine.h"

#include "base/hidden.h"
#include "base/meta.h"
#include "base/say.h"
#include "heap/arena.h"
#include "heap/heap.h"

#include <string.h>

enum { TOGETHER = 7 }; /* so many are asked for */
enum { MADE = UINT8_MAX };

/* Of all classes that have none: full, and empty. */
static struct magazine no_magazine;
#define NONE (&no_magazine.rounds[MAGAZINE_ROUNDS])

/* ---- rounds -------------------------------------------------------------------- */

/* 0: too large. */
static unsigned most_of(unsigned class) {
  if (class == UL_SPAN || class_bytes(class) > MAGAZINE_BYTES / 2) return 0;
  unsigned n = MAGAZINE_BYTES / class_bytes(class);
  return n < MAGAZINE_ROUNDS ? n : MAGAZINE_ROUNDS;
}

static struct magazine *magazine_of(struct round *r) {
  return (struct magazine *)((uintptr_t)r & -sizeof(struct magazine));
}

static struct round *bottom_of(struct round *r, unsigned class) {
  return &magazine_of(r)->rounds[MAGAZINE_ROUNDS - most_of(class)];
}

void magazine_begin(struct heap *h) {
  for (unsigned class = 0; class < UL_CLASSES; class ++) {
    magazine_set(h, class, NONE);
    if (most_of(class) == 0) h->without |= UINT64_C(1) << class;
  }
}

/* How many there are. */
static unsigned depth(const struct heap *h, unsigned class) {
  struct round *top = magazine_top(h, class);
  return top->block ? (unsigned)(top - bottom_of(top, class)) : 0;
}

void magazine_adopt(const struct heap *h) {
  for (unsigned class = 1; class < UL_CLASSES; class ++)
    (void)atomic_load_explicit(&h->magazines[class], memory_order_acquire);
}

/* The top that it had; the rounds are nobody's else from now on. */
static struct round *shut(struct heap *h, unsigned class) {
  atomic_fetch_or_explicit(&h->shut, UINT64_C(1) << class, memory_order_relaxed);
  return atomic_exchange_explicit(&h->magazines[class], NONE, memory_order_acq_rel);
}

/* The last of its rounds says "none". */
static void stays_shut(struct heap *h, unsigned class, struct magazine *m) {
  m->rounds[MAGAZINE_ROUNDS].block = NULL;
  magazine_set(h, class, &m->rounds[MAGAZINE_ROUNDS]);
}

static void open_at(struct heap *h, unsigned class, struct round *top) {
  magazine_set(h, class, top);
  atomic_signal_fence(memory_order_seq_cst);
  atomic_fetch_and_explicit(&h->shut, ~(UINT64_C(1) << class), memory_order_relaxed);
}

/* Not while it is at work, which a handler interrupts. */
void magazine_open(struct heap *h, unsigned class) {
  struct round *top = magazine_top(h, class);
  if (top == NONE) return;
  struct round *bottom = bottom_of(top, class);
  *bottom = (struct round){NULL, NULL};
  open_at(h, class, top->block ? top : bottom);
}

/* ---- blocks that go back ------------------------------------------------------- */

static struct pool *pool_of(const void *block) {
  return arena_pool(map_arena(map_lookup(block)), block);
}

static void give_back(struct heap *h, const struct round *r, unsigned n) {
  for (unsigned i = 0; i < n; i++)
    heap_put_inside(h, pool_of(r[i].block), r[i].block);
}

/* ---- room ---------------------------------------------------------------------- */

static void get_memory(struct heap *h, unsigned n) {
  const uintptr_t align = sizeof(struct magazine);
  size_t bytes = ((n < TOGETHER ? n : TOGETHER) + 1) * sizeof(struct magazine);
  char *memory = meta_alloc(bytes);
  if (!memory) return;
  uintptr_t start = ((uintptr_t)memory + align - 1) & -align;
  uintptr_t end = ((uintptr_t)memory + bytes) & -align;
  h->magazine_memory = (char *)start;
  h->magazine_memory_end = (char *)end;
}

/* NULL: no memory. */
static struct magazine *next_magazine(struct heap *h, unsigned most) {
  if (h->magazine_memory == h->magazine_memory_end) get_memory(h, most);
  if (h->magazine_memory == h->magazine_memory_end) return NULL;
  struct magazine *m = (struct magazine *)h->magazine_memory;
  h->magazine_memory += sizeof *m;
  h->magazines_made++;
  return m;
}

static bool make(struct heap *h, unsigned class) {
  if (h->freed[class] == MADE || ++h->freed[class] < MAGAZINE_AFTER) return false;
  unsigned most = heap_magazines_most();
  h->freed[class] = MADE; /* a handler makes no other one */
  struct magazine *m = h->magazines_made < most ? next_magazine(h, most) : NULL;
  if (m)
    open_at(h, class, bottom_of(m->rounds, class));
  else
    h->without |= UINT64_C(1) << class;
  return m != NULL;
}

/* What was on top when it was left less than full is in the lowest round, and still there
 * if it was not taken since. */
static bool only_freed(const struct round *bottom, unsigned keep) {
  return bottom->entry == (const uint64_t *)bottom[keep].block;
}

/* Half of what fits is left, or, to be shut, nothing. */
static bool empty_half(struct heap *h, unsigned class) {
  unsigned keep = most_of(class) / 2;
  struct round *top = shut(h, class), *bottom = bottom_of(top, class);
  struct round *kept = top - keep + 1;
  if (UNLIKELY(top->block == NULL || kept <= bottom)) { /* a handler was here */
    magazine_set(h, class, top);
    return false;
  }
  bool idle = only_freed(bottom, keep);
  give_back(h, bottom + 1, (unsigned)(kept - bottom) - 1);
  if (idle) {
    give_back(h, kept, keep);
    stays_shut(h, class, magazine_of(top));
    return false;
  }
  memmove(bottom + 1, kept, keep * sizeof *kept);
  bottom->entry = bottom[keep].block;
  open_at(h, class, bottom + keep);
  return true;
}

bool magazine_make_room(struct heap *h, unsigned class) {
  struct round *top = magazine_top(h, class);
  if (!magazine_is_full(top)) return true;
  if (magazine_is_passed(h, class)) return false;
  if (top == NONE) return make(h, class);
  uint32_t was = heap_enter(h);
  bool room = empty_half(h, class);
  heap_leave(h, was);
  wipe_stack();
  return room;
}

void magazine_give_one(struct heap *h, unsigned class) {
  struct round *top = magazine_top(h, class), round = *top;
  if (!round.block) return;
  magazine_pop(h, class, top);
  give_back(h, &round, 1);
}

void magazine_empty(struct heap *h) {
  for (unsigned class = 1; class < UL_CLASSES; class ++) {
    if (magazine_top(h, class) == NONE) continue;
    struct round *top = shut(h, class);
    if (top->block) {
      struct round *bottom = bottom_of(top, class);
      give_back(h, bottom + 1, (unsigned)(top - bottom));
      stays_shut(h, class, magazine_of(top));
    } else {
      magazine_set(h, class, top);
    }
  }
  wipe_stack();
}

/* ---- looking ------------------------------------------------------------------- */

uint64_t magazine_bytes(void) {
  uint64_t bytes = 0;
  for (const struct heap *h = heap_first(); h; h = h->next)
    for (unsigned class = 1; class < UL_CLASSES; class ++)
      bytes += (uint64_t)depth(h, class) * class_bytes(class);
  return bytes;
}

void magazine_each(const struct heap *h, void (*visit)(const struct round *r)) {
  for (unsigned class = 1; class < UL_CLASSES; class ++)
    for (unsigned i = 0, n = depth(h, class); i < n; i++)
      visit(magazine_top(h, class) - i);
}

uint32_t magazine_count(const struct heap *h, const struct pool *p) {
  uint32_t count = 0;
  for (unsigned i = 0, n = depth(h, p->class); i < n; i++)
    count += pool_of(magazine_top(h, p->class)[-(int)i].block) == p;
  return count;
}

static bool is_on_free_list(const struct pool *p, const void *block) {
  const struct block *b = p->free;
  while (b && b != block)
    b = b->next;
  return b;
}

static void check_round(const struct heap *h, unsigned class, const struct round *r) {
  struct spot s = heap_spot(r->block, map_lookup(r->block));
  invariant(s.pool && s.pool->class == class, "a magazine has blocks of its class");
  uint32_t index = pool_index(s.pool, r->block);
  invariant(!r->entry || r->entry == s.pool->entries + index,
            "a magazine knows the places of entries");
  invariant(s.pool->live > 0, "what is in a magazine is live for its pool");
  invariant(s.pool->heap == h, "a magazine has blocks of its heap");
  invariant(!is_on_free_list(s.pool, r->block), "what is in a magazine is in no list");
}

void magazine_check(const struct heap *h) {
  for (unsigned class = 1; class < UL_CLASSES; class ++) {
    const struct round *top = magazine_top(h, class);
    unsigned n = depth(h, class);
    invariant(n <= most_of(class), "a magazine has as many rounds as fit");
    for (unsigned i = 0; i < n; i++) {
      check_round(h, class, top - i);
      for (unsigned k = 0; k < i; k++)
        invariant(top[-(int)k].block != top[-(int)i].block, "a block is in one round");
    }
  }
}
