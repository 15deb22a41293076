/* heap.c - heaps, their owners, and what others do with them.
 *
 * Remote frees. `remote` is one word: the address of the first block in the lower 48
 * bits (blocks lie in the lower half of the address space), and above a weight, the bytes
 * pushed since the last drain in units of 64, modulo 2^16. Each time the weight passes a
 * multiple of the threshold, the thread that pushes looks whether the owner has drained
 * since somebody last looked. If not, it takes the heap over: what others freed must not
 * wait for an owner that sleeps. So of what was freed remotely at most two thresholds a
 * heap wait: together RELIEF_BYTES, or RELIEF_LEAST for each heap if there are many.
 *
 * To take over disturbs all processors that run the process, and an owner that is given
 * so much that it never runs out of blocks never drains. So each time that brings hardly
 * any blocks doubles the heap's threshold, its patience: as much may wait as was taken in
 * before. All patience together is PATIENCE_BYTES, so twice that may wait besides; when
 * nearly all is given out, those heaps whose owners drain lose theirs by halves.
 *
 * Taking over is biased locking: the owner's part is two plain stores and a load.
 *
 *     owner                          who takes over, under `relief`
 *       inside = 1                     taken = 1
 *       (compiler barrier)             membarrier: every running thread of the process
 *       taken? then wait                 has passed a full barrier
 *       ... pools ...                  inside? then give up: the owner is there
 *       inside = was                   ... pools ...;  taken = 0
 *
 * If the owner's store of `inside` came before the barrier, it is seen. If its load of
 * `taken` came after, it sees 1 and waits. One of the two holds. Who gives up loses
 * nothing: an owner that is inside will drain. Only one thread takes over at a time, with
 * all signals blocked, so that no handler leaves by longjmp or waits for itself; where
 * the kernel has no membarrier, nobody does, remote frees wait for their owner, and that
 * is counted.
 *
 * Owners are threads of one process. A child in our memory (vfork, clone with CLONE_VM)
 * has another process id, and to it all our threads look dead; it runs on its parent
 * thread's state. So it adopts nothing, and the heap that it may make for that thread has
 * no thread id, which is as good as an owner alive, until the thread comes and gives it
 * its own.
 *
 * Lock order: heaps, relief, arena. fork takes them all, so in the child no heap is
 * taken. The child of a raw fork may find its own heap taken: it leaves it alone. */
#include "heap/heap.h"

#include "base/count.h"
#include "base/hidden.h"
#include "base/lock.h"
#include "base/meta.h"
#include "base/os_thread.h"
#include "base/say.h"
#include "heap/watch.h"

#include <string.h>

enum { ADOPTION_TRIES = 4 };
/* Classes of which a heap keeps its only pool when it becomes empty, together with all
 * other heaps: SPARES; one heap may have at most SPARES_MOST. */
enum { SPARES = 256, SPARES_MOST = 16 };
/* Each magazine keeps pages of its class: all heaps together may have so many, or one for
 * each if there are thousands. */
enum { MAGAZINES = 1024 };
enum { RELIEF_BYTES = 4 << 20, RELIEF_MOST = 64 << 10, RELIEF_LEAST = 4 << 10 };
enum { RELIEF_FEW = 256, RELIEF_MANY = 1024 }; /* blocks, at once */
enum { PATIENCE_BYTES = 2 << 20, PATIENCE_MOST = 1 << 20 };

#define REMOTE_BLOCK ((UINT64_C(1) << 48) - 1)
enum { WEIGHT_UNIT = 64 };
#define REMOTE_WEIGHT(bytes) (((uint64_t)(bytes) + WEIGHT_UNIT - 1) / WEIGHT_UNIT << 48)

static struct lock lock; /* the list, and owners */
static struct lock relief;
static struct heap *_Atomic heaps;
static struct heap *next_candidate; /* for adoption: round robin */
static _Atomic unsigned heap_count;
static int process; /* whose threads own the heaps */
static _Atomic bool can_take_over;
static _Atomic uint32_t patience; /* of all heaps */

/* ---- used pools ---------------------------------------------------------------- */

static void link_used(struct heap *h, struct pool *p) {
  p->prev = NULL;
  p->next = h->used[p->class];
  if (p->next) {
    p->next->prev = p;
    p->next->spare = false;
  }
  h->used[p->class] = p;
}

static void unlink_used(struct heap *h, struct pool *p) {
  if (p->next) p->next->prev = p->prev;
  if (p->prev)
    p->prev->next = p->next;
  else
    h->used[p->class] = p->next;
}

