/* Unit tests of the allocator and the recording's tables: classes, births, arenas,
 * pools, remote frees, spans, large blocks, segments, with the invariants of types.h
 * checked as they go, and with each mmap failing in turn. The blocks are ullage's own
 * heap beside this program's malloc; process.c is stubbed. */
#include "account/budget.h"
#include "account/residency.h"
#include "account/rows.h"
#include "account/snapshot.h"
#include "base/os.h"
#include "base/say.h"
#include "heap/arena.h"
#include "heap/class.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "heap/map.h"
#include "heap/retain.h"
#include "ledger/ledger.h"
#include "ledger/strip.h"
#include "process/fork.h"
#include "process/process.h"
#include "recording/recording.h"
#include "recording/table.h"
#include "recording/window.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- what process.c would give ------------------------------------------------- */

uint64_t residency_rss(void) {
  return 4096;
}
bool residency_mark_writes(void) {
  return false;
}
void process_begin(void) {}
void fork_check(void) {}

/* ---- blocks, as malloc.c takes and puts them ----------------------------------- */

struct held {
  struct spot spot;
  char *p;
  size_t bytes;
};

static uint64_t random_state = 88172645463325252u;
static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

static bool take(struct held *b, size_t bytes) {
  struct heap *h = heap_mine();
  bool zeroed = false;
  b->spot = (struct spot){NULL, NULL};
  b->bytes = bytes;
  b->p = heap_take_any(h, bytes, 0, &b->spot, &zeroed);
  if (!b->p) return false;
  for (size_t i = 0; zeroed && i < bytes; i += 1 + i / 4)
    assert_int_equal(b->p[i], 0);
  ledger_enter(h, b->spot, hide(b->p), bytes, UL_SITE_EARLY, UL_FAMILY_MALLOC, 5);
  memset(b->p, (int)(bytes & 0xff), bytes < 64 ? bytes : 64);
  return true;
}

static void put(struct held *b) {
  struct heap *h = heap_mine();
  struct ledger_line line = ledger_line(b->spot, b->p);
  assert_true(line.entry);
  assert_int_equal(line.requested, b->bytes);
  for (size_t i = 0; i < 64 && i < b->bytes; i++)
    assert_int_equal((unsigned char)b->p[i], b->bytes & 0xff);
  ledger_clear(h, b->spot, b->p, &line);
  assert_false(ledger_line(b->spot, b->p).entry); /* so that twice is noticed */
  if (b->spot.pool && b->spot.pool->class != UL_SPAN)
    heap_keep(h, b->spot.pool, hide(b->p), ledger_slot(b->spot, b->p));
  else
    heap_put_any(h, b->spot, b->p);
  b->p = NULL;
}

static void check_all(void) {
  arena_lock();
  arena_check();
  heap_check(heap_mine());
  ledger_check(heap_mine());
  arena_unlock();
}

/* The identity of a snapshot (format.h), on the one just taken. */
static void check_identity(void) {
  snapshot_take(heap_mine(), UL_SNAPSHOT_FINAL);
  const struct ul_snapshot *s = NULL;
  for (unsigned i = 0; i < UL_SNAPSHOT_SLOTS; i++) {
    s = table_at(UL_SNAPSHOTS, i);
    if (s->kind == UL_SNAPSHOT_FINAL) break;
  }
  assert_int_equal(s->kind, UL_SNAPSHOT_FINAL);
  assert_int_equal(s->mapped_bytes, s->arena_bytes + s->large_bytes + s->cached_bytes);
  assert_int_equal(s->arena_bytes, s->pool_bytes + s->empty_bytes);
  assert_int_equal(s->pool_bytes,
                   s->small_requested + s->small_slack + s->free_bytes + s->tail_bytes);
  assert_int_equal(s->large_bytes, s->large_requested + s->large_slack);
  assert_int_equal(s->live_bytes, s->small_requested + s->large_requested);
}

