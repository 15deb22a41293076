/* trace.c - see trace.h.
 *
 * Where blocks are few and long, words are what costs: of a word that leads into the heap
 * as little is worked out as tells that nothing is due (may_lead_on), for that is so of
 * nearly all. Where they are many and small it is the waiting for memory: so the words of
 * the blocks whose turn it is are asked for ahead of time.
 *
 * Structures hang together by pointers at the beginnings of their blocks more than by
 * what is far inside. So of LONG blocks only the BEGINNING is read at first, and the rest
 * when nothing else is left to do: if it turns out before that all that lives can be
 * reached, as in a program that loses nothing, that need not be read at all.
 *
 * In some steps of the marker it does not matter who meets what first, only what is met.
 * These can be taken by several threads (crew.h), each with lists of its own, of which it
 * gives some away when others wait. What is the same in the end, whoever has read what:
 *
 *   - Which blocks are read: those that the pointers lead to that were to be followed.
 *     Each is pushed once, by whom its state was changed by. States only rise, so it
 *     ends in the highest that any pointer to it calls for.
 *   - What is read of them before the next root is: all have waited for each other before
 *     trace_beginnings returns. So the roots that need not be read any more, because all
 *     that lives can be reached, are the same; and rests are only read when there are no
 *     beginnings left. (Not the same are the rests that are read before that is known:
 *     nobody can tell by it but the count of pages that could not be read.)
 *   - What is kept of handles (handle.c), and the heuristic that a block is told by.
 *
 * For less than HIRE_AFTER bytes nobody is hired: to begin a thread takes some ten us,
 * and as many pass until it has something in hand.
 *
 * The work lists are stacks of addresses in chunks. When there is no memory for another
 * chunk the address is dropped, and when the stack has run empty all blocks visited in
 * this step are read again: slow, but it needs nothing. */
#include "reach/trace.h"

#include "base/os_thread.h"
#include "reach/crew.h"
#include "reach/handle.h"
#include "reach/heuristic.h"
#include "reach/scratch.h"

#include <string.h>

/* ---- the work lists ------------------------------------------------------------ */

enum { CHUNK_BYTES = 1 << 20, BLOCKS_AHEAD = 16 };
struct chunk {
  struct chunk *below;
  size_t used;
  uintptr_t items[CHUNK_BYTES / sizeof(uintptr_t) - 2];
};
struct list {
  struct chunk *top, *spare;
};

struct tracer {
  struct list lists[CREW_KINDS]; /* by start; rests of those whose beginning was read */
  struct {
    unsigned in, out;
    struct found items[BLOCKS_AHEAD];
  } next;           /* those that have left the list of blocks */
  uint64_t looked;  /* into blocks */
  uint64_t bytes;   /* of blocks that it has read */
  uint32_t settled; /* of which nobody else knows */
  /* What is read is so short, and so little waits, that what its words lead to is
   * probably next: it is asked for before anybody knows. */
  bool hasty;
} __attribute__((aligned(64)));

SCAN_STATE static struct trace_from from;
SCAN_STATE static struct trace_step step;
SCAN_STATE static struct tracer tracers[CREW_MOST];
SCAN_STATE static bool hired;
SCAN_STATE static _Atomic bool dropped; /* a block did not fit */
SCAN_STATE static _Atomic bool cut, over;
SCAN_STATE static _Atomic uint64_t open_things;

struct tracer *trace_mine(void) {
  return &tracers[CREW_CHIEF];
}

static bool grow(struct list *l) {
  struct chunk *c = l->spare ? l->spare : os_map(sizeof *c, OS_PAGE, OS_TOOL);
  if (!c) return false;
  if (c == l->spare) l->spare = c->below;
  c->below = l->top;
  c->used = 0;
  l->top = c;
  return true;
}

static bool push(struct list *l, uintptr_t start) {
  if (l->top->used == sizeof l->top->items / sizeof *l->top->items && !grow(l))
    return false;
  l->top->items[l->top->used++] = start;
  return true;
}

/* How many are in the topmost chunk; 0: there are none. The lowest chunk stays. */
static size_t on_top(struct list *l) {
  if (l->top->used == 0 && l->top->below) {
    struct chunk *empty = l->top;
    l->top = empty->below;
    empty->below = l->spare;
    l->spare = empty;
  }
  return l->top->used;
}

/* 0: empty. */
static uintptr_t pop(struct list *l) {
  return on_top(l) ? l->top->items[--l->top->used] : 0;
}

/* What pop may return next; 0: not known. */
static uintptr_t first(const struct list *l) {
  return l->top->used ? l->top->items[l->top->used - 1] : 0;
}