void heap_pool_full(struct heap *h, struct pool *p) {
  unlink_used(h, p);
  p->spare = false;
}
void heap_pool_has_room(struct heap *h, struct pool *p) {
  link_used(h, p);
}

void heap_give(struct pool *p) {
  if (UNLIKELY(arena_is_interrupted()))
    fallback(UL_FB_LEFT); /* a span: heap_pool_empty has kept pools */
  else if (!arena_give(p))
    large_relieve();
}

/* Of so many for all heaps; at least one. */
static unsigned share_of(unsigned all, unsigned most) {
  unsigned n = atomic_load_explicit(&heap_count, memory_order_relaxed);
  unsigned share = n ? all / n : most;
  return share < 1 ? 1 : share > most ? most : share;
}

static unsigned spares_most(void) {
  return share_of(SPARES, SPARES_MOST);
}
unsigned heap_magazines_most(void) {
  return share_of(MAGAZINES, UL_CLASSES);
}

static void give_spares(struct heap *h) {
  for (; h->spares; h->spares &= h->spares - 1) {
    struct pool *p = h->used[__builtin_ctzll(h->spares)];
    if (!p || p->next) continue;
    p->spare = false;
    if (p->live) continue;
    unlink_used(h, p);
    heap_give(p);
  }
}

/* The only pool of its class is kept, so that a block allocated and freed in turn does
 * not cost a pool each time; when that are too many classes, all of them go. */
void heap_pool_empty(struct heap *h, struct pool *p) {
  uint64_t bit = UINT64_C(1) << p->class;
  if (p->spare || UNLIKELY(arena_is_interrupted())) return;
  if (h->used[p->class] != p || p->next) {
    unlink_used(h, p);
    heap_give(p);
    return;
  }
  bool more = !(h->spares & bit);
  if (more && (unsigned)__builtin_popcountll(h->spares) >= spares_most()) give_spares(h);
  h->spares |= bit;
  p->spare = true;
}

static struct block *remote_block(uint64_t remote) {
  return (struct block *)(remote & REMOTE_BLOCK);
}

/* How many blocks came. */
static uint32_t drain(struct heap *h) {
  uint32_t n = 0;
  if (!atomic_load_explicit(&h->remote, memory_order_relaxed)) return 0;
  uint64_t all = atomic_exchange_explicit(&h->remote, 0, memory_order_acquire);
  for (struct block *b = remote_block(all), *next; b; b = next, n++) {
    next = b->next;
    heap_put_inside(h, arena_pool(map_arena(map_lookup(b)), b), b);
  }
  return n;
}

/* Which class serves the next block of one that has no used pool. */
static unsigned serving_class(struct heap *h, unsigned class) {
  if (h->few[class] == FEW_BLOCKS) return class;
  h->few[class]++;
  return class_shared(class);
}

static void claim(struct heap *h) {
  if (os_pid() == process) atomic_store(&h->tid, os_tid());
}

struct pool *heap_refill(struct heap *h, unsigned class) {
  if (UNLIKELY(!atomic_load_explicit(&h->tid, memory_order_relaxed))) claim(h);
  uint32_t n = atomic_load_explicit(&h->drains, memory_order_relaxed);
  atomic_store_explicit(&h->drains, n + 1, memory_order_relaxed);
  outbox_empty(h);
  drain(h);
  if (h->used[class]) return h->used[class];
  unsigned serving = serving_class(h, class);
  if (serving != class) magazine_give_one(h, serving);
  class = serving;
  if (h->used[class]) return h->used[class];
  struct pool *p = arena_take(h, class);
  if (p) link_used(h, p);
  wipe_stack();
  return p;
}

/* ---- taking over --------------------------------------------------------------- */

static bool owner_is_inside(struct heap *h) {
  atomic_store_explicit(&h->taken, 1, memory_order_relaxed);
  if (!os_barrier_all_threads()) {
    fallback(UL_FB_NO_BARRIER);
    return true;
  }
  return atomic_load_explicit(&h->inside, memory_order_acquire);
}

static void hand_back(struct heap *h) {
  atomic_store_explicit(&h->taken, 0, memory_order_release);
}

static void take_over(struct heap *h, void (*work)(struct heap *)) {
  if (!owner_is_inside(h)) work(h);
  hand_back(h);
}

