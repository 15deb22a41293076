/* guard.c - what nobody has business with is filled with bytes that stay, or tell.
 *
 *     a live block      [ content, fresh until it is written | canary | rest of its place
 * ] a freed block     [ spoilt from end to end                                          ]
 *
 * A block asks its heap for GUARD_ROOM bytes more than are requested. Behind the last
 * requested byte, which the ledger knows exactly, the canary fills what is left of the
 * place, up to CANARY_MOST bytes; it is looked at when the block is freed or resized, and
 * at the end. For the accounting it is slack. malloc_usable_size() tells what was
 * requested.
 *
 * A freed block is spoilt, and kept from its heap until KEPT_BYTES have been freed after
 * it by the same thread (or whoever owns its heap then): first in, first out. It is
 * looked at when it goes back; from then on its first word is the heap's (the link of the
 * free list), the others are looked at when it is given out again, and at the end. Where
 * realloc cannot leave a block as it is, it moves it, that an old pointer may be caught;
 * but not a large block. These have a canary only: to fill them would fetch every page
 * that the program itself never touches, and their memory goes back at once when they are
 * freed. So does that of a span which is larger than all that is kept.
 *
 * Words that are fresh still when a block is freed, moved, or alive at the end, were
 * never written; they are counted for its site (UL_FILLS). What calloc gives out is zeros
 * and cannot tell: its canary has another byte, which says so.
 *
 * Nothing beside the ledger says any of that. An entry that lives has a canary at its
 * requested size; one with UL_ENTRY_FREED_AT is spoilt, but for the link unless
 * UL_ENTRY_KEPT. A fill is complete before the entry says so, and the entry is cleared
 * before a fill is given up; stores of one thread are seen in their order. So who looks
 * without a lock (guard_look_at_all, while other threads go on) believes what it finds
 * when the entry is the same afterwards, and a second look says the same: then a thread
 * that has freed the block in between, and noted the same, has spoilt it anew.
 *
 * No fill looks like an address, not even where a part of a word is left of it: the top
 * bit is set in each of their bytes, and not in the upper bytes of an address. A signal
 * handler that has interrupted guard_put() puts its own blocks back at once. */
#include "ledger/guard.h"

#include "base/meta.h"
#include "heap/arena.h"
#include "ledger/misuse.h"
#include "recording/table.h"

#include <string.h>

bool guard_on;

enum { FRESH = 0xcd, SPOILT = 0xdd, CANARY = 0xfd, CANARY_OF_UNFILLED = 0xfc };
enum { CANARY_MOST = 128, KEPT_BYTES = 256 << 10, KEPT_BLOCKS = 1024 };
enum { LINK_BYTES = sizeof(struct block) };

void guard_begin(void) {
  guard_on = true;
  page_watch_frees();
}

void guard_forget_history(void) {
  for (uint64_t i = 0; i < table_count(UL_FILLS); i++)
    *(struct ul_fill *)table_at(UL_FILLS, i) = (struct ul_fill){0};
}

static uint64_t all_of(uint8_t byte) {
  return byte * UINT64_C(0x0101010101010101);
}