static size_t random_size(void) {
  uint64_t r = next_random();
  if (r % 64 == 0) return 600000 + r / 64 % 2000000;
  if (r % 16 == 0) return 1 + r / 64 % 520000;
  return 1 + r / 64 % 2000;
}

/* ---- tests --------------------------------------------------------------------- */

static void test_classes(void **state) {
  (void)state;
  for (size_t n = 1; n <= UL_MEDIUM_MAX; n++) {
    unsigned c = class_of(n);
    assert_in_range(c, 1, UL_CLASSES - 1);
    assert_true(class_bytes(c) >= n);
    assert_true(c == 1 || class_bytes(c - 1) < n);
    assert_true(n <= 512 || class_bytes(c) - n <= n / 4);
    assert_true(n < 1024 || class_bytes(c) - n <= n / 8);
  }
  for (unsigned c = 1; c < UL_CLASSES; c++)
    assert_int_equal(class_sizes[c], class_bytes(c));
  for (size_t align = 32; align <= UL_UNIT_BYTES / 2; align *= 2)
    for (size_t n = 1; n <= UL_MEDIUM_MAX; n += 97) {
      unsigned c = class_of_aligned(n, align);
      if (c == UL_SPAN) continue;
      assert_true(class_bytes(c) >= n && class_bytes(c) % align == 0);
      assert_true(class_bytes(c) - n <= UL_SLACK_MAX);
    }
  assert_int_equal(class_of_aligned(1, UL_UNIT_BYTES), UL_SPAN);
  assert_int_equal(class_of_aligned(0, 8192), UL_SPAN); /* slack 8192 has 14 bits */
}

static void test_births(void **state) {
  (void)state;
  uint32_t last = 0;
  for (uint64_t ms = 0; ms < (UINT64_C(1) << 40); ms = ms + 1 + ms / 50) {
    uint32_t birth = ul_birth(ms);
    assert_true(birth >= last && birth < 1u << 24);
    last = birth;
    uint64_t back = ul_birth_ms(birth);
    assert_true(back <= ms && ms - back <= ms >> 18);
    if (ms < 1u << 19) assert_int_equal(back, ms);
  }
}

static void test_times_of_long_runs(void **state) {
  (void)state;
  assert_int_equal(ul_ms32(12345), 12345);
  assert_int_equal(ul_ms32(UINT32_MAX), UINT32_MAX - 1);
  assert_int_equal(ul_ms32((UINT64_C(1) << 32) + 5), UINT32_MAX - 1);
}

static void test_random_life(void **state) {
  (void)state;
  enum { SLOTS = 3000, ROUNDS = 60000 };
  static struct held held[SLOTS];
  for (int i = 0; i < ROUNDS; i++) {
    struct held *b = &held[next_random() % SLOTS];
    if (b->p)
      put(b);
    else
      assert_true(take(b, random_size()));
    if (i % 4096 == 0) check_all();
    if (i % 4096 == 1) check_identity();
  }
  for (int i = 0; i < SLOTS; i++)
    if (held[i].p) put(&held[i]);
  check_all();
  check_identity();
  heap_trim_all(heap_mine());
  arena_trim();
  large_trim();
  assert_int_equal(os_mapped(OS_ARENA), 0);
  assert_int_equal(os_mapped(OS_LARGE), 0);
}

static void test_arenas_go_back(void **state) {
  (void)state;
  enum { BLOCKS = 200000 };
  struct held *held = calloc(BLOCKS, sizeof *held);
  for (int i = 0; i < BLOCKS; i++)
    assert_true(take(&held[i], 16 + (size_t)i % 480));
  size_t most = os_mapped(OS_ARENA);
  assert_true(most > 40u << 20);
  for (int i = 0; i < BLOCKS; i++)
    put(&held[i]);
  /* all but what retain.h lets stay, without being asked; spares may pin an arena each */
  assert_false(retain_too_much(UINT64_C(16) << 20));
  assert_true(os_mapped(OS_ARENA) <= retain_limit(0) + 17 * UL_ARENA_BYTES);
  check_all();
  free(held);
}