static bool relief_begin(uint64_t *signals) {
  if (!atomic_load_explicit(&can_take_over, memory_order_relaxed) || os_confined()) {
    fallback(UL_FB_NO_BARRIER);
    return false;
  }
  os_hold_signals(signals);
  if (lock_try(&relief)) return true;
  os_release_signals(*signals);
  return false;
}

static void relief_end(uint64_t signals) {
  lock_give_masked(&relief, signals);
}

/* We are inside, so once the one who has taken over is done, nobody will again. */
void heap_wait(void) {
  uint64_t signals;
  lock_take_masked(&relief, &signals);
  lock_give_masked(&relief, signals);
}

/* A power of two of bytes. */
static uint32_t relief_bytes(const struct heap *h) {
  uint32_t patient = atomic_load_explicit(&h->patience, memory_order_relaxed);
  if (patient) return patient;
  unsigned n = atomic_load_explicit(&heap_count, memory_order_relaxed);
  uint32_t bytes = RELIEF_MOST;
  while (bytes > RELIEF_LEAST && (uint64_t)bytes * 2 * n > RELIEF_BYTES)
    bytes /= 2;
  return bytes;
}

static void set_patience(struct heap *h, uint32_t bytes) {
  if (atomic_load_explicit(&h->patience, memory_order_relaxed) == bytes) return;
  uint32_t was = atomic_exchange_explicit(&h->patience, bytes, memory_order_relaxed);
  atomic_fetch_add_explicit(&patience, bytes - was, memory_order_relaxed);
}

/* The owner is about. */
static void share_patience(struct heap *h) {
  uint32_t half = atomic_load_explicit(&h->patience, memory_order_relaxed) / 2;
  uint32_t all = atomic_load_explicit(&patience, memory_order_relaxed);
  if (half && all > PATIENCE_BYTES / 8 * 7)
    set_patience(h, half > RELIEF_MOST ? half : 0);
}

/* To take it over has brought so many blocks. */
static void learn_patience(struct heap *h, uint32_t blocks) {
  uint32_t twice = 2 * relief_bytes(h);
  uint32_t all = atomic_load_explicit(&patience, memory_order_relaxed);
  if (blocks > RELIEF_MANY)
    set_patience(h, 0);
  else if (blocks < RELIEF_FEW && twice <= PATIENCE_MOST && all + twice <= PATIENCE_BYTES)
    set_patience(h, twice);
}

static void relieve(struct heap *h) {
  uint32_t drains = atomic_load_explicit(&h->drains, memory_order_relaxed);
  if (atomic_exchange_explicit(&h->drains_seen, drains, memory_order_relaxed) != drains) {
    share_patience(h);
    return;
  }
  uint64_t signals;
  if (atomic_load_explicit(&h->quarantined, memory_order_relaxed)) return;
  if (!relief_begin(&signals)) return;
  uint32_t blocks = owner_is_inside(h) ? 0 : drain(h);
  hand_back(h);
  learn_patience(h, blocks);
  relief_end(signals);
}

/* Once pushed, the blocks and their pools are not ours. */
void heap_send(struct heap *h, struct block *first, struct block *last, uint64_t bytes) {
  uint64_t weight = REMOTE_WEIGHT(bytes), now;
  uint64_t was = atomic_load_explicit(&h->remote, memory_order_relaxed);
  do {
    last->next = remote_block(was);
    now = ((was & ~REMOTE_BLOCK) + weight) | (uint64_t)(uintptr_t)first;
  } while (!atomic_compare_exchange_weak_explicit(
      &h->remote, &was, now, memory_order_release, memory_order_relaxed));
  if (UNLIKELY((was ^ now) >> 48 >= RELIEF_LEAST / WEIGHT_UNIT) &&
      (was ^ now) >> 48 >= relief_bytes(h) / WEIGHT_UNIT)
    relieve(h);
}

/* ---- blocks of any size -------------------------------------------------------- */

static void *take_span(struct heap *h, size_t bytes, size_t align, struct spot *s,
                       bool *zeroed) {
  struct pool *p = arena_take_span(h, bytes | !bytes, align);
  wipe_stack();
  if (!p) return NULL;
  s->pool = p;
  *zeroed = p->zeroed;
  return p->base;
}

void *heap_take_wide(struct heap *h, size_t bytes, size_t align, struct spot *s,
                     bool *zeroed) {
  unsigned class = align > 16 ? class_of_aligned(bytes, align) : UL_SPAN;
  if (class != UL_SPAN) return heap_take(h, class, s, zeroed);
  if (bytes <= UL_SPAN_MAX && align <= UL_SPAN_MAX)
    return take_span(h, bytes, align, s, zeroed);
  s->large = large_take(bytes, align);
  wipe_stack();
  if (!s->large) return NULL;
  *zeroed = s->large->zeroed;
  return s->large->base;
}

