/* free.c - free and its kin, and realloc.
 *
 * Arguments are checked as glibc's manual ("Replacing malloc") and POSIX want it. */
#include "entry.h"

#include <link.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/resource.h>

extern void *__libc_stack_end; /* where the main thread's begins */

void __libc_free(void *);
void __libc_cfree(void *);
void *__libc_realloc(void *, size_t);

/* ---- free ---------------------------------------------------------------------- */

static bool is_freed(struct spot s, const void *p) {
  return process_recording() && !ledger_line(s, p).entry && ledger_covers(s) &&
         !recording_stopped();
}

__attribute__((noinline)) bool entry_unrecord(struct heap *h, struct spot s, void *p) {
  struct ledger_line was = ledger_line(s, p);
  if (UNLIKELY(!was.entry)) return !ledger_covers(s) || recording_stopped();
  snapshot_before_free(h, was.requested);
  ledger_clear(h, s, p, &was);
  return true;
}

static void misused_at(enum ul_misuse_kind kind, const void *p, uint32_t site) {
  struct ledger_past past = ledger_past(p);
  misuse_note(kind, &(struct ul_misuse){.site = site,
                                        .allocated = past.allocated,
                                        .freed = past.freed,
                                        .address = (uint64_t)(uintptr_t)p});
  if (misuse_is_deadly(kind)) abort();
}

static __attribute__((noinline, cold)) void misused(enum ul_misuse_kind kind,
                                                    const void *p, struct entrance e) {
  struct heap *h = entry_heap();
  misused_at(kind, p, h ? entry_site(h, e, SITE_EXACT) : UL_SITE_NONE);
}

/* Who frees a block, and says what of it. */
struct freeing {
  enum ul_family family; /* UL_FAMILY_MALLOC: free, realloc */
  size_t size;           /* SIZE_MAX: does not say */
};
static const struct freeing by_free = {UL_FAMILY_MALLOC, SIZE_MAX};

static bool belongs(enum ul_family of, enum ul_family by) {
  return of == by || (of == UL_FAMILY_ALIGNED && by == UL_FAMILY_MALLOC);
}

/* A block that lives is about to be freed or resized at that site: in the right way? What
 * another family takes it for has another size: `delete` of what new[] made says that of
 * one. */
static void compare(struct spot s, const void *p, struct freeing how, uint32_t site) {
  struct ledger_line was = ledger_line(s, p);
  if (!was.entry) return;
  struct ul_misuse what = {.site = site,
                           .allocated = ul_entry_site(was.entry),
                           .family = {ul_entry_family(was.entry), how.family},
                           .address = (uint64_t)(uintptr_t)p,
                           .bytes = was.requested,
                           .wanted = how.size == SIZE_MAX ? 0 : how.size};
  bool missized = how.size != SIZE_MAX && how.size != was.requested;
  if (!belongs(what.family[0], what.family[1]))
    misuse_note(UL_MISMATCHED, &what);
  else if (missized)
    misuse_note(UL_MISSIZED, &what);
}

/* Between main's stack and its end lie the arguments and the environment. */
static bool on_stack_of_main(const void *p) {
  uint64_t limit = os_limit(RLIMIT_STACK), at = (uint64_t)(uintptr_t)p;
  uint64_t end = (uint64_t)(uintptr_t)__libc_stack_end;
  const uint64_t most = UINT64_C(8) << 20;
  if (at >= end) return at <= getauxval(AT_EXECFN);
  return end - at < (limit < most ? limit : most);
}

/* Where there is no mapping the next allocator has nothing either; and the C library's
 * never gave out what lies in a loaded object, or on the stack of main: to hand it on
 * would end the program. */
static bool is_nobodys(const void *p, const void *next_free) {
  if (!os_is_mapped(p)) return true;
  const struct link_map *next = entry_object(next_free);
  if (!next || !strstr(next->l_name, "/libc.so.6")) return false;
  return entry_object(p) || on_stack_of_main(p);
}

/* The next allocator may know the block, or end the program: then it stands in the
 * recording who handed it on. */
