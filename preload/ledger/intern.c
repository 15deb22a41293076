/* intern.c - extendible hashing, so that the index of a table grows by a page at a time.
 *
 * A directory leads from the first bits of a word's hash to a page, and a page is 16
 * lines of 16 slots; which line a word begins at, and a tag of it, are other bits of the
 * hash.
 *
 *     slot    tag (of at least 5 bits)    number: `bits` bits; 0: empty, and the tag is
 * the page's depth
 *
 * A page's depth is how many bits of their hashes its words have in common. Words are
 * entered at the first empty slot from their line on, and slots never become empty again
 * (while the page has that depth). So two threads that enter the same word want the same
 * slot, and who loses sees what the other has entered: each word has one number.
 *
 * When a word's first PROBES lines are full, the page splits, under the lock: its empty
 * slots are frozen, so that nobody enters anything any more; its words are shared out by
 * the next bit of their hashes between it and a new page, both one deeper; then the
 * directory leads to them. Who looks meanwhile may miss a word, but never finds a wrong
 * one, for what is found is compared; who misses and has come by what the directory said
 * before meets an empty slot of another depth, or a frozen one, and looks again under the
 * lock. Depths only rise, so an empty slot that was seen once is never mistaken for a
 * later one.
 *
 * In a trie most children are the only ones, and made together with their parents. Such a
 * line has numbers one after the other, and only its first word is in a page: the others
 * are found by a look at the number next to their parent's. All are written before the
 * first is entered, so nobody else can have had a child made for one of them before. Who
 * makes a child later leaves the number next to its parent's free, if that would be its
 * own: it would be found there before it is known whether it is entered.
 *
 * What is interrupted for ever between two steps, or was somebody else's at a fork,
 * leaves at most numbers that are not used (their words stay 0, or are in no page). */
#include "ledger/intern.h"

#include "base/lock.h"
#include "base/meta.h"
#include "stack/hash.h"

#include <stdatomic.h>

enum { SLOTS = 16, LINES = 16, PROBES = 4 };
enum { DEPTH_MAX = 28 };

struct page {
  _Alignas(64) _Atomic uint32_t slots[LINES][SLOTS];
};

/* [first `bits` bits of a hash]: address of the page | its depth. */
struct intern_directory {
  unsigned bits;
  _Atomic uint64_t pages[];
};

static struct lock lock;

/* ---- hashes and words ---------------------------------------------------------- */

static uint64_t hash_of(uint64_t word) {
  return hash_mix(HASH_SEED, word);
}

static uint64_t place_of(uint64_t hash, unsigned bits) {
  return hash >> 1 >> (63 - bits);
}

static uint32_t tag_of(const struct intern *t, uint64_t hash) {
  return (uint32_t)hash << t->bits;
}

static unsigned line_of(uint64_t hash, unsigned probe) {
  return ((unsigned)(hash >> 16) + probe) % LINES;
}

static uint64_t *word_at(const struct intern *t, uint32_t number) {
  return table_at(t->table, number);
}

static uint64_t word_of(const struct intern *t, uint32_t number) {
  return __atomic_load_n(word_at(t, number), __ATOMIC_RELAXED);
}

static uint32_t parent_in(uint64_t word) {
  return (uint32_t)word;
}

static uint32_t empty_at(const struct intern *t, unsigned depth) {
  return depth << t->bits;
}

static uint32_t frozen(const struct intern *t) {
  return UINT32_MAX << t->bits;
}

static uint32_t number_in(const struct intern *t, uint32_t slot) {
  return slot & ~frozen(t);
}

static struct page *page_in(uint64_t entry) {
  return (struct page *)(entry & ~(uint64_t)63);
}

static unsigned depth_in(uint64_t entry) {
  return entry & 63;
}

static bool is_empty(const struct intern *t, uint32_t slot) {
  return !number_in(t, slot);
}

/* ---- entering ------------------------------------------------------------------ */

struct wish {
  uint64_t word, hash;
  const uint32_t *line; /* keys of a child, of a child of that, and so on */
  uint32_t length;      /* of them */
  uint32_t mine;        /* a number to enter it under; 0: none yet */
  bool look;            /* only whether it is there */
};

static bool has(const struct intern *t, uint32_t slot, const struct wish *w) {
  return !((slot ^ tag_of(t, w->hash)) & frozen(t)) &&
         word_of(t, number_in(t, slot)) == w->word;
}

/* The number next to a parent's is that of a child from its line, or of none. */
static uint32_t spare_before(const struct intern *t, const struct wish *w) {
  return t->is_trie && table_count(t->table) == parent_in(w->word) + 1;
}