bool heap_gave_back(const void *p, map_slot slot) {
  if (!slot) return map_has_held(p) && !os_is_mapped(p);
  if (map_is_large(slot)) return p == map_large(slot)->base;
  uintptr_t unit = ((uintptr_t)p & (UL_ARENA_BYTES - 1)) / UL_UNIT_BYTES;
  return map_arena(slot)->free_units >> unit & 1;
}

static enum heap_resizing span_resizing(size_t usable, size_t bytes) {
  if (bytes <= usable && usable - bytes <= usable / 8) return HEAP_STAYS;
  return bytes > UL_MEDIUM_MAX && bytes <= UL_SPAN_MAX ? HEAP_RESIZES : HEAP_MOVES;
}

enum heap_resizing heap_resizing(struct spot s, size_t bytes) {
  size_t usable = heap_usable(s);
  if (s.large) return bytes > UL_SPAN_MAX ? HEAP_RESIZES : HEAP_MOVES;
  if (s.pool->class == UL_SPAN) return span_resizing(usable, bytes);
  if (bytes > usable) return HEAP_MOVES;
  /* An entry can say no more of what is left over. */
  if (usable - bytes > UL_SLACK_MAX - CLASS_ROOM) return HEAP_MOVES;
  return bytes > usable - usable / 4 || usable <= 32 ? HEAP_STAYS : HEAP_MOVES;
}

static void *resize_span(struct pool *p, size_t bytes) {
  bool resized = arena_resize_span(p, bytes);
  wipe_stack();
  return resized ? p->base : NULL;
}

void *heap_resize(struct spot *s, size_t bytes) {
  if (s->pool) return resize_span(s->pool, bytes);
  struct large *l = large_resize(s->large, bytes);
  wipe_stack();
  if (!l) return NULL;
  s->large = l;
  return l->base;
}

/* ---- owners -------------------------------------------------------------------- */

/* Acquires what the owner, who is dead, has left: its pools by heap_leave(). */
static struct heap *adopt(struct heap *h, int tid) {
  (void)atomic_load_explicit(&h->inside, memory_order_acquire);
  magazine_adopt(h);
  atomic_store_explicit(&h->tid, tid, memory_order_relaxed);
  atomic_store_explicit(&h->inside, 0, memory_order_relaxed); /* if it died in there */
  memset(h->few, 0, sizeof h->few);
  set_patience(h, 0);
  WATCH(heap_owner(h, tid, false));
  return h;
}

/* Thread ids are unique among the living, so the caller's own was its owner's before. */
static bool is_orphan(const struct heap *h, int tid) {
  return !h->quarantined && (h->tid == tid || !os_thread_alive(h->tid));
}

/* A few are asked, in turn, whatever their number: 10,000 threads may be alive. */
static struct heap *find_orphan(int tid) {
  for (int tries = 0; tries < ADOPTION_TRIES; tries++) {
    struct heap *h = next_candidate ? next_candidate : heaps;
    if (!h) return NULL;
    next_candidate = h->next;
    if (is_orphan(h, tid)) return h;
  }
  return NULL;
}

static void begin_process(void) {
  process = os_pid();
  os_leader_begin();
}

static struct heap *make(int tid) {
  const struct heap_watch *watch = atomic_load(&heap_watch);
  struct heap *h = meta_alloc(watch ? watch->heap_bytes : sizeof *h);
  if (!h) return NULL;
  magazine_begin(h);
  atomic_store_explicit(&h->tid, tid, memory_order_relaxed);
  WATCH(heap_owner(h, tid, true));
  /* With the first heap, while the process is likely to have one thread: then it costs
   * nothing. */
  if (!heaps) {
    begin_process();
    atomic_store(&can_take_over, os_barrier_register());
  }
  atomic_fetch_add(&heap_count, 1);
  h->next = heaps;
  atomic_store_explicit(&heaps, h, memory_order_release);
  return h;
}

struct heap *heap_acquire(void) {
  if (thread_state.heap) return thread_state.heap;
  uint64_t signals;
  lock_take_masked(&lock, &signals);
  bool ours = !heaps || os_pid() == process;
  int tid = ours ? os_tid() : 0;
  struct heap *h = ours ? find_orphan(tid) : NULL;
  h = h ? adopt(h, tid) : make(tid);
  thread_state.heap = h;
  lock_give_masked(&lock, signals);
  return h;
}