static void put(struct tracer *by, enum crew_kind kind, uintptr_t start) {
  if (!push(&by->lists[kind], start))
    atomic_store_explicit(&dropped, true, memory_order_relaxed);
}

void trace_push(struct tracer *by, const struct found *f) {
  put(by, CREW_BLOCKS, f->start);
}

/* ---- the end ------------------------------------------------------------------- */

/* Asked before each piece of work. */
bool trace_ends(void) {
  if (atomic_load_explicit(&over, memory_order_relaxed)) return true;
  if (!atomic_load_explicit(from.enough, memory_order_relaxed)) return false;
  atomic_store_explicit(&cut, true, memory_order_relaxed);
  return true;
}

void trace_open(uint64_t things) {
  open_things = things;
  over = things == 0;
}

static void tell_settled(struct tracer *by) {
  uint32_t n = by->settled;
  by->settled = 0;
  if (n && atomic_fetch_sub(&open_things, n) == n)
    atomic_store_explicit(&over, true, memory_order_relaxed);
}

void trace_settle(struct tracer *by) {
  enum { AT_ONCE = 256 };
  if (++by->settled == AT_ONCE) tell_settled(by);
}

bool trace_settled(void) {
  tell_settled(trace_mine());
  return over;
}

bool trace_cut(void) {
  return cut;
}

/* ---- states -------------------------------------------------------------------- */

/* A bit for each block, by number: it is in a state in which nothing is due. That is all
 * that most pointers need to be asked, and it is small. A bit that is not set costs a
 * look at the state, no more: so threads that set two of a byte at once may lose one. */
SCAN_STATE static uint8_t *quiet;

static void hush(size_t number) {
  uint8_t *eight = &quiet[number / 8], old = __atomic_load_n(eight, __ATOMIC_RELAXED);
  __atomic_store_n(eight, (uint8_t)(old | 1u << number % 8), __ATOMIC_RELAXED);
}

static inline bool is_quiet(size_t number) {
  return __atomic_load_n(&quiet[number / 8], __ATOMIC_RELAXED) >> number % 8 & 1;
}

static void find_quiet(void) {
  uint8_t two[UINT8_MAX + 1];
  for (unsigned i = 0; i <= UINT8_MAX; i++)
    two[i] =
        (uint8_t)((step.settled >> (i & 0xf) & 1) | (step.settled >> (i >> 4) & 1) << 1);
  const uint8_t *states = census.states;
  for (size_t i = 0; i < census.numbers / 8 + 1; i++, states += 4)
    quiet[i] = (uint8_t)(two[states[0]] | two[states[1]] << 2 | two[states[2]] << 4 |
                         two[states[3]] << 6);
}

bool trace_change(const struct found *f, uint8_t before, uint8_t to) {
  if (!found_change(f, before, to)) return false;
  if (step.settled >> to & 1) hush(f->number);
  return true;
}

/* ---- words --------------------------------------------------------------------- */

static inline bool may_be_handle(uintptr_t offset) {
  return offset - 1 < HANDLE_OFFSET_MAX;
}

/* Of a pointer to the block of that number, from outside of it. */
static inline bool tells_of_handle(size_t number, uintptr_t offset) {
  return step.handled >> census_state(number) & 1 && may_be_handle(offset) &&
         handle_tells(number, offset);
}

static READS_ANYTHING __attribute__((noinline)) void look_at(struct tracer *by,
                                                             const uintptr_t *at) {
  struct found f;
  uintptr_t word = *at;
  if (!census_place(word, &f)) return;
  uintptr_t offset = word - f.start;
  if (step.settled >> found_state(&f) & 1 && !tells_of_handle(f.number, offset)) return;
  if (offset == 0 || offset < found_requested(&f) || heuristic_empty_array(&f, offset))
    step.meet(by, &f, offset, (uintptr_t)at);
}

/* Is it worth a look? As census_place, but for what tells whether the word leads behind a
 * span; and it stops at the bit of the block. */
static inline bool may_lead_on(uintptr_t word, const uintptr_t *at, uintptr_t low) {
  const struct census_unit u = census.units[census_unit_at(word - low)];
  uint64_t in = census_at_in_pool(&u, word - low);
  uint32_t index = census_index(&u, in);
  if (UNLIKELY(index >= u.count)) return u.class == CENSUS_NO_ARENA;
  size_t number = (size_t)u.first + index;
  if (!is_quiet(number)) return true;
  uint32_t size = census.shapes[u.class].size;
  in -= index * size;
  return may_be_handle(in) && tells_of_handle(number, in) &&
         (uintptr_t)at - (word - in) >= size;
}