static void hand_on(void *p, void (*next_free)(void *), struct entrance e) {
  fallback(UL_FB_FOREIGN_FREE);
  if (!next_free) return;
  struct heap *h = process_watches_frees() ? entry_heap() : NULL;
  if (!h) {
    next_free(p);
    return;
  }
  struct ul_misuse suspect = {.site = entry_site(h, e, SITE_EXACT),
                              .address = (uint64_t)(uintptr_t)p};
  struct ul_misuse *noted = misuse_note(UL_FREED_INSIDE, &suspect);
  next_free(p);
  misuse_take_back(UL_FREED_INSIDE, noted);
}

static void free_foreign(void *p, struct entrance e) {
  static void (*real)(void *);
  int saved = errno;
  if (!real) *(void **)&real = next_symbol("free");
  if (is_nobodys(p, *(void **)&real))
    misused(heap_gave_back(p, 0) ? UL_FREED_TWICE : UL_FREED_INSIDE, p, e);
  else
    hand_on(p, real, e);
  errno = saved;
}

static void end_if_deadly(bool found, enum ul_misuse_kind kind) {
  if (UNLIKELY(found) && misuse_is_deadly(kind)) abort();
}

static bool put_unwatched(struct heap *h, struct spot s, void *p) {
  if (LIKELY(process_recording()) && UNLIKELY(!entry_unrecord(h, s, p))) return false;
  heap_put_any(h, s, p);
  return true;
}

/* The same at that site. */
static bool put_watched(struct heap *h, struct spot s, void *p, uint32_t site) {
  struct ledger_line was = ledger_line(s, p);
  hidden block = hide(p);
  if (!was.entry) return put_unwatched(h, s, p);
  if (guard_on) guard_count(s, block, &was);
  if (guard_on) end_if_deadly(guard_look(s, block, &was, site), UL_OVERRUN);
  entry_unrecord(h, s, p);
  if (guard_on) guard_spoil(s, block);
  ledger_note_freed(s, p, &was, site);
  if (guard_on)
    end_if_deadly(guard_put(h, s, block), UL_WRITTEN_FREED);
  else
    heap_put_any(h, s, p);
  return true;
}

/* Errno stays as it is: what is called here keeps it. */
static void release_as(void *p, struct freeing how, struct entrance e) {
  map_slot slot = map_lookup(p);
  if (UNLIKELY(!slot)) {
    free_foreign(p, e);
    return;
  }
  struct heap *h = entry_heap();
  if (UNLIKELY(!h)) return; /* no memory for a heap: the block stays */
  struct spot s = heap_spot(p, slot);
  if (UNLIKELY(!s.pool && !s.large)) {
    misused(heap_gave_back(p, slot) ? UL_FREED_TWICE : UL_FREED_INSIDE, p, e);
    return;
  }
  uint32_t site = process_watches_frees() ? entry_site(h, e, SITE_EXACT) : UL_SITE_NONE;
  if (site) compare(s, p, how, site);
  bool done = site ? put_watched(h, s, p, site) : put_unwatched(h, s, p);
  if (UNLIKELY(!done)) misused(UL_FREED_TWICE, p, e);
}

static __attribute__((noinline)) void release(void *p, struct entrance e) {
  release_as(p, by_free, e);
}

void entry_free_watched(void *p, enum ul_family family, size_t size, struct entrance e) {
  release_as(p, (struct freeing){family, size}, e);
}

/* ---- the fast way (entry.h) ----------------------------------------------------- */

/* Its address is computed once, not for each field. */
INLINE struct pool *in_register(struct pool *p) {
  __asm__("" : "+r"(p));
  return p;
}

/* Also of a thread that has no heap yet, and of one that may be the child of a raw clone.
 */
static __attribute__((noinline)) void put_slowly(struct pool *pool, uint64_t *at,
                                                 hidden block) {
  struct heap *h = entry_heap();
  if (UNLIKELY(!h)) return;
  heap_keep(h, pool, block, at);
}