struct heap *heap_first(void) {
  return atomic_load_explicit(&heaps, memory_order_acquire);
}

/* ---- trimming ------------------------------------------------------------------ */

/* Empty pools go back to their arenas. Inside, or taken over. */
static void trim(struct heap *h) {
  drain(h);
  give_spares(h);
}

/* The same by its owner, or when it is dead. */
static void trim_all(struct heap *h) {
  magazine_empty(h);
  trim(h);
}

static bool is_dead(const struct heap *h) {
  return !h->quarantined && os_pid() == process && !os_thread_alive(h->tid);
}

/* Under the lock of heaps and relief. What lies in outboxes first, for it may be
 * anyone's.
 */
static void trim_others(const struct heap *mine) {
  for (struct heap *h = heap_first(); h; h = h->next)
    if (h != mine && is_dead(h)) outbox_empty(h);
  for (struct heap *h = heap_first(); h; h = h->next)
    if (h != mine && !atomic_load_explicit(&h->quarantined, memory_order_relaxed))
      take_over(h, is_dead(h) ? trim_all : trim);
}

void heap_trim_all(struct heap *mine) {
  if (arena_is_interrupted()) return;
  outbox_empty(mine);
  uint64_t signals, held;
  lock_take_masked(&lock, &signals);
  if (relief_begin(&held)) {
    trim_others(mine);
    relief_end(held);
  }
  lock_give_masked(&lock, signals);
  uint32_t was = heap_enter(mine);
  trim_all(mine);
  heap_leave(mine, was);
}

/* ---- invariants ---------------------------------------------------------------- */

static uint32_t list_length(const struct pool *p) {
  uint32_t n = 0;
  for (const struct block *b = p->free; b; b = b->next) {
    size_t offset = (size_t)((const char *)b - p->base);
    invariant(offset / p->size < p->carved && offset % p->size == 0,
              "free block lies in its pool");
    invariant(++n <= p->capacity, "free list is not a cycle");
  }
  return n;
}

static void check_pool(struct heap *h, struct pool *p) {
  if (p->class == UL_SPAN) {
    invariant(p->live == 1 && p->capacity == 1 && !p->carved, "a span has one block");
    return;
  }
  uint32_t free_blocks = list_length(p), capacity = p->capacity;
  uint32_t virgin = capacity - p->carved;
  invariant(p->live + free_blocks + virgin == capacity,
            "live + free + virgin == capacity");
  bool linked = false;
  for (struct pool *q = h->used[p->class]; q; q = q->next)
    linked |= q == p;
  invariant(linked == (free_blocks + virgin > 0),
            "used pools are those with free blocks");
}

void heap_check(struct heap *h) {
  uint64_t bytes = 0, tail = 0;
  for (struct arena *a = arena_first(); a; a = arena_next(a)) {
    struct pool *p;
    for (unsigned unit = 0; (p = arena_next_pool(a, &unit));) {
      if (p->heap != h) continue;
      check_pool(h, p);
      bytes += p->units * UL_UNIT_BYTES;
      tail += p->units * UL_UNIT_BYTES - p->capacity * p->size;
    }
  }
  magazine_check(h);
  outbox_check(h);
  invariant(bytes == h->pool_bytes, "a heap's pool bytes");
  invariant(tail == h->tail_bytes, "a heap's tail bytes");
}

/* ---- fork ---------------------------------------------------------------------- */

void heap_fork_prepare(void) {
  lock_take(&lock);
  lock_take(&relief);
}
void heap_fork_parent(void) {
  lock_give(&relief);
  lock_give(&lock);
}

void heap_fork_child(void) {
  lock_renew(&lock);
  lock_renew(&relief);
  next_candidate = NULL;
  atomic_store(&patience, 0);
  for (struct heap *h = heaps; h; h = h->next)
    atomic_store(&h->patience, 0);
  /* Of a raw fork, in the middle of a takeover: the heap may be in any state. */
  struct heap *mine = thread_state.heap;
  if (mine && mine->taken) mine = thread_state.heap = thread_state.quick = NULL;
  for (struct heap *h = heaps; h; h = h->next) {
    if (h == mine || h->quarantined) continue;
    atomic_store(&h->quarantined, true);
    WATCH(heap_quarantined(h));
  }
  begin_process();
  if (mine) atomic_store(&mine->tid, os_tid());
}
