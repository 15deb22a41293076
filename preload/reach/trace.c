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
 * The work lists are stacks of addresses in chunks. When there is no memory for another
 * chunk the address is dropped, and when the stack has run empty all blocks visited in
 * this step are read again: slow, but it needs nothing. */
#include "reach/trace.h"

#include "base/os.h"
#include "reach/handle.h"
#include "reach/heuristic.h"
#include "reach/scratch.h"

SCAN_STATE static struct trace_from from;
SCAN_STATE static struct trace_step step;
SCAN_STATE static uint64_t looked; /* into blocks */
SCAN_STATE static bool cut, over;

/* ---- the work lists ------------------------------------------------------------ */

enum { CHUNK_BYTES = 1 << 20 };
struct chunk {
  struct chunk *below;
  size_t used;
  uintptr_t items[CHUNK_BYTES / sizeof(uintptr_t) - 2];
};
struct list {
  struct chunk *top, *spare;
};
SCAN_STATE static struct list blocks,
    rests;                      /* by start; of long ones, whose beginning was read */
SCAN_STATE static bool dropped; /* a block did not fit */

static bool grow(struct list *l) {
  struct chunk *c = l->spare ? l->spare : os_map(sizeof *c, OS_PAGE, OS_TOOL);
  l->spare = NULL;
  if (!c) return false;
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

/* 0: empty. The lowest chunk stays. */
static uintptr_t pop(struct list *l) {
  if (l->top->used == 0) {
    if (!l->top->below) return 0;
    struct chunk *empty = l->top;
    l->top = empty->below;
    if (l->spare) os_unmap(l->spare, sizeof *l->spare, OS_TOOL);
    l->spare = empty;
  }
  return l->top->items[--l->top->used];
}

/* What pop may return next; 0: not known. */
static uintptr_t first(const struct list *l) {
  return l->top->used ? l->top->items[l->top->used - 1] : 0;
}

void trace_push(const struct found *f) {
  if (!push(&blocks, f->start)) dropped = true;
}

/* Asked before each piece of work. */
bool trace_ends(void) {
  if (atomic_load_explicit(from.enough, memory_order_relaxed) && !over) cut = true;
  return cut || over;
}

/* ---- words --------------------------------------------------------------------- */

/* What is read is so short, and so little waits, that what its words lead to is probably
 * next: it is asked for before anybody knows. */
SCAN_STATE static bool hasty;

static bool may_be_handle(uintptr_t offset) {
  return offset - 1 < HANDLE_OFFSET_MAX;
}

/* Of a pointer to the block of that number, in that state. */
static inline bool is_due(size_t number, uint8_t state, uintptr_t offset) {
  if (step.closed >> state & 1) return false;
  if (!(step.settled >> state & 1)) return true;
  return may_be_handle(offset) && handle_tells(number, offset);
}

static __attribute__((noinline)) void look_at(uintptr_t word, uintptr_t at) {
  struct found f;
  if (!census_place(word, &f)) return;
  uintptr_t offset = word - f.start;
  if (!is_due(f.number, found_state(&f), offset)) return;
  if (offset == 0 || offset < found_requested(&f) || heuristic_empty_array(&f, offset))
    step.meet(&f, offset, at);
}

/* Is it worth a look? As census_place, but for what tells whether the word leads behind a
 * span; and it stops at the state. */
static inline bool may_lead_on(uintptr_t offset) {
  const struct census_unit u = census.units[census_unit_at(offset)];
  uint64_t at = census_at_in_pool(&u, offset);
  uint32_t index = census_index(&u, at);
  if (index >= u.count) return u.class == CENSUS_NO_ARENA;
  size_t number = (size_t)u.first + index;
  return is_due(number, census_state(number), at - index * census.shapes[u.class].size);
}

static inline void follow(uintptr_t word, const uintptr_t *at, uintptr_t low) {
  if (hasty) __builtin_prefetch((const void *)word);
  if (may_lead_on(word - low)) look_at(word, (uintptr_t)at);
}

/* The processor itself looks ahead only to the end of a page. */
enum { LINE = 64, AHEAD = 512 / sizeof(uintptr_t) };

static READS_ANYTHING void read_slice(uintptr_t start, uintptr_t end) {
  const uintptr_t low = census.extent.low, extent = census.extent.bytes;
  const uintptr_t *p = (const uintptr_t *)((start + 7) & ~(uintptr_t)7);
  const uintptr_t *stop = (const uintptr_t *)(end & ~(uintptr_t)7);
  for (; p + 4 <= stop; p += 4) {
    uintptr_t a = p[0], b = p[1], c = p[2], d = p[3];
    if (stop - p > AHEAD) __builtin_prefetch(p + AHEAD);
    if (LIKELY((a - low >= extent) & (b - low >= extent) & (c - low >= extent) &
               (d - low >= extent)))
      continue;
    if (a - low < extent) follow(a, p, low);
    if (b - low < extent) follow(b, p + 1, low);
    if (c - low < extent) follow(c, p + 2, low);
    if (d - low < extent) follow(d, p + 3, low);
  }
  for (; p < stop; p++)
    if (*p - low < extent) follow(*p, p, low);
}

void trace_words(uintptr_t start, uintptr_t end) {
  enum { SLICE = 1 << 20 };
  for (; end - start > SLICE && !trace_ends(); start += SLICE)
    read_slice(start, start + SLICE);
  if (!trace_ends()) read_slice(start, end);
}

/* ---- blocks -------------------------------------------------------------------- */

enum { SHORT = 128, LONG = 2048, BEGINNING = 256, BLOCKS_AHEAD = 16, FEW = 2 };

/* Those that have left the work list. */
SCAN_STATE static struct {
  unsigned in, out;
  struct found items[BLOCKS_AHEAD];
} next;

static uintptr_t end_of(const struct found *f) {
  return f->start + (from.slack ? f->usable : found_requested(f));
}

static void read_from(const struct found *f, uintptr_t start) {
  if (f->single)
    roots_touched(start, end_of(f), from.pagemaps, trace_words);
  else
    trace_words(start, end_of(f));
}

/* Which pages of a block are worth a look is not asked for the sake of its beginning. */
static void read_block(const struct found *f) {
  enum { TELL_EACH = 1024 };
  if (++looked % TELL_EACH == 0)
    atomic_store_explicit(from.looked, looked, memory_order_relaxed);
  bool later = end_of(f) - f->start >= LONG && push(&rests, f->start);
  if (!later)
    read_from(f, f->start);
  else if (!f->single)
    trace_words(f->start, f->start + BEGINNING);
}

static void expect_rest(void) {
  uintptr_t start = first(&rests);
  for (unsigned i = 0; start && i < AHEAD; i += LINE / sizeof(uintptr_t))
    __builtin_prefetch((const uintptr_t *)(start + BEGINNING) + i);
}

static void read_rest(uintptr_t start) {
  struct found f;
  if (census_place(start, &f)) read_from(&f, f.single ? start : start + BEGINNING);
}

static void expect_blocks(void) {
  while (next.in - next.out < BLOCKS_AHEAD) {
    uintptr_t start = pop(&blocks);
    if (!start) return;
    struct found *f = &next.items[next.in % BLOCKS_AHEAD];
    if (!census_place(start, f)) continue;
    found_expect_words(f);
    next.in++;
  }
}

void trace_beginnings(void) {
  while (!trace_ends()) {
    expect_blocks();
    if (next.out == next.in) return;
    const struct found *f = &next.items[next.out++ % BLOCKS_AHEAD];
    hasty = f->usable <= SHORT && next.in - next.out < FEW;
    read_block(f);
    hasty = false;
  }
}

static void trace_rests(void) {
  trace_beginnings();
  for (uintptr_t start; !trace_ends() && (start = pop(&rests));) {
    expect_rest();
    read_rest(start);
    trace_beginnings();
  }
}

static void read_again(const struct found *f) {
  if (!step.visited(found_state(f))) return;
  read_block(f);
  trace_rests();
}

void trace_all(void) {
  trace_rests();
  while (UNLIKELY(dropped) && !trace_ends()) {
    dropped = false;
    census_each(read_again);
  }
}

/* ---- the whole ----------------------------------------------------------------- */

bool trace_begin(const struct trace_from *where) {
  from = *where;
  return grow(&blocks) && grow(&rests);
}

void trace_enter(const struct trace_step *which) {
  step = *which;
}

void trace_over(void) {
  over = true;
}

bool trace_cut(void) {
  return cut;
}