/* Where nothing is to be done for the pool. */
static __attribute__((noinline)) void put_past(struct heap *h, struct pool *pool,
                                               uint64_t *at, void *p) {
  uint32_t inside;
  if (LIKELY(magazine_is_passed(h, pool->class)) && LIKELY(heap_try_enter(h, &inside))) {
    bool easy = !pool_is_full(pool) && (pool->live > 1 || pool->spare);
    if (LIKELY(easy)) pool_push(pool, p);
    heap_leave(h, inside);
    if (LIKELY(easy)) return;
  }
  put_slowly(pool, at, hide(p));
}

/* Of h's pool, if it is `own`. `at`: where its entry is, or NULL. */
INLINE void put(struct heap *h, struct pool *pool, bool own, uint64_t *at, void *p) {
  if (!own)
    put_slowly(pool, at, hide(p));
  else if (UNLIKELY(!magazine_push(h, pool->class, p, at)))
    put_past(h, pool, at, p);
}

/* Site and birth still stand there; but to read all would mean to wait for the byte that
 * ledger_end_life() has just written. */
INLINE uint64_t past_life(const uint64_t *at) {
  uint32_t low;
  uint16_t high;
  memcpy(&low, at, sizeof low);
  memcpy(&high, (const char *)at + sizeof low, sizeof high);
  return (uint64_t)high << 32 | low;
}

/* Besides, its lifetime is counted. */
static __attribute__((noinline)) void put_with_life(struct pool *pool, uint64_t *at,
                                                    struct heap *h, hidden block,
                                                    struct ul_counter *c,
                                                    bool temporary) {
  ledger_count_life(h, c, past_life(at), temporary);
  put(h, pool, pool->heap == h, at, reveal(block));
}

/* Of the entry only the bytes that say it. */
INLINE uint64_t requested_by(const struct pool *pool, const uint64_t *at) {
  uint16_t high;
  memcpy(&high, (const char *)at + sizeof *at - sizeof high, sizeof high);
  uint64_t requested = pool->size - (high & UL_SLACK_MAX);
  __asm__("" : "+r"(requested)); /* gcc would keep it twice, narrow and wide */
  return requested;
}

/* Of a live block whose site has the counter c, at no peak. */
INLINE void free_recorded(struct pool *pool, bool own, uint64_t *at, struct heap *h,
                          void *p, struct ul_counter *c) {
  uint64_t requested = requested_by(pool, at);
  ledger_end_life(at);
  if (!ledger_forget_recent(h, p)) {
    ledger_clear_pool(h, pool, requested, c, false);
    put_with_life(pool, at, h, hide(p), c, false);
    return;
  }
  ledger_clear_pool(h, pool, requested, c, true);
  if (UNLIKELY(ledger_is_heavy_out(c)))
    put_with_life(pool, at, h, hide(p), c, true);
  else
    put(h, pool, own, at, p);
}

/* Of a block without a stack, if so much was granted. */
INLINE bool free_quickly(struct heap *h, uint32_t epoch, struct pool *pool, bool own,
                         uint64_t *at, void *p) {
  struct sample *s = &book_of(h)->sample;
  uint64_t requested = requested_by(pool, at);
  if (UNLIKELY(s->epoch != epoch || !sample_use(&s->left_to_free, requested)))
    return false;
  ledger_clear_quickly(s, h, pool, at, requested);
  put(h, pool, own, at, p);
  return true;
}

static __attribute__((noinline)) void free_after_grant(struct heap *h, struct pool *pool,
                                                       uint64_t *at, void *p,
                                                       struct entrance e) {
  if (!sample_grant_to_free(h, requested_by(pool, at)) ||
      !free_quickly(h, process_epoch(), pool, pool->heap == h, at, p))
    release(p, e);
}

/* By the thread that has the heap h: the pool's, if it is `own`; else it may have none.
 */