static void *free_them(void *argument) {
  struct held *held = argument;
  for (int i = 0; i < 5000; i++)
    put(&held[i]);
  check_all();
  return NULL;
}

static void test_remote_frees(void **state) {
  (void)state;
  static struct held held[5000];
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 5000; i++)
      assert_true(take(&held[i], 24 + (size_t)(i % 3) * 40000));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, free_them, held), 0);
    pthread_join(thread, NULL);
    check_all();
    check_identity();
  }
  heap_trim_all(heap_mine());
  check_all();
  unsigned heaps = 0;
  for (struct heap *h = heap_first(); h; h = h->next)
    heaps++;
  assert_true(heaps <= 3); /* the dead threads' heap was adopted, not made anew */
}

static void test_spans_resize(void **state) {
  (void)state;
  struct held a, b;
  assert_true(take(&a, 40000));
  struct pool *p = a.spot.pool;
  unsigned units = p->units;
  assert_int_equal(p->size, 40960);
  assert_true(arena_resize_span(p, (units + 4) * UL_UNIT_BYTES));
  check_all();
  assert_int_equal(p->size, (units + 4) * UL_UNIT_BYTES);
  assert_true(arena_resize_span(p, 40000));
  assert_int_equal(p->units, units);
  assert_true(take(&b, 40000));
  if (b.p == a.p + units * UL_UNIT_BYTES)
    assert_false(arena_resize_span(p, (units + 1) * UL_UNIT_BYTES));
  check_all();
  put(&a);
  put(&b);
}

static void test_large_resize(void **state) {
  (void)state;
  struct large *l = large_take(600000, 0);
  assert_non_null(l);
  assert_true(l->zeroed);
  memset(l->base, 7, 600000);
  for (size_t bytes = 600000; bytes < 40u << 20; bytes = bytes * 3 / 2) {
    l = large_resize(l, bytes);
    assert_non_null(l);
    assert_int_equal((uintptr_t)l->base % UL_ARENA_BYTES, 0);
    assert_int_equal(l->base[299999], 7);
    assert_true(map_large(map_lookup(l->base + bytes - 1)) == l);
  }
  l = large_resize(l, 700000);
  assert_int_equal(l->base[299999], 7);
  assert_int_equal(map_lookup(l->base + (2u << 20)), 0);
  large_put(l);
  assert_false(l->in_use);
  struct large *aligned = large_take(10, 8u << 20);
  assert_int_equal((uintptr_t)aligned->base % (8u << 20), 0);
  large_put(aligned);
  large_trim();
}

/* Each mmap fails in turn: blocks are refused, never broken. */
static void test_memory_fails(void **state) {
  (void)state;
  static struct held held[400];
  for (int n = 1; n < 40; n++) {
    char fault[32];
    snprintf(fault, sizeof fault, "mmap:%d", n);
    os_inject_faults(fault);
    int refused = 0;
    for (int i = 0; i < 400; i++)
      if (!take(&held[i], random_size())) refused++;
    check_all();
    assert_true(refused <= 1);
    for (int i = 0; i < 400; i++)
      if (held[i].p) put(&held[i]);
    check_all();
    heap_trim_all(heap_mine());
    arena_trim();
    large_trim();
  }
  os_inject_faults("mmap:0");
}

/* What a thread allocates before it sleeps, and others free. */
enum { SLEEPER_BLOCKS = 20000 };
static struct sleeper {
  struct held held[SLEEPER_BLOCKS];
  int blocks;
  size_t bytes;
  pthread_t thread;
  pthread_barrier_t allocated, freed;
} sleeper;

static void *allocate_and_sleep(void *unused) {
  for (int i = 0; i < sleeper.blocks; i++)
    if (!take(&sleeper.held[i], sleeper.bytes)) abort();
  pthread_barrier_wait(&sleeper.allocated);
  pthread_barrier_wait(&sleeper.freed);
  return unused;
}