static inline void follow(struct tracer *by, uintptr_t word, const uintptr_t *at,
                          uintptr_t low) {
  if (by->hasty) __builtin_prefetch((const void *)word);
  if (may_lead_on(word, at, low)) look_at(by, at);
}

/* The processor itself looks ahead only to the end of a page. */
enum { LINE = 64, AHEAD = 512 / sizeof(uintptr_t) };

static READS_ANYTHING void read_slice(struct tracer *by, uintptr_t start, uintptr_t end) {
  const uintptr_t low = census.extent.low, extent = census.extent.bytes;
  const uintptr_t *p = (const uintptr_t *)((start + 7) & ~(uintptr_t)7);
  const uintptr_t *stop = (const uintptr_t *)(end & ~(uintptr_t)7);
  for (; p + 4 <= stop; p += 4) {
    uintptr_t a = p[0], b = p[1], c = p[2], d = p[3];
    if (stop - p > AHEAD) __builtin_prefetch(p + AHEAD);
    if (LIKELY((a - low >= extent) & (b - low >= extent) & (c - low >= extent) &
               (d - low >= extent)))
      continue;
    if (a - low < extent) follow(by, a, p, low);
    if (b - low < extent) follow(by, b, p + 1, low);
    if (c - low < extent) follow(by, c, p + 2, low);
    if (d - low < extent) follow(by, d, p + 3, low);
  }
  for (; p < stop; p++)
    if (*p - low < extent) follow(by, *p, p, low);
}

/* Pieces of work: as many bytes, of words and of a large block. Before so many have been
 * read it is not worth while to share it with others. */
enum { SLICE = 1 << 20, PIECE = 16 << 20, HIRE_AFTER = 1 << 20 };
static void share(struct tracer *by);

static void read_words(void *reader, uintptr_t start, uintptr_t end) {
  struct tracer *by = reader;
  for (; end - start > SLICE && !trace_ends(); start += SLICE) {
    read_slice(by, start, start + SLICE);
    share(by);
  }
  if (!trace_ends()) read_slice(by, start, end);
}

void trace_words(uintptr_t start, uintptr_t end) {
  read_words(trace_mine(), start, end);
}

/* ---- blocks -------------------------------------------------------------------- */

enum { SHORT = 128, LONG = 2048, BEGINNING = 256, FEW = 2 };

static uintptr_t end_of(const struct found *f) {
  return f->start + (from.slack ? f->usable : found_requested(f));
}

static void read_from(struct tracer *by, const struct found *f, uintptr_t start,
                      uintptr_t end) {
  by->bytes += end - start;
  if (f->single)
    roots_touched(start, end, from.pagemaps, read_words, by);
  else
    read_words(by, start, end);
}

/* In pieces, of which others may have some; the first is next. */
static bool put_off(struct tracer *by, const struct found *f) {
  size_t bytes = end_of(f) - f->start;
  if (bytes < LONG) return false;
  for (size_t at = (bytes - 1) / PIECE * PIECE; at; at -= PIECE)
    put(by, CREW_RESTS, f->start + at);
  return push(&by->lists[CREW_RESTS], f->start);
}

/* Which pages of a block are worth a look is not asked for the sake of its beginning. */
static void read_block(struct tracer *by, const struct found *f) {
  enum { TELL_EACH = 1024 };
  if (++by->looked % TELL_EACH == 0)
    atomic_fetch_add_explicit(from.looked, TELL_EACH, memory_order_relaxed);
  if (!put_off(by, f))
    read_from(by, f, f->start, end_of(f));
  else if (!f->single)
    read_words(by, f->start, f->start + BEGINNING);
}

static void expect_rest(struct tracer *by) {
  uintptr_t start = first(&by->lists[CREW_RESTS]);
  for (unsigned i = 0; start && i < AHEAD; i += LINE / sizeof(uintptr_t))
    __builtin_prefetch((const uintptr_t *)(start + BEGINNING) + i);
}

static void read_rest(struct tracer *by, uintptr_t start) {
  struct found f;
  if (!census_place(start, &f)) return;
  uintptr_t end = end_of(&f);
  if (end - start > PIECE) end = start + PIECE;
  read_from(by, &f, f.single ? start : start + BEGINNING, end);
}

static void expect_blocks(struct tracer *by) {
  while (by->next.in - by->next.out < BLOCKS_AHEAD) {
    uintptr_t start = pop(&by->lists[CREW_BLOCKS]);
    if (!start) return;
    struct found *f = &by->next.items[by->next.in % BLOCKS_AHEAD];
    if (!census_place(start, f)) continue;
    found_expect_words(f);
    by->next.in++;
  }
}