static uint64_t word_at(const uint8_t *p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

/* ---- damage --------------------------------------------------------------------- */

/* Bytes from the first to the last that are not as they were. None: all are. */
struct damage {
  size_t from, end;
};

static struct damage damage_of(const uint8_t *p, size_t from, size_t end, uint8_t as) {
  while (from + 8 <= end && word_at(p + from) == all_of(as))
    from += 8;
  while (from < end && p[from] == as)
    from++;
  while (end > from && p[end - 1] == as)
    end--;
  return (struct damage){from, end};
}

static bool is_damaged(struct damage d) {
  return d.from < d.end;
}

static void note(enum ul_misuse_kind kind, const uint8_t *p, struct damage d,
                 size_t requested, struct ledger_past sites) {
  struct ul_misuse what = {.site = sites.freed,
                           .allocated = sites.allocated,
                           .address = (uint64_t)(uintptr_t)p,
                           .bytes = requested,
                           .changed = (uint32_t)(d.end - d.from)};
  size_t found = d.end - d.from;
  if (found > sizeof what.found) found = sizeof what.found;
  memcpy(what.found, p + d.from, found);
  what.offset = (uint32_t)(kind == UL_OVERRUN ? d.from - requested : d.from);
  misuse_note(kind, &what);
}

/* ---- of a live block ------------------------------------------------------------- */

static size_t canary_bytes(struct spot s, size_t requested) {
  size_t left = heap_usable(s) - requested;
  return left < CANARY_MOST ? left : CANARY_MOST;
}

/* By its last byte, which the fewest overruns reach. */
static uint8_t canary_of(struct spot s, const uint8_t *p, size_t requested) {
  return p[requested + canary_bytes(s, requested) - 1];
}

void guard_arm(struct spot s, hidden block, size_t requested, bool fresh) {
  uint8_t *p = reveal(block);
  bool filled = fresh && !s.large;
  if (filled) memset(p, FRESH, requested);
  memset(p + requested, filled ? CANARY : CANARY_OF_UNFILLED, canary_bytes(s, requested));
  atomic_thread_fence(memory_order_release);
}

/* No byte of the old canary changes: it is right until the ledger says otherwise. What is
 * new has the canary's bytes in it, or what was behind it, and counts as written. */
void guard_arm_again(struct spot s, hidden block, size_t was, size_t requested) {
  uint8_t *p = reveal(block), as = canary_of(s, p, was);
  memset(p + requested, as == CANARY ? CANARY : CANARY_OF_UNFILLED,
         canary_bytes(s, requested));
  atomic_thread_fence(memory_order_release);
}

/* Two states of a large block that is being resized may be seen in one. */
static bool has_canary(struct spot s, size_t requested) {
  return requested <= heap_usable(s) && canary_bytes(s, requested);
}

static struct damage overrun(struct spot s, const uint8_t *p, size_t requested) {
  bool unfilled = canary_of(s, p, requested) == CANARY_OF_UNFILLED;
  return damage_of(p, requested, requested + canary_bytes(s, requested),
                   unfilled ? CANARY_OF_UNFILLED : CANARY);
}

/* NULL: there is no room. */
static struct ul_fill *fill_of(uint32_t site) {
  if (site >= table_count(UL_FILLS) && !table_extend(UL_FILLS, (uint64_t)site + 1))
    return NULL;
  return table_at(UL_FILLS, site);
}

/* In whole words: what is left between the members of a struct is not worth a word. */
static void count_fresh(const uint8_t *p, size_t requested, uint32_t site) {
  size_t words = 0;
  struct ul_fill *f = fill_of(site);
  if (!f) return;
  for (size_t i = 0; i + 8 <= requested; i += 8)
    words += word_at(p + i) == all_of(FRESH);
  __atomic_fetch_add(&f->blocks, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&f->bytes, requested, __ATOMIC_RELAXED);
  __atomic_fetch_add(&f->never_written, words * 8, __ATOMIC_RELAXED);
}

static bool is_inherited(uint64_t entry) {
  return ul_is_inherited(recording, ul_entry_site(entry));
}

static bool is_of_program(uint64_t entry) {
  return ul_entry_site(entry) != UL_SITE_ULLAGE && !is_inherited(entry);
}

void guard_count(struct spot s, hidden block, const struct ledger_line *was) {
  const uint8_t *p = reveal(block);
  if (has_canary(s, was->requested) && canary_of(s, p, was->requested) == CANARY &&
      is_of_program(was->entry))
    count_fresh(p, was->requested, ul_entry_site(was->entry));
}

bool guard_look(struct spot s, hidden block, const struct ledger_line *was,
                uint32_t site) {
  const uint8_t *p = reveal(block);
  if (!has_canary(s, was->requested)) return false;
  struct damage d = overrun(s, p, was->requested);
  if (LIKELY(!is_damaged(d))) return false;
  note(UL_OVERRUN, p, d, was->requested,
       (struct ledger_past){.allocated = ul_entry_site(was->entry), .freed = site});
  return true;
}

/* ---- of a freed one --------------------------------------------------------------- */

static bool is_spoilt(uint64_t entry) {
  return !ul_entry_is_live(entry) && entry & UL_ENTRY_FREED_AT;
}

static struct damage written(const struct pool *pool, const uint8_t *p, uint64_t entry) {
  return damage_of(p, entry & UL_ENTRY_KEPT ? 0 : LINK_BYTES, pool->size, SPOILT);
}

/* Of a block without an entry that lives, its entry is. */
static void note_written(struct spot s, const uint8_t *p, struct damage d,
                         uint64_t entry) {
  struct ledger_past sites = {.allocated = ul_entry_site(entry),
                              .freed = ul_entry_birth(entry)};
  note(UL_WRITTEN_FREED, p, d, ledger_requested(s, entry), sites);
}

static bool look_at_freed(struct spot s, const uint8_t *p, uint64_t entry) {
  struct damage d = written(s.pool, p, entry);
  if (LIKELY(!is_damaged(d))) return false;
  note_written(s, p, d, entry);
  return true;
}

bool guard_reuse(struct spot s, hidden block) {
  uint64_t *slot = s.pool ? ledger_slot(s, reveal(block)) : NULL;
  if (!slot) return false;
  bool found = is_spoilt(*slot) && look_at_freed(s, reveal(block), *slot);
  __atomic_store_n(slot, 0, __ATOMIC_RELEASE);
  atomic_thread_fence(memory_order_release);
  return found;
}

/* Otherwise its memory does not stay. */
static bool can_be_kept(struct spot s) {
  return s.pool && s.pool->size <= KEPT_BYTES;
}

void guard_spoil(struct spot s, hidden block) {
  if (can_be_kept(s)) memset(reveal(block), SPOILT, s.pool->size);
  atomic_thread_fence(memory_order_release);
}

/* What has been told is not told again when the block is given out. */
static bool release_oldest(struct heap *h, struct quarantine *q) {
  void *p = reveal(q->blocks[q->first % KEPT_BLOCKS]);
  struct spot s = heap_spot(p, map_lookup(p));
  uint64_t *slot = ledger_slot(s, p);
  bool found = is_spoilt(*slot) && look_at_freed(s, p, *slot);
  if (UNLIKELY(found)) guard_spoil(s, hide(p));
  q->first++;
  q->bytes -= s.pool->size;
  __atomic_store_n(slot, *slot & ~UL_ENTRY_KEPT, __ATOMIC_RELEASE);
  heap_put_any(h, s, p);
  return found;
}

static bool may_keep(struct quarantine *q, struct spot s) {
  if (q->at_work || !can_be_kept(s)) return false;
  if (!q->blocks) q->blocks = meta_alloc(KEPT_BLOCKS * sizeof *q->blocks);
  return q->blocks && ledger_covers(s);
}

bool guard_put(struct heap *h, struct spot s, hidden block) {
  struct quarantine *q = &book_of(h)->quarantine;
  bool found = false;
  if (!may_keep(q, s)) {
    heap_put_any(h, s, reveal(block));
    return false;
  }
  q->at_work = true;
  atomic_signal_fence(memory_order_seq_cst);
  while (q->end - q->first == KEPT_BLOCKS || q->bytes + s.pool->size > KEPT_BYTES)
    found |= release_oldest(h, q);
  *ledger_slot(s, reveal(block)) |= UL_ENTRY_KEPT;
  q->blocks[q->end++ % KEPT_BLOCKS] = block;
  q->bytes += s.pool->size;
  atomic_signal_fence(memory_order_seq_cst);
  q->at_work = false;
  return found;
}

/* ---- all ------------------------------------------------------------------------- */

static bool is_same(const struct ledger_line *a, struct ledger_line b) {
  return a->entry == b.entry && a->requested == b.requested;
}

static void look_at_live(struct spot s, const uint8_t *p, bool last) {
  struct ledger_line line = ledger_line(s, p);
  if (!line.entry || is_inherited(line.entry) || !has_canary(s, line.requested)) return;
  if (last) guard_count(s, hide(p), &line);
  struct damage d;
  for (int look = 0; look < 2; look++) {
    d = overrun(s, p, line.requested);
    if (LIKELY(!is_damaged(d)) || !is_same(&line, ledger_line(s, p))) return;
  }
  note(UL_OVERRUN, p, d, line.requested,
       (struct ledger_past){.allocated = ul_entry_site(line.entry)});
}

static void look_at_spoilt(struct spot s, const uint8_t *p, const uint64_t *slot) {
  uint64_t entry = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
  if (!is_spoilt(entry) || is_inherited(entry)) return;
  struct damage d;
  for (int look = 0; look < 2; look++) {
    d = written(s.pool, p, entry);
    if (LIKELY(!is_damaged(d)) || entry != __atomic_load_n(slot, __ATOMIC_ACQUIRE))
      return;
  }
  note_written(s, p, d, entry);
}

static void look_at_pool(struct pool *pool, bool last) {
  struct spot s = {pool, NULL};
  for (uint32_t i = 0; pool->entries && i < pool->capacity; i++) {
    const uint8_t *p = (const uint8_t *)pool->base + (size_t)i * pool->size;
    look_at_live(s, p, last);
    look_at_spoilt(s, p, &pool->entries[i]);
  }
}

/* Under the lock no memory of the heap comes or goes. What a forked child has inherited
 * is its parent's to tell; and other threads may have been at it while it was copied. */
void guard_look_at_all(bool last) {
  arena_lock();
  for (struct arena *a = arena_first(); a; a = arena_next(a)) {
    struct pool *pool;
    for (unsigned unit = 0; (pool = arena_next_pool(a, &unit));)
      look_at_pool(pool, last);
  }
  for (struct large *l = large_first(); l; l = large_next(l))
    if (l->record) look_at_live((struct spot){NULL, l}, (const uint8_t *)l->base, last);
  arena_unlock();
}