static struct heap *sleeper_begin(int blocks, size_t bytes) {
  sleeper.blocks = blocks;
  sleeper.bytes = bytes;
  pthread_barrier_init(&sleeper.allocated, NULL, 2);
  pthread_barrier_init(&sleeper.freed, NULL, 2);
  assert_int_equal(pthread_create(&sleeper.thread, NULL, allocate_and_sleep, NULL), 0);
  pthread_barrier_wait(&sleeper.allocated);
  return sleeper.held[0].spot.pool->heap;
}

static void sleeper_free(void) {
  for (int i = 0; i < sleeper.blocks; i++)
    put(&sleeper.held[i]);
}

static void sleeper_end(void) {
  pthread_barrier_wait(&sleeper.freed);
  pthread_join(sleeper.thread, NULL);
  check_all();
}

/* Without a barrier nobody takes over, and it is counted; with one the blocks come back.
 */
static void test_no_barrier_is_counted(void **state) {
  (void)state;
  uint64_t before = recording->fallbacks[UL_FB_NO_BARRIER];
  struct heap *theirs = sleeper_begin(2000, 2000);
  uint64_t held = theirs->pool_bytes;
  os_inject_faults("membarrier:1");
  sleeper_free();
  os_inject_faults("membarrier:0");
  assert_int_equal(recording->fallbacks[UL_FB_NO_BARRIER], before + 1);
  assert_true(theirs->pool_bytes < held / 4);
  sleeper_end();
}

/* Who has to take over again and again waits for more, if the blocks are few. */
static void test_patience(void **state) {
  (void)state;
  uint64_t before = recording->fallbacks[UL_FB_NO_BARRIER];
  struct heap *theirs = sleeper_begin(3000, 9000);
  uint64_t held = theirs->pool_bytes;
  os_inject_faults("membarrier:100");
  sleeper_free();
  os_inject_faults("membarrier:0");
  assert_int_equal(recording->fallbacks[UL_FB_NO_BARRIER], before);
  assert_int_equal(theirs->patience, 1 << 20);
  assert_true(theirs->pool_bytes < held / 16);
  sleeper_end();
  theirs = sleeper_begin(20000, 64);
  sleeper_free();
  assert_int_equal(theirs->patience, 0); /* nor does it find many to take in */
  sleeper_end();
}

/* A block for whose site there is no counter is live, not freed. */
static void test_no_room_for_a_counter(void **state) {
  (void)state;
  struct held b = {.bytes = 100};
  struct heap *h = heap_mine();
  bool zeroed;
  b.p = heap_take_any(h, b.bytes, 0, &b.spot, &zeroed);
  os_inject_faults("mmap:1");
  ledger_enter(h, b.spot, hide(b.p), b.bytes, UL_SITES_MAX - 1, UL_FAMILY_MALLOC, 5);
  os_inject_faults("mmap:0");
  struct ledger_line line = ledger_line(b.spot, b.p);
  assert_true(line.entry);
  assert_int_equal(recording->fallbacks[UL_FB_UNCOUNTED], 1);
  os_inject_faults("mmap:1");
  ledger_clear(h, b.spot, b.p, &line);
  os_inject_faults("mmap:0");
  heap_put_any(h, b.spot, b.p);
}

static int64_t whole(uint32_t n, int64_t carried) {
  return n + carried * (INT64_C(1) << UL_CARRY_BITS);
}

static struct ul_carry carries_of(uint32_t site) {
  struct ul_carry sum = {0};
  for (uint64_t i = 0; i < table_count(UL_CARRIES); i++) {
    const struct ul_carry *c = table_at(UL_CARRIES, i);
    if (c->site != site) continue;
    assert_int_equal(sum.site, 0); /* one for each heap and site */
    sum = *c;
  }
  return sum;
}