static bool take_number(const struct intern *t, struct wish *w, bool locked) {
  uint32_t spare = spare_before(t, w), all = spare + 1 + w->length;
  uint64_t end = UINT64_C(1) << t->bits;
  if (table_count(t->table) + all > end) return false;
  uint32_t n = locked ? table_append(t->table, all) : table_next(t->table, all);
  if (n == TABLE_NONE || (uint64_t)n + all > end) return false;
  w->mine = n + spare;
  uint64_t word = w->word;
  for (uint32_t i = 0;; i++) {
    __atomic_store_n(word_at(t, w->mine + i), word, __ATOMIC_RELAXED);
    if (i == w->length) return true;
    word = intern_below(w->mine + i, w->line[i]);
  }
}

/* Somebody else was faster: numbers that are not used. */
static void give_back(const struct intern *t, const struct wish *w) {
  for (uint32_t i = 0; i <= w->length; i++)
    __atomic_store_n(word_at(t, w->mine + i), 0, __ATOMIC_RELAXED);
}

/* 0: it is not there, and cannot be entered without the lock. */
static uint32_t enter(struct intern *t, struct wish *w) {
  const struct intern_directory *d =
      atomic_load_explicit(&t->directory, memory_order_acquire);
  if (!d) return 0;
  uint64_t entry =
      atomic_load_explicit(&d->pages[place_of(w->hash, d->bits)], memory_order_acquire);
  for (unsigned probe = 0; probe < LINES; probe++) {
    _Atomic uint32_t *line = page_in(entry)->slots[line_of(w->hash, probe)];
    for (unsigned i = 0; i < SLOTS; i++) {
      uint32_t slot = atomic_load_explicit(&line[i], memory_order_acquire);
      while (is_empty(t, slot)) {
        if (w->look || slot != empty_at(t, depth_in(entry)) || probe >= PROBES) return 0;
        if (!w->mine && !take_number(t, w, false)) return 0;
        if (atomic_compare_exchange_strong_explicit(
                &line[i], &slot, tag_of(t, w->hash) | w->mine, memory_order_acq_rel,
                memory_order_acquire))
          return w->mine;
      }
      if (has(t, slot, w)) return number_in(t, slot);
    }
  }
  return 0;
}

/* ---- pages, under the lock ----------------------------------------------------- */

static void fill(struct page *p, uint32_t slot) {
  for (unsigned i = 0; i < LINES * SLOTS; i++)
    atomic_store_explicit(&p->slots[i / SLOTS][i % SLOTS], slot, memory_order_release);
}

/* Pages come from pieces of memory that are a quarter of all before, within bounds. */
static struct page *page_new(const struct intern *t, unsigned depth) {
  enum { LEAST = 64 << 10, MOST = 4 << 20 };
  static struct page *next, *end;
  static size_t all;
  if (next == end) {
    size_t bytes = all / 4 < LEAST ? LEAST : all / 4 > MOST ? MOST : all / 4;
    bytes -= bytes % sizeof *next;
    struct page *piece = meta_alloc(bytes); /* so large that it is whole pages */
    if (!piece) return NULL;
    all += bytes;
    next = piece;
    end = piece + bytes / sizeof *piece;
  }
  fill(next, empty_at(t, depth));
  return next++;
}

static void enter_again(const struct intern *t, struct page *p, uint32_t number,
                        uint64_t hash) {
  for (unsigned probe = 0;; probe++) {
    _Atomic uint32_t *line = p->slots[line_of(hash, probe)];
    for (unsigned i = 0; i < SLOTS; i++) {
      if (!is_empty(t, atomic_load_explicit(&line[i], memory_order_relaxed))) continue;
      atomic_store_explicit(&line[i], tag_of(t, hash) | number, memory_order_release);
      return;
    }
  }
}

static struct intern_directory *directory_new(unsigned bits) {
  struct intern_directory *d = meta_alloc(sizeof *d + (sizeof *d->pages << bits));
  if (d) d->bits = bits;
  return d;
}

static bool begin(struct intern *t) {
  struct intern_directory *d = directory_new(0);
  struct page *p = page_new(t, 0);
  if (!d || !p) return false;
  d->pages[0] = (uint64_t)p;
  atomic_store_explicit(&t->directory, d, memory_order_release);
  return true;
}

/* The old one stays, for somebody may be reading it; all of them together are no larger
 * than the new one. */
static struct intern_directory *doubled(struct intern *t, struct intern_directory *d) {
  struct intern_directory *bigger = directory_new(d->bits + 1);
  if (!bigger) return NULL;
  for (uint64_t i = 0; i < (uint64_t)1 << bigger->bits; i++)
    bigger->pages[i] = d->pages[i / 2];
  atomic_store_explicit(&t->directory, bigger, memory_order_release);
  return bigger;
}

/* Nothing is entered into it any more; its slots, whose words will be asked for. */
static const uint32_t *freeze(const struct intern *t, struct page *p) {
  static uint32_t slots[LINES * SLOTS];
  for (unsigned i = 0; i < LINES * SLOTS; i++) {
    _Atomic uint32_t *at = &p->slots[i / SLOTS][i % SLOTS];
    uint32_t slot = atomic_load_explicit(at, memory_order_acquire);
    while (is_empty(t, slot) && !atomic_compare_exchange_strong(at, &slot, frozen(t))) {
    }
    slots[i] = slot;
    if (!is_empty(t, slot)) __builtin_prefetch(word_at(t, number_in(t, slot)));
  }
  return slots;
}