INLINE void free_pooled(struct heap *h, struct pool *pool, bool own, uint32_t index,
                        void *p, const uint64_t *frame) {
  uint32_t epoch = process_epoch();
  if ((int32_t)epoch < EPOCH_FIRST) { /* negative: frees are watched */
    if (epoch == EPOCH_IDLE)
      put(h, pool, own, NULL, p);
    else
      release(p, entry_entrance(frame));
    return;
  }
  if ((!own && UNLIKELY(!h)) || UNLIKELY(!pool->entries)) {
    release(p, entry_entrance(frame));
    return;
  }
  uint64_t *at = pool->entries + index;
  if (sample_is_entry(*at)) {
    if (UNLIKELY(!free_quickly(h, epoch, pool, own, at, p)))
      free_after_grant(h, pool, at, p, entry_entrance(frame));
    return;
  }
  struct ul_counter *c = ledger_counter_known(h, ul_entry_site(*at));
  if (UNLIKELY(!c || !ul_entry_is_live(*at) ||
               snapshot_may_fall(h, requested_by(pool, at))))
    release(p, entry_entrance(frame));
  else
    free_recorded(pool, own, at, h, p, c);
}

/* In an arena, of another heap or behind the first unit of a pool; or no block. */
static __attribute__((noinline)) void free_elsewhere(struct arena *a, void *p,
                                                     const uint64_t *frame) {
  struct heap *h = thread_state.heap;
  struct pool *pool = in_register(arena_pool(a, p));
  uint32_t index = pool_index(pool, p);
  if (LIKELY(pool_starts_block(pool, p, index)))
    free_pooled(h, pool, pool->heap == h, index, p, frame);
  else
    release(p, entry_entrance(frame));
}

void entry_free(void *p) {
  if (UNLIKELY(!p)) return;
  map_slot slot = map_lookup(p);
  if (UNLIKELY(!map_is_arena(slot))) {
    release(p, HERE);
    return;
  }
  struct heap *h = thread_state.heap;
  struct pool *pool = in_register(arena_pool_headed(map_arena(slot), p));
  uint32_t index = pool_index(pool, p);
  if (LIKELY(pool_starts_block(pool, p, index)) && LIKELY(pool->heap == h)) {
    free_pooled(h, pool, true, index, p, FRAME);
    return;
  }
  free_elsewhere(map_arena(slot), p, FRAME);
  __asm__ volatile("" : : : "memory"); /* no tail call: it reads the frame */
}
EXPORT void free(void *p) __attribute__((alias("entry_free")));

/* glibc's own names for them, which some programs call to get at "the real malloc". */
EXPORT void __libc_free(void *p) {
  entry_free(p);
}
EXPORT void __libc_cfree(void *p) {
  entry_free(p);
}

/* ---- realloc ------------------------------------------------------------------- */

/* Into another block; if p is free, it may be the same. */
static void *copy(struct heap *h, struct spot s, hidden from, size_t size,
                  uint32_t site) {
  size_t usable = guard_usable(s, reveal(from));
  void *q = entry_allocate_at(h, size, 0, UL_FAMILY_MALLOC, AS_IT_IS, site);
  return q ? memmove(q, reveal(from), usable < size ? usable : size) : NULL;
}

static void *move(struct heap *h, struct spot s, hidden old, size_t size, uint32_t site) {
  hidden block = hide(copy(h, s, old, size, site));
  if (!reveal(block)) return NULL;
  if (site && process_watches_frees())
    put_watched(h, s, reveal(old), site);
  else
    entry_free(reveal(old));
  return reveal(block);
}

/* For the ledger the block is freed and allocated anew by the caller of realloc. */
static void renew(struct heap *h, const struct ledger_line *was, hidden old,
                  struct spot s, hidden block, size_t size, uint32_t site) {
  if (!was->entry) {
    entry_record(h, s, block, size, UL_FAMILY_MALLOC, site);
    return;
  }
  uint64_t ms = recording_ms();
  ledger_renew(h, was, old, s, block, size, site, UL_FAMILY_MALLOC, ms);
  process_tick(h, ms);
}

static void *stay(struct heap *h, struct spot s, hidden block, size_t size,
                  uint32_t site) {
  if (site && process_recording()) {
    struct ledger_line was = ledger_line(s, reveal(block));
    snapshot_before_free(h, was.requested);
    renew(h, &was, block, s, block, size, site);
  }
  return reveal(block);
}