/* Numbers that do not fit in 32 bits: nothing is lost, in any event; nor in a child. */
static void test_carries(void **state) {
  (void)state;
  enum { SITE = 77 };
  struct heap *h = heap_mine();
  struct ul_counter *c = ledger_counter(h, SITE);
  uint32_t nearly = (1u << UL_CARRY_BITS) - 1;
  *c = (struct ul_counter){nearly, nearly, nearly, nearly, nearly, nearly};
  const size_t huge = (UINT64_C(5) << UL_CARRY_BITS) + 3;
  ledger_count_wide_in(h, c, SITE, huge, 0);
  struct ledger_line was = {ul_entry(SITE, 0, 0, UL_FAMILY_MALLOC), huge, 0};
  ledger_count_wide_out(h, c, &was, true);
  struct ul_carry more = carries_of(SITE);
  assert_int_equal(whole(c->allocations, more.allocations), INT64_C(1) + nearly);
  assert_int_equal(whole(c->allocated_bytes, more.allocated_bytes), huge + nearly);
  assert_int_equal(whole(c->frees, more.frees), INT64_C(1) + nearly);
  assert_int_equal(whole(c->freed_bytes, more.freed_bytes), huge + nearly);
  assert_int_equal(whole(c->temporary, more.temporary), INT64_C(1) + nearly);
  assert_false(ledger_is_heavy_in(c) || ledger_is_heavy_out(c));
  was.requested = 10; /* of another heap */
  ledger_count_wide_out(h, c, &was, true);
  ledger_forget_history();
  more = carries_of(SITE);
  assert_int_equal(whole(c->allocations, more.allocations), -1);
  assert_int_equal(whole(c->allocated_bytes, more.allocated_bytes), -10);
  assert_int_equal(c->frees | c->freed_bytes | c->temporary | c->lifetime_ms, 0);
  ledger_count_wide_in(h, c, SITE, 10, 0);
  more = carries_of(SITE);
  assert_int_equal(whole(c->allocations, more.allocations), 0);
  assert_int_equal(whole(c->allocated_bytes, more.allocated_bytes), 0);
}

static void test_tables(void **state) {
  (void)state;
  uint32_t odd = table_append(UL_ENTRIES, 8);
  for (int i = 0; i < 300; i++) {
    uint32_t first = table_append(UL_ENTRIES, 1024);
    assert_int_not_equal(first, TABLE_NONE);
    uint64_t *words = table_at(UL_ENTRIES, first);
    assert_ptr_equal(table_at(UL_ENTRIES, first + 1023), words + 1023);
    for (int k = 0; k < 1024; k++) {
      assert_int_equal(words[k], 0);
      words[k] = first + (uint64_t)k;
    }
  }
  assert_ptr_equal((uint64_t *)table_at(UL_ENTRIES, odd) + 7,
                   table_at(UL_ENTRIES, odd + 7));
  uint32_t text = table_text("hello", 5);
  assert_string_equal(table_at(UL_TEXT, text), "hello");
}

static void test_rows_are_replaced(void **state) {
  (void)state;
  uint64_t before = table_count(UL_LEAKS);
  assert_null(table_replace_rows(UL_LEAKS, 0));
  struct ul_leak *rows = table_replace_rows(UL_LEAKS, 3);
  memset(rows, 0xff, 3 * sizeof *rows);
  assert_ptr_equal(table_replace_rows(UL_LEAKS, 2), rows);
  assert_int_equal(table_count(UL_LEAKS), before + 3);
  const struct ul_leak none[3] = {0};
  assert_memory_equal(rows, none, sizeof none);
  memset(rows, 0xff, 3 * sizeof *rows);
  struct ul_leak *more = table_replace_rows(UL_LEAKS, 1000);
  assert_true(more >= rows + 3 || more < rows);
  assert_memory_equal(rows, none, sizeof none);
  assert_ptr_equal(table_replace_rows(UL_LEAKS, 1000), more);
}

/* The program waits for each: however large the tables, and though they grow in turn. */
/* ---- rows in slices ------------------------------------------------------------ */

enum { STACKS = 40000, FRAMES = 50, SLICE = 50 };
static struct held of_stacks[STACKS];
static uint32_t first_stack;