static void share_out(const struct intern *t, uint64_t entry, struct page *upper) {
  unsigned depth = depth_in(entry);
  struct page *lower = page_in(entry);
  const uint32_t *slots = freeze(t, lower);
  fill(lower, empty_at(t, depth + 1));
  for (unsigned i = 0; i < LINES * SLOTS; i++) {
    if (is_empty(t, slots[i])) continue;
    uint32_t number = number_in(t, slots[i]);
    uint64_t hash = hash_of(word_of(t, number));
    enter_again(t, place_of(hash, depth + 1) & 1 ? upper : lower, number, hash);
  }
}

static void lead_to(struct intern_directory *d, uint64_t place, uint64_t entry,
                    const struct page *upper) {
  unsigned below = d->bits - depth_in(entry);
  uint64_t first = place >> below << below, half = (uint64_t)1 << (below - 1);
  for (uint64_t i = 0; i < 2 * half; i++)
    atomic_store_explicit(&d->pages[first + i],
                          (i < half ? entry : (uint64_t)upper | depth_in(entry)) + 1,
                          memory_order_release);
}

/* The page to which `hash` leads. */
static bool split(struct intern *t, uint64_t hash) {
  struct intern_directory *d = t->directory;
  if (!d) return begin(t);
  uint64_t entry = d->pages[place_of(hash, d->bits)];
  if (depth_in(entry) == DEPTH_MAX) return false;
  if (depth_in(entry) == d->bits && !(d = doubled(t, d))) return false;
  struct page *upper = page_new(t, depth_in(entry) + 1);
  if (!upper) return false;
  share_out(t, entry, upper);
  lead_to(d, place_of(hash, d->bits), entry, upper);
  return true;
}

static uint32_t enter_locked(struct intern *t, struct wish *w) {
  for (;;) {
    uint32_t n = enter(t, w);
    if (n) return n;
    if (!(w->mine ? split(t, w->hash) : take_number(t, w, true))) return 0;
  }
}

static __attribute__((noinline)) uint32_t enter_slowly(struct intern *t, struct wish *w) {
  uint64_t signals;
  lock_take_masked(&lock, &signals);
  uint32_t n = enter_locked(t, w);
  lock_give_masked(&lock, signals);
  return n;
}

static uint32_t number_for(struct intern *t, struct wish *w) {
  w->hash = hash_of(w->word);
  uint32_t n = enter(t, w);
  if (w->look) return n;
  if (__builtin_expect(!n, 0)) n = enter_slowly(t, w);
  if (w->mine && n != w->mine) give_back(t, w);
  return n;
}

uint32_t intern(struct intern *t, uint64_t word, bool look) {
  return number_for(t, &(struct wish){.word = word, .look = look});
}

/* ---- paths --------------------------------------------------------------------- */

/* Its place will be asked for soon. */
static void expect(const struct intern *t, uint64_t word) {
  const struct intern_directory *d =
      atomic_load_explicit(&t->directory, memory_order_acquire);
  if (!d) return;
  uint64_t hash = hash_of(word);
  uint64_t entry =
      atomic_load_explicit(&d->pages[place_of(hash, d->bits)], memory_order_relaxed);
  __builtin_prefetch(page_in(entry)->slots[line_of(hash, 0)]);
}

static uint32_t length_of(const uint32_t *keys, uint32_t n) {
  uint32_t length = 0;
  while (length < n && keys[length])
    length++;
  return length;
}

uint32_t intern_path(struct intern *t, uint32_t parent, uint32_t *path, uint32_t n,
                     bool look) {
  struct table_run run = {0};
  uint64_t count = table_count(t->table);
  n = length_of(path, n);
  bool in_line = false;
  for (uint32_t i = 0; i < n; i++) {
    struct wish w = {intern_below(parent, path[i]), .look = look};
    if (!in_line) expect(t, w.word);
    uint32_t next = parent + 1;
    in_line = next < count && __atomic_load_n((uint64_t *)table_in(
                                  &run, t->table, next, sizeof w.word),
                                              __ATOMIC_RELAXED) == w.word;
    if (!in_line) {
      w.line = path + i + 1;
      w.length = n - i - 1;
      next = number_for(t, &w);
      count = table_count(t->table);
    }
    if (!next) return i;
    path[i] = parent = next;
  }
  return n;
}

void intern_begin_anew(struct intern *t) {
  atomic_store(&t->directory, NULL);
}

void intern_fork_prepare(void) {
  lock_take(&lock);
}
void intern_fork_parent(void) {
  lock_give(&lock);
}
void intern_fork_child(void) {
  lock_renew(&lock);
}