static void read_beginnings(struct tracer *by) {
  while (!trace_ends()) {
    expect_blocks(by);
    if (by->next.out == by->next.in) break;
    const struct found *f = &by->next.items[by->next.out++ % BLOCKS_AHEAD];
    by->hasty = f->usable <= SHORT && by->next.in - by->next.out < FEW;
    read_block(by, f);
    by->hasty = false;
    share(by);
  }
  tell_settled(by);
}

static void read_rests(struct tracer *by) {
  read_beginnings(by);
  for (uintptr_t start; !trace_ends() && (start = pop(&by->lists[CREW_RESTS]));) {
    expect_rest(by);
    read_rest(by, start);
    read_beginnings(by);
    share(by);
  }
}

/* ---- sharing ------------------------------------------------------------------- */

static void accept(struct tracer *by, struct crew_packet *p) {
  for (uint32_t i = 0; i < p->used; i++)
    put(by, p->kind, p->items[i]);
  crew_empty(p);
}

/* Of the topmost chunk. false: nothing was given. */
static bool give(struct tracer *by, enum crew_kind kind, size_t n) {
  struct chunk *c = by->lists[kind].top;
  struct crew_packet *p = n ? crew_packet() : NULL;
  if (!p) return false;
  if (n > CREW_PACKET) n = CREW_PACKET;
  c->used -= n;
  memcpy(p->items, c->items + c->used, n * sizeof *p->items);
  p->kind = kind;
  p->used = (uint32_t)n;
  crew_give(p);
  return true;
}

static void give_some(struct tracer *by) {
  enum { BLOCKS_LEAST = 16 };
  size_t blocks = by->lists[CREW_BLOCKS].top->used;
  size_t rests = by->lists[CREW_RESTS].top->used;
  if (blocks >= BLOCKS_LEAST)
    give(by, CREW_BLOCKS, blocks / 2);
  else if (crew_takes_rests())
    give(by, CREW_RESTS, rests / 2);
}

/* What a helper may not read yet somebody else may have to read. */
static void give_rests(struct tracer *by) {
  struct list *l = &by->lists[CREW_RESTS];
  while (give(by, CREW_RESTS, on_top(l)))
    continue;
  if (on_top(l)) atomic_store_explicit(&dropped, true, memory_order_relaxed);
}

static void help(unsigned number) {
  struct tracer *by = &tracers[number];
  for (;;) {
    accept(by, crew_take(number));
    if (crew_takes_rests())
      read_rests(by);
    else
      read_beginnings(by);
    if (!trace_ends()) give_rests(by);
  }
}

static bool take_lists(struct tracer *by) {
  return grow(&by->lists[CREW_BLOCKS]) && grow(&by->lists[CREW_RESTS]);
}

static void hire(void) {
  unsigned most = from.processors ? from.processors : os_processors();
  if (most > CREW_MOST) most = CREW_MOST;
  hired = true;
  census.shared = most > 1;
  for (unsigned i = 1; i < most; i++)
    if (!take_lists(&tracers[i]) || !crew_hire(help)) return;
}

/* Asked after each piece of work. Before somebody is hired there is one who asks. */
static void share(struct tracer *by) {
  if (!step.shared) return;
  if (UNLIKELY(!hired) && by->bytes >= HIRE_AFTER) hire();
  if (UNLIKELY(crew_wants())) give_some(by);
}

/* ---- the whole ----------------------------------------------------------------- */

bool trace_begin(const struct trace_from *where) {
  from = *where;
  quiet = scratch(census.numbers / 8 + 1);
  return quiet && take_lists(trace_mine());
}

void trace_enter(const struct trace_step *which) {
  step = *which;
  find_quiet();
}

static void trace(bool rests) {
  struct tracer *by = trace_mine();
  struct crew_packet *p = NULL;
  crew_take_rests(rests);
  do {
    if (p) accept(by, p);
    if (rests)
      read_rests(by);
    else
      read_beginnings(by);
  } while (step.shared && (p = crew_take(CREW_CHIEF)));
}

void trace_beginnings(void) {
  trace(false);
}

static void read_again(const struct found *f) {
  if (!step.visited(found_state(f))) return;
  read_block(trace_mine(), f);
  trace(true);
}

void trace_all(void) {
  trace(true);
  while (UNLIKELY(dropped) && !trace_ends()) {
    dropped = false;
    census_each(read_again);
  }
  crew_take_rests(false);
}