static void append_random_nodes(void) {
  table_extend(UL_CODES, FRAMES);
  table_extend(UL_NODES, UL_NODE_RESERVED);
  for (int i = 0; i < STACKS; i++) {
    uint32_t n = table_append(UL_NODES, 1);
    *(struct ul_node *)table_at(UL_NODES, n) = (struct ul_node){
        (uint32_t)(next_random() % n), 1 + (uint32_t)(next_random() % (FRAMES - 1))};
  }
}

static void allocate_on_random_stacks(void) {
  struct heap *h = heap_mine();
  append_random_nodes();
  table_extend(UL_SITES, UL_SITE_RESERVED);
  first_stack = (uint32_t)table_count(UL_SITES);
  for (uint32_t i = 0; i < STACKS; i++) {
    struct held *b = &of_stacks[i];
    *(struct ul_site *)table_at(UL_SITES, table_append(UL_SITES, 1)) =
        (struct ul_site){(uint32_t)(next_random() % table_count(UL_NODES)),
                         1 + (uint32_t)(next_random() % (FRAMES - 1))};
    b->bytes = 16 + next_random() % 500;
    b->p = heap_take_any(h, b->bytes, 0, &b->spot, &(bool){false});
    assert_non_null(b->p);
    memset(b->p, (int)(b->bytes & 0xff), b->bytes < 64 ? b->bytes : 64);
    ledger_enter(h, b->spot, hide(b->p), b->bytes, first_stack + i, UL_FAMILY_MALLOC, 5);
  }
}

static void free_all_of_stacks(void) {
  for (uint32_t i = 0; i < STACKS; i++)
    put(&of_stacks[i]);
}

struct made {
  struct ul_snapshot s;
  unsigned calls;
  uint8_t bytes[1 << 20];
};

static void in_slices(enum rows_state go_on(struct ul_snapshot *, int64_t *),
                      struct made *m, int64_t slice) {
  enum rows_state is;
  do {
    int64_t steps = slice;
    is = go_on(&m->s, &steps);
    assert_int_not_equal(is, ROWS_FAILED);
    assert_true(is == ROWS_MADE || steps <= 0);
    m->calls++;
  } while (is == ROWS_NOT_YET);
}

static void make_rows(struct made *m, int64_t slice) {
  *m = (struct made){.calls = 0};
  assert_true(rows_begin());
  in_slices(rows_count, m, slice);
  assert_true(rows_prepare(true));
  in_slices(rows_make, m, slice);
  assert_in_range(m->s.row_bytes, 1, sizeof m->bytes);
  assert_true(rows_place(&m->s, UINT64_MAX));
  for (uint32_t i = 0; i < m->s.row_bytes; i++)
    m->bytes[i] = *(uint8_t *)table_at(UL_ROWS, m->s.row + i);
  rows_done();
}

static void test_rows_in_slices(void **state) {
  (void)state;
  static struct made slices, whole;
  allocate_on_random_stacks();
  make_rows(&slices, SLICE);
  make_rows(&whole, INT64_MAX);
  assert_int_equal(whole.calls, 2);
  assert_true(slices.calls > 5 * STACKS / SLICE);
  assert_int_equal(slices.s.live_bytes, whole.s.live_bytes);
  assert_int_equal(slices.s.live_blocks, whole.s.live_blocks);
  assert_int_equal(slices.s.allocations, whole.s.allocations);
  assert_memory_equal(slices.s.rows, whole.s.rows, sizeof whole.s.rows);
  assert_memory_equal(slices.bytes, whole.bytes, sizeof whole.bytes);
  free_all_of_stacks();
}

static const struct ul_snapshot *newest(enum ul_snapshot_kind kind) {
  const struct ul_snapshot *best = NULL;
  for (uint64_t i = 0; i < table_count(UL_SNAPSHOTS); i++) {
    const struct ul_snapshot *s = table_at(UL_SNAPSHOTS, i);
    if (s->kind == kind && (!best || s->allocations > best->allocations)) best = s;
  }
  return best;
}