static void *resize(struct heap *h, struct spot s, hidden old, size_t size,
                    uint32_t site) {
  if (!site || !process_recording()) return heap_resize(&s, size);
  struct ledger_line was = ledger_line(s, reveal(old));
  snapshot_before_free(h, was.requested);
  hidden block = hide(heap_resize(&s, size + guard_room()));
  if (!reveal(block)) return NULL;
  if (guard_on) guard_arm(s, block, size, false);
  renew(h, &was, old, s, block, size, site);
  return reveal(block);
}

/* Who need not move stays, or growing by single bytes would copy all each time. But spans
 * move rather than be resized, that old pointers may be caught. */
static void *resize_guarded(struct heap *h, struct spot s, hidden old, size_t size,
                            uint32_t site) {
  struct ledger_line was = ledger_line(s, reveal(old));
  enum heap_resizing how = heap_resizing(s, size + GUARD_ROOM);
  if (!was.entry || how == HEAP_MOVES || (how == HEAP_RESIZES && s.pool))
    return move(h, s, old, size, site);
  end_if_deadly(guard_look(s, old, &was, site), UL_OVERRUN);
  if (how == HEAP_STAYS) {
    guard_arm_again(s, old, was.requested, size);
    return stay(h, s, old, size, site);
  }
  void *q = resize(h, s, old, size, site);
  return q ? q : move(h, s, old, size, site);
}

static void *refuse(void *p, map_slot slot, struct entrance e) {
  bool freed = heap_gave_back(p, slot);
  misused(freed ? UL_RESIZED_AFTER_FREE : UL_RESIZED_INSIDE, p, e);
  errno = ENOMEM;
  return NULL;
}

static void *realloc_foreign(void *p, size_t size, struct entrance e) {
  static void *(*real)(void *, size_t);
  if (!real) *(void **)&real = next_symbol("realloc");
  if (is_nobodys(p, *(void **)&real)) return refuse(p, 0, e);
  fallback(UL_FB_FOREIGN_FREE);
  return real ? real(p, size) : NULL;
}

/* In a frame of its own: the pointer would stay in a register, for those to save that are
 * called next. */
static __attribute__((noinline)) struct spot find(hidden block, map_slot *slot) {
  void *p = reveal(block);
  *slot = map_lookup(p);
  return *slot ? heap_spot(p, *slot) : (struct spot){0};
}

static void *reallocate(hidden block, size_t size, struct entrance e) {
  struct heap *h = entry_heap();
  map_slot slot;
  struct spot s = find(block, &slot);
  if (UNLIKELY(!slot)) return realloc_foreign(reveal(block), size, e);
  if (UNLIKELY(!s.pool && !s.large)) return refuse(reveal(block), slot, e);
  if (UNLIKELY(size > PTRDIFF_MAX || !h)) {
    errno = ENOMEM;
    return NULL;
  }
  uint32_t site = entry_site_of(h, size, e);
  if (UNLIKELY(is_freed(s, reveal(block)))) {
    misused_at(UL_RESIZED_AFTER_FREE, reveal(block), site);
    return copy(h, s, block, size, site);
  }
  if (process_watches_frees()) compare(s, reveal(block), by_free, site);
  if (UNLIKELY(guard_on) && site && process_recording())
    return resize_guarded(h, s, block, size, site);
  enum heap_resizing how = heap_resizing(s, size);
  if (how == HEAP_STAYS) return stay(h, s, block, size, site);
  void *q = how == HEAP_RESIZES ? resize(h, s, block, size, site) : NULL;
  return q ? q : move(h, s, block, size, site);
}

void *entry_realloc(void *p, size_t size, struct entrance e) {
  if (!p) return entry_allocate(size, 0, UL_FAMILY_MALLOC, AS_IT_IS, e);
  if (size == 0) { /* as glibc */
    entry_free(p);
    return NULL;
  }
  hidden block = hide(p);
  int saved = errno;
  void *q = reallocate(block, size, e);
  if (q) errno = saved;
  return q;
}

EXPORT void *realloc(void *p, size_t size) {
  return entry_realloc(p, size, HERE);
}
EXPORT void *__libc_realloc(void *p, size_t size) {
  return entry_realloc(p, size, HERE);
}