/* The program goes on while rows are made. */
static void test_a_snapshot_is_of_one_moment(void **state) {
  (void)state;
  allocate_on_random_stacks();
  uint64_t live = (uint64_t)book_totals().live_bytes;
  snapshot_take(heap_mine(), UL_SNAPSHOT_TIMED);
  assert_true(snapshot_go_on());
  free_all_of_stacks();
  while (snapshot_go_on()) {
  }
  assert_non_null(newest(UL_SNAPSHOT_TIMED));
  assert_int_equal(newest(UL_SNAPSHOT_TIMED)->live_bytes, live);
}

/* What rows cost is spent: whether all grows is told without. */
static void test_a_snapshot_that_is_too_dear_has_no_rows(void **state) {
  (void)state;
  allocate_on_random_stacks();
  uint64_t live = (uint64_t)book_totals().live_bytes;
  uint64_t bare = recording->fallbacks[UL_FB_SNAPSHOT_BARE];
  budget_spend(BUDGET_TIMED, os_thread_ns() - 1000000000);
  snapshot_take(heap_mine(), UL_SNAPSHOT_TIMED);
  assert_false(snapshot_go_on());
  const struct ul_snapshot *s = newest(UL_SNAPSHOT_TIMED);
  assert_int_equal(s->live_bytes, live);
  assert_int_equal(s->row_bytes, 0);
  assert_int_equal(recording->fallbacks[UL_FB_SNAPSHOT_BARE], bare);
  snapshot_take(heap_mine(), UL_SNAPSHOT_FINAL);
  assert_true(newest(UL_SNAPSHOT_FINAL)->row_bytes);
  free_all_of_stacks();
}

static void test_the_last_snapshot_waits_for_another(void **state) {
  (void)state;
  allocate_on_random_stacks();
  uint64_t live = (uint64_t)book_totals().live_bytes;
  peak_rising(heap_mine());
  snapshot_take(heap_mine(), UL_SNAPSHOT_PEAK);
  assert_null(newest(UL_SNAPSHOT_PEAK));
  free_all_of_stacks();
  snapshot_take(heap_mine(), UL_SNAPSHOT_FINAL);
  assert_false(snapshot_go_on());
  assert_non_null(newest(UL_SNAPSHOT_PEAK));
  assert_int_equal(newest(UL_SNAPSHOT_PEAK)->live_bytes, live);
  assert_true(newest(UL_SNAPSHOT_FINAL)->live_bytes < live);
}

static void grow_by_small_steps(void) {
  enum { BYTES = 24 << 20, ENTRIES = 1024, LEAKS = 512 };
  size_t before = window_backed(), longest = 0;
  uint32_t segments = recording->segment_count;
  for (size_t bytes = 0; bytes < BYTES; bytes += ENTRIES * sizeof(uint64_t)) {
    size_t backed = window_backed();
    uint32_t i = table_append(UL_ENTRIES, ENTRIES), k = table_append(UL_LEAKS, LEAKS);
    assert_true(i != TABLE_NONE && k != TABLE_NONE);
    *(uint64_t *)table_at(UL_ENTRIES, i + ENTRIES - 1) = i + 1;
    ((struct ul_leak *)table_at(UL_LEAKS, k + LEAKS - 1))->site = k + 1;
    if (window_backed() - backed > longest) longest = window_backed() - backed;
  }
  assert_in_range(longest, 0, 1 << 20);
  assert_in_range(recording->segment_count - segments, 0, 32);
  /* Nor is more taken of the disk than is needed. */
  size_t leaks = BYTES / ENTRIES / sizeof(uint64_t) * LEAKS * sizeof(struct ul_leak);
  assert_in_range(window_backed() - before, BYTES + leaks - (2 << 20),
                  BYTES + leaks + (3 << 20));
  uint64_t n = table_count(UL_ENTRIES);
  for (uint64_t i = n - ENTRIES; i > n - BYTES / sizeof(uint64_t); i -= ENTRIES) {
    uint64_t *word = table_at(UL_ENTRIES, i + ENTRIES - 1);
    assert_int_equal(*word, i + 1);
    *word = 0;
  }
}

static uint32_t entry_of(const struct pool *p) {
  const struct arena *a = arena_of(p);
  return a->entry_at[p - a->pools];
}

static void test_file(void **state) {
  (void)state;
  char path[] = "/tmp/ullage-test-heap-XXXXXX";
  int fd = mkstemp(path);
  close(fd);
  assert_int_equal(recording_open(path, 0600), -EEXIST);
  unlink(path);
  struct held b;
  assert_true(take(&b, 1000));
  assert_int_equal(recording_open(path, 0600), 0);
  assert_true(recording_in_file());
  for (int i = 0; i < 100; i++)
    assert_int_not_equal(table_append(UL_ENTRIES, 1024), TABLE_NONE);
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  assert_true((uint64_t)status.st_size >= recording->file_bytes);
  /* What is stored in memory is what another process reads. */
  struct ul_header header;
  fd = open(path, O_RDONLY);
  assert_int_equal(read(fd, &header, sizeof header), sizeof header);
  assert_memory_equal(&header, recording, sizeof header);
  uint64_t offset = 0, index = entry_of(b.spot.pool), first = 0;
  for (uint32_t i = 0; i < header.segment_count; i++) {
    const struct ul_segment *s = &header.segments[i];
    if (s->table != UL_ENTRIES) continue;
    if (index * 8 - first < s->bytes) {
      offset = s->file_offset + index * 8 - first;
      break;
    }
    first += s->bytes;
  }
  uint64_t *words = calloc(b.spot.pool->capacity, 8);
  assert_true(pread(fd, words, 8, (off_t)offset) == 8);
  assert_int_equal(words[0], b.spot.pool->entries[0]);
  free(words);
  close(fd);
  put(&b);
  grow_by_small_steps();
  /* The disk is full: the recording stops, the heap does not. */
  os_inject_faults("fallocate:1");
  uint32_t got = 0;
  for (int i = 0; i < 4000 && got != TABLE_NONE; i++)
    got = table_append(UL_ENTRIES, 1024);
  assert_int_equal(got, TABLE_NONE);
  assert_true(recording_stopped());
  assert_int_equal(recording->stop, UL_STOP_NO_SPACE);
  assert_false(process_recording());
  bool zeroed;
  assert_non_null(heap_take(heap_mine(), 4, &b.spot, &zeroed));
  check_all();
  unlink(path);
}

static uint32_t class_size(unsigned class) {
  return class_bytes(class);
}

static int set_up(void **state) {
  (void)state;
  strip_watch();
  page_begin();
  if (!recording_begin(class_size)) return -1;
  page_set_recording(true);
  snapshot_begin(&(struct snapshot_wishes){.interval_ms = 10, .check = true});
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_classes),
      cmocka_unit_test(test_births),
      cmocka_unit_test(test_times_of_long_runs),
      cmocka_unit_test(test_random_life),
      cmocka_unit_test(test_arenas_go_back),
      cmocka_unit_test(test_remote_frees),
      cmocka_unit_test(test_spans_resize),
      cmocka_unit_test(test_large_resize),
      cmocka_unit_test(test_memory_fails),
      cmocka_unit_test(test_no_barrier_is_counted),
      cmocka_unit_test(test_patience),
      cmocka_unit_test(test_no_room_for_a_counter),
      cmocka_unit_test(test_carries),
      cmocka_unit_test(test_tables),
      cmocka_unit_test(test_rows_are_replaced),
      cmocka_unit_test(test_rows_in_slices),
      cmocka_unit_test(test_a_snapshot_is_of_one_moment),
      cmocka_unit_test(test_a_snapshot_that_is_too_dear_has_no_rows),
      cmocka_unit_test(test_the_last_snapshot_waits_for_another),
      cmocka_unit_test(test_file), /* last: it stops */
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
