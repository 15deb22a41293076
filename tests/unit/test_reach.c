/* Unit tests of the leak scan (reach.c, freeze.c, roots.c, census.c, mark.c, heuristic.c)
 * and of mapping.c and residency.c, over a heap made by hand: real arenas, pools and
 * large blocks in the real map of addresses, but no allocator. The scan runs as it does
 * in a program, in a raw clone.
 *
 * Pointers to blocks must be nowhere but where a test puts them: blocks go by number,
 * their addresses lie in this program's .bss, which the scan takes for ullage's own and
 * skips. What is to be a root is stored in `roots`, an anonymous mapping. */
#include "account/mapping.h"
#include "account/residency.h"
#include "base/meta.h"
#include "base/os.h"
#include "base/thread.h"
#include "heap/class.h"
#include "heap/map.h"
#include "heap/types.h"
#include "reach/freeze.h"
#include "reach/reach.h"
#include "recording/recording.h"
#include "recording/window.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define NOINLINE __attribute__((noinline))

enum { PAGE = 4096, SITES = 64, MAPPINGS = 20000, ROWS = 512, TEXT = 1 << 20 };
enum { ROOT_WORDS = 4096, VERDICT_WORDS = 1 << 18, LARGES = 16, DRAGS = 64 };

/* ---- the recording's tables ---------------------------------------------------- */

static struct ul_header header;
struct ul_header *recording = &header;
static struct ul_site sites[SITES];
static struct ul_node nodes[8];
static uint64_t codes[8];
static struct ul_leak leaks[ROWS];
static struct ul_mapping mappings[MAPPINGS];
static char text[TEXT];
static struct ul_large large_records[LARGES];
static uint64_t verdict_words[VERDICT_WORDS];
static struct ul_drag drags[DRAGS];

static const struct {
  void *at;
  uint32_t element_bytes;
  uint64_t capacity;
} tables[UL_TABLES] = {
    [UL_TEXT] = {text, 1, TEXT},
    [UL_SITES] = {sites, sizeof *sites, SITES},
    [UL_CODES] = {codes, sizeof *codes, 8},
    [UL_NODES] = {nodes, sizeof *nodes, 8},
    [UL_LEAKS] = {leaks, sizeof *leaks, ROWS},
    [UL_MAPPINGS] = {mappings, sizeof *mappings, MAPPINGS},
    [UL_LARGES] = {large_records, sizeof *large_records, LARGES},
    [UL_VERDICT_WORDS] = {verdict_words, sizeof *verdict_words, VERDICT_WORDS},
    [UL_DRAGS] = {drags, sizeof *drags, DRAGS},
};

void *table_at(enum ul_table t, uint64_t i) {
  return (char *)tables[t].at + i * tables[t].element_bytes;
}
uint64_t table_count(enum ul_table t) {
  return header.table[t].count;
}
uint32_t table_append(enum ul_table t, uint32_t n) {
  uint64_t first = header.table[t].count;
  if (first + n > tables[t].capacity) return TABLE_NONE;
  header.table[t].count += n;
  return (uint32_t)first;
}
uint32_t table_text(const char *s, size_t bytes) {
  uint32_t at = table_append(UL_TEXT, (uint32_t)bytes + 1);
  if (at == TABLE_NONE) return 0;
  memcpy(text + at, s, bytes);
  return at;
}
void *table_replace_rows(enum ul_table t, size_t n) {
  uint64_t *count = &header.table[t].count;
  if (n > tables[t].capacity) return NULL;
  memset(tables[t].at, 0, *count * tables[t].element_bytes);
  if (n > *count) *count = n;
  return n ? tables[t].at : NULL;
}
bool table_extend(enum ul_table t, uint64_t n) {
  if (n > tables[t].capacity) return false;
  if (n > header.table[t].count) header.table[t].count = n;
  return true;
}
struct ul_header *table_header_rest(void) {
  return &header;
}
bool window_range(unsigned i, uintptr_t *start, size_t *bytes) {
  (void)i, (void)start, (void)bytes;
  return false; /* there are none */
}
uint64_t recording_start_ms;
void fallback(enum ul_fallback which) {
  header.fallbacks[which]++;
}

/* ---- a heap by hand ------------------------------------------------------------ */

enum { BLOCKS = 4096, ARENAS = 4096 };

static struct arena *arenas[ARENAS];
static struct large *larges[LARGES];
static unsigned arena_count, large_count;
static struct pool *current[UL_CLASSES]; /* where the next block of a class comes from */

static struct {
  char *start;
  uint64_t *entry;
  uint32_t number; /* in UL_ENTRIES */
} blocks[BLOCKS];
static int block_count;
static uintptr_t *roots;
static uint32_t birth; /* of the next block */

/* clang aligns the stack by pushing whatever register: let there be no address in one. */
#define SCRUB_REGISTERS()                                                                \
  __asm__ volatile("xorl %%eax, %%eax\n\txorl %%ecx, %%ecx\n\txorl %%edx, %%edx\n\t"     \
                   "xorl %%esi, %%esi\n\txorl %%edi, %%edi\n\txorl %%r8d, %%r8d\n\t"     \
                   "xorl %%r9d, %%r9d\n\txorl %%r10d, %%r10d\n\txorl %%r11d, %%r11d" ::  \
                       : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11")

static struct arena *add_arena(void) {
  const uintptr_t align = _Alignof(struct arena);
  uintptr_t room = (uintptr_t)meta_alloc(sizeof(struct arena) + align);
  struct arena *a = (struct arena *)((room + align - 1) & -align);
  a->base = os_map(UL_ARENA_BYTES, UL_ARENA_BYTES, OS_ARENA);
  a->free_units = ~UINT64_C(0);
  a->record = calloc(1, sizeof *a->record);
  assert_true(map_enter(a->base, UL_ARENA_BYTES, map_slot_of_arena(a)));
  return arenas[arena_count++] = a;
}

static uint32_t *entry_of(const struct pool *p) {
  struct arena *a = map_arena(map_lookup(p->base));
  return &a->entry_at[p - a->pools];
}

static struct pool *add_pool(unsigned class, unsigned units) {
  uint64_t mask = (UINT64_C(1) << units) - 1;
  struct arena *a = arena_count ? arenas[arena_count - 1] : add_arena();
  unsigned u = 0;
  while (u + units <= UL_UNITS && (a->free_units >> u & mask) != mask)
    u++;
  if (u + units > UL_UNITS) {
    a = add_arena();
    u = 0;
  }
  a->free_units &= ~(mask << u);
  struct pool *p = &a->pools[u];
  for (unsigned i = u; i < u + units; i++)
    a->pool_at[i] = (uint16_t)((char *)p - (char *)a);
  p->base = a->base + u * UL_UNIT_BYTES;
  p->class = (uint8_t) class;
  p->units = units & 63;
  p->size = class == UL_SPAN ? units * UL_UNIT_BYTES : class_bytes(class);
  p->recip = (uint32_t)((0x100000000u + p->size - 1) / p->size);
  p->capacity = (uint16_t)(units * UL_UNIT_BYTES / p->size);
  p->entries = meta_alloc((p->capacity + 1) * sizeof *p->entries);
  *entry_of(p) = (uint32_t)header.table[UL_ENTRIES].count;
  header.table[UL_ENTRIES].count += p->capacity + 1;
  return p;
}

static int remember(char *start, uint64_t *entry) {
  assert_true(block_count < BLOCKS);
  blocks[block_count].start = start;
  blocks[block_count].entry = entry;
  SCRUB_REGISTERS();
  return block_count++;
}

/* The next block of the pool; NULL: full. */
static char *carve(struct pool *p, uint32_t requested, uint32_t site) {
  if (!p || p->carved == p->capacity) return NULL;
  char *start = p->base + p->carved * p->size;
  p->entries[p->carved++] = ul_entry(site, birth, p->size - requested, UL_FAMILY_MALLOC);
  return start;
}

static NOINLINE char *small_block(size_t bytes, uint32_t site) {
  unsigned class = class_of(bytes ? bytes : 1);
  char *start = carve(current[class], (uint32_t)bytes, site);
  if (start) return start;
  current[class] = add_pool(class, class_units(class));
  return carve(current[class], (uint32_t)bytes, site);
}

/* A live block of up to UL_MEDIUM_MAX bytes; its number. */
static NOINLINE int block(size_t bytes, uint32_t site) {
  char *start = small_block(bytes, site);
  struct pool *p = current[class_of(bytes ? bytes : 1)];
  uint32_t i = (uint32_t)(start - p->base) / p->size;
  blocks[block_count].number = *entry_of(p) + i;
  return remember(start, &p->entries[i]);
}

static NOINLINE int span(size_t bytes, uint32_t site) {
  unsigned units = (unsigned)((bytes + UL_UNIT_BYTES - 1) / UL_UNIT_BYTES);
  struct pool *p = add_pool(UL_SPAN, units);
  p->entries[0] = ul_entry(site, birth, 0, UL_FAMILY_MALLOC);
  p->entries[1] = bytes;
  p->carved = p->capacity;
  blocks[block_count].number = *entry_of(p);
  return remember(p->base, p->entries);
}

/* In old memory there are words of which only the lower half was written since, with some
 * number: where the lower half of an address is as small, they point there (seen once in
 * 600 runs with 3 MiB). The next mapping lies below. */
static void *map_where_no_number_leads(size_t bytes) {
  const uint32_t small = 64 << 20;
  for (;;) {
    char *p = os_map(bytes, UL_ARENA_BYTES, OS_LARGE);
    if ((uint32_t)(uintptr_t)p >= small && (uint32_t)(uintptr_t)(p + bytes) >= small)
      return p;
  }
}

static NOINLINE int large(size_t bytes, uint32_t site) {
  struct large *l = meta_alloc(sizeof *l);
  l->mapped = (bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
  l->base = map_where_no_number_leads(l->mapped);
  l->in_use = true;
  l->record_index = table_append(UL_LARGES, 1);
  l->record = table_at(UL_LARGES, l->record_index);
  l->record->base = (uintptr_t)l->base;
  l->record->requested_bytes = bytes;
  l->record->entry = ul_entry(site, birth, 0, UL_FAMILY_MALLOC);
  assert_true(map_enter(l->base, l->mapped, map_slot_of_large(l)));
  larges[large_count++] = l;
  return remember(l->base, &l->record->entry);
}

static uintptr_t *word(int b, size_t offset) {
  return (uintptr_t *)(blocks[b].start + offset);
}

/* What earlier calls left below the caller's frame must not be taken for a pointer of a
 * later call. */
static inline __attribute__((always_inline)) void scrub_stack(void) {
  __asm__ volatile("leaq -32768(%%rsp), %%rdi\n\tmovl $4096, %%ecx\n\t"
                   "xorl %%eax, %%eax\n\trep stosq" ::
                       : "rdi", "rcx", "rax", "memory", "cc");
}

/* Store in block `from` at `offset` a pointer to block `to`, `inside` bytes from its
 * start. */
static NOINLINE void point(int from, size_t offset, int to, size_t inside) {
  *word(from, offset) = (uintptr_t)blocks[to].start + inside;
  SCRUB_REGISTERS();
}

static NOINLINE void store(int b, size_t offset, uintptr_t value) {
  *word(b, offset) = value;
  SCRUB_REGISTERS();
}

static NOINLINE void root(int i, int to, size_t inside) {
  roots[i] = (uintptr_t)blocks[to].start + inside;
  SCRUB_REGISTERS();
}

static int setup(void **state) {
  (void)state;
  memset(&header, 0, sizeof header);
  for (int t = 0; t < UL_TABLES; t++)
    header.table[t].element_bytes = tables[t].element_bytes;
  header.table[UL_SITES].count = SITES;
  header.table[UL_NODES].count = UL_NODE_RESERVED + 1;
  header.table[UL_CODES].count = UL_CODE_RESERVED + 1;
  header.table[UL_TEXT].count = 1;
  header.start_mono_ns = os_monotonic_ns();
  memset(nodes, 0, sizeof nodes);
  memset(codes, 0, sizeof codes);
  memset(sites, 0, sizeof sites);
  block_count = 0;
  birth = 1;
  roots = mmap(NULL, ROOT_WORDS * sizeof *roots, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return roots == MAP_FAILED;
}

static int teardown(void **state) {
  (void)state;
  mapping_forget();
  munmap(roots, ROOT_WORDS * sizeof *roots);
  for (unsigned i = 0; i < arena_count; i++) {
    map_enter(arenas[i]->base, UL_ARENA_BYTES, 0);
    os_unmap(arenas[i]->base, UL_ARENA_BYTES, OS_ARENA);
    free(arenas[i]->record);
  }
  for (unsigned i = 0; i < large_count; i++) {
    map_enter(larges[i]->base, larges[i]->mapped, 0);
    os_unmap(larges[i]->base, larges[i]->mapped, OS_LARGE);
  }
  arena_count = large_count = 0;
  memset(current, 0, sizeof current);
  return 0;
}

/* ---- scanning and what is expected --------------------------------------------- */

static NOINLINE void scan_frozen(void) {
  static struct thread_set set;
  scrub_stack();
  struct caller here = {.sp = {(uintptr_t)__builtin_frame_address(0)}, .stacks = 1};
  freeze(&set);
  int child = reach_begin(&set, &here, &(struct main_frame){0});
  thaw();
  reach_end(child);
}

static NOINLINE void scan(void) {
  scan_frozen();
  assert_int_equal(header.scan.state, UL_SCAN_DONE);
}

static const struct ul_leak *row(uint32_t site, enum ul_verdict verdict) {
  for (uint64_t i = 0; i < header.table[UL_LEAKS].count; i++)
    if (leaks[i].site == site && leaks[i].verdict == verdict) return &leaks[i];
  return NULL;
}

static enum ul_verdict verdict_at(uint32_t entry) {
  uint64_t word = verdict_words[entry / UL_WORD_VERDICTS];
  return (word >> ul_verdict_shift(entry) & 3) + 1;
}

static void add_reachable(struct ul_amount *sum, uint32_t site, uint64_t entry,
                          enum ul_verdict verdict, uint64_t bytes) {
  if (!entry || ul_entry_site(entry) != site || verdict != UL_REACHABLE) return;
  if (site == UL_SITE_ULLAGE) return;
  sum->blocks++;
  sum->bytes += bytes;
}

static void add_reachable_of_pool(struct ul_amount *sum, uint32_t site,
                                  const struct pool *p) {
  bool is_span = p->class == UL_SPAN;
  uint32_t n = !p->entries ? 0 : is_span ? 1 : p->carved;
  for (uint32_t i = 0; i < n; i++) {
    uint64_t e = p->entries[i],
             bytes = is_span ? p->entries[1] : p->size - ul_entry_slack(e);
    add_reachable(sum, site, e, verdict_at(*entry_of(p) + i), bytes);
  }
}

/* There are no rows of it: what the ledger and the verdicts say. */
static struct ul_amount reachable(uint32_t site) {
  struct ul_amount sum = {0};
  for (unsigned i = 0; i < arena_count; i++)
    for (unsigned u = 0; u < UL_UNITS; u++)
      if (arenas[i]->pools[u].units)
        add_reachable_of_pool(&sum, site, &arenas[i]->pools[u]);
  for (unsigned i = 0; i < large_count; i++) {
    const struct ul_large *l = larges[i]->record;
    if (l) add_reachable(&sum, site, l->entry, l->verdict, l->requested_bytes);
  }
  return sum;
}

static struct ul_amount with_verdict(uint32_t site, enum ul_verdict verdict) {
  if (verdict == UL_REACHABLE) return reachable(site);
  const struct ul_leak *r = row(site, verdict);
  return r ? (struct ul_amount){r->blocks, r->bytes} : (struct ul_amount){0};
}

/* All blocks of the site have the verdict. */
static void expect(uint32_t site, enum ul_verdict verdict, uint64_t n, uint64_t bytes) {
  assert_null(row(site, UL_REACHABLE));
  for (int v = UL_NO_VERDICT; v < UL_VERDICTS; v++) {
    struct ul_amount got = with_verdict(site, v);
    if (got.blocks != (v == (int)verdict ? n : 0))
      fail_msg("site %u: %lu blocks with verdict %d, not %lu of %d", site,
               (unsigned long)got.blocks, v, (unsigned long)n, verdict);
    if (v == (int)verdict && n) assert_int_equal(got.bytes, bytes);
  }
}

static void expect_dragged(uint32_t site, uint64_t n, uint64_t bytes) {
  const struct ul_leak *r = row(site, UL_DEFINITE);
  assert_non_null(r);
  assert_int_equal(r->indirect_blocks, n);
  assert_int_equal(r->indirect_bytes, bytes);
}

enum { A = 10, B, C, D, E, F, G, H };

/* ---- verdicts ------------------------------------------------------------------ */

static void test_definite(void **state) {
  (void)state;
  block(40, A);
  block(100, A);
  root(0, block(40, B), 0);
  scan();
  expect(A, UL_DEFINITE, 2, 140);
  expect(B, UL_REACHABLE, 1, 40);
  assert_int_equal(header.scan.totals[UL_DEFINITE].bytes, 140);
  assert_int_equal(header.scan.totals[UL_REACHABLE].blocks, 1);
  assert_int_equal(header.scan.heap_bytes, 180);
  assert_true(header.scan.root_bytes > 0);
}

static void test_empty_heap(void **state) {
  (void)state;
  scan();
  assert_int_equal(header.table[UL_LEAKS].count, 0);
}

static void test_indirect_chain(void **state) {
  (void)state;
  int a = block(32, A), b = block(48, B), c = block(64, C);
  point(a, 24, b, 0);
  point(b, 8, c, 0);
  scan();
  expect(A, UL_DEFINITE, 1, 32);
  expect(B, UL_INDIRECT, 1, 48);
  expect(C, UL_INDIRECT, 1, 64);
  expect_dragged(A, 2, 112);
}

/* The same whatever the order of addresses and births. */
static void test_chain_backwards(void **state) {
  (void)state;
  int c = block(64, C);
  birth++;
  int b = block(48, B);
  birth++;
  int a = block(32, A);
  point(a, 24, b, 0);
  point(b, 8, c, 0);
  scan();
  expect(A, UL_DEFINITE, 1, 32);
  expect_dragged(A, 2, 112);
}

/* Whatever the clock says, which has ticks. */
static void test_cycle_is_led_by_the_stack_seen_first(void **state) {
  (void)state;
  birth = 30;
  int a = block(32, A);
  birth = 10;
  int b = block(32, B);
  birth = 20;
  int c = block(32, C);
  point(a, 0, b, 0);
  point(b, 0, c, 0);
  point(c, 0, a, 0);
  scan();
  expect(A, UL_DEFINITE, 1, 32);
  expect(B, UL_INDIRECT, 1, 32);
  expect(C, UL_INDIRECT, 1, 32);
  expect_dragged(A, 2, 64);
}

static void test_self_pointer(void **state) {
  (void)state;
  int a = block(32, A);
  point(a, 8, a, 0);
  scan();
  expect(A, UL_DEFINITE, 1, 32);
  expect_dragged(A, 0, 0);
}

/* Two cycles, one leading to the other: one leader, in the first. */
static void linked_cycles(bool second_is_older) {
  birth = 50;
  int a = block(32, A), b = block(32, B);
  birth = second_is_older ? 1 : 100;
  int c = block(32, C), d = block(32, D);
  point(a, 0, b, 0);
  point(b, 0, a, 0);
  point(b, 8, c, 0);
  point(c, 0, d, 0);
  point(d, 0, c, 0);
  scan();
  expect(A, UL_DEFINITE, 1, 32);
  expect(B, UL_INDIRECT, 1, 32);
  expect(C, UL_INDIRECT, 1, 32);
  expect(D, UL_INDIRECT, 1, 32);
  expect_dragged(A, 3, 96);
}
static void test_linked_cycles(void **state) {
  (void)state;
  linked_cycles(false);
}
static void test_linked_cycles_older_inside(void **state) {
  (void)state;
  linked_cycles(true);
}

static void test_cycle_below_a_leader(void **state) {
  (void)state;
  int b = block(32, B), c = block(32, C);
  birth = 99;
  int a = block(16, A);
  point(b, 0, c, 0);
  point(c, 0, b, 0);
  point(a, 0, c, 0);
  scan();
  expect(A, UL_DEFINITE, 1, 16);
  expect_dragged(A, 2, 64);
}

/* Against a plain reckoning of components, on random graphs. */
enum { NODES_MAX = 24 };
static bool leads[NODES_MAX][NODES_MAX];

static void close_over(int n) {
  for (int k = 0; k < n; k++)
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++)
        leads[i][j] |= leads[i][k] && leads[k][j];
}

/* A block is in a source if all that lead to it are reached from it. */
static bool in_source(int n, int i) {
  for (int j = 0; j < n; j++)
    if (leads[j][i] && !leads[i][j]) return false;
  return true;
}

static bool is_leader(int n, int i) {
  for (int j = 0; j < i; j++)
    if (leads[j][i] && leads[i][j]) return false; /* older, in the same component */
  return in_source(n, i);
}

static void random_graph(unsigned seed) {
  srand(seed);
  int n = 2 + rand() % (NODES_MAX - 2), edges = rand() % (2 * n);
  int first = block_count;
  memset(leads, 0, sizeof leads);
  for (int i = 0; i < n; i++, birth++)
    block(512, A + (uint32_t)i);
  for (int e = 0; e < edges; e++) {
    int from = rand() % n, to = rand() % n;
    leads[from][to] = true;
    point(first + from, (size_t)to * 16, first + to, 0);
  }
  close_over(n);
  scan();
  for (int i = 0; i < n; i++)
    expect(A + (uint32_t)i, is_leader(n, i) ? UL_DEFINITE : UL_INDIRECT, 1, 512);
}

static void test_random_graphs(void **state) {
  for (unsigned seed = 1; seed <= 60; seed++) {
    random_graph(seed);
    teardown(state);
    setup(state);
  }
}

static void test_possible(void **state) {
  (void)state;
  int a = block(100, A), b = block(100, B), c = block(40, C);
  root(0, a, 33);
  point(a, 16, b, 0); /* held by a possible block */
  point(b, 0, c, 17); /* and so on, by an interior pointer */
  scan();
  expect(A, UL_POSSIBLE, 1, 100);
  expect(B, UL_POSSIBLE, 1, 100);
  expect(C, UL_POSSIBLE, 1, 40);
}

/* A pointer in the slack holds once the program has asked for the usable size. */
static void test_pointer_in_the_slack(void **state) {
  (void)state;
  int a = block(100, A), b = block(100, B); /* of a class of 112 bytes */
  root(0, a, 0);
  point(a, 104, b, 0);
  scan();
  expect(B, UL_DEFINITE, 1, 100);
  reach_scan_slack = true;
  scan();
  reach_scan_slack = false;
  expect(B, UL_REACHABLE, 1, 100);
}

static void test_start_beats_interior(void **state) {
  (void)state;
  int a = block(100, A);
  root(0, a, 33);
  root(1, a, 0);
  root(2, a, 57);
  scan();
  expect(A, UL_REACHABLE, 1, 100);
}

static void test_one_past_the_end(void **state) {
  (void)state;
  root(0, block(100, A), 100); /* in the slack */
  root(1, block(128, B), 128); /* where the next block would start */
  root(2, block(100, C), 99);
  root(3, block(0, D), 0);
  root(4, block(0, E), 1);
  scan();
  expect(A, UL_DEFINITE, 1, 100);
  expect(B, UL_DEFINITE, 1, 128);
  expect(C, UL_POSSIBLE, 1, 100);
  expect(D, UL_REACHABLE, 1, 0);
  expect(E, UL_DEFINITE, 1, 0);
}

static void test_free_blocks_hold_nothing(void **state) {
  (void)state;
  int a = block(32, A), b = block(32, B);
  root(0, a, 0);
  point(a, 0, b, 0);
  *blocks[a].entry = 0;
  scan();
  expect(A, UL_REACHABLE, 0, 0);
  expect(B, UL_DEFINITE, 1, 32);
}

/* What was never recorded may hold anything. */
static void test_unrecorded_pool_is_a_root(void **state) {
  (void)state;
  int a = block(64, A), b = block(48, B), l = large(2 << 20, C), d = block(96, D);
  point(a, 0, b, 0);
  point(l, 1 << 20, d, 0);
  current[class_of(64)]->entries = NULL;
  larges[0]->record = NULL;
  scan();
  expect(B, UL_REACHABLE, 1, 48);
  expect(D, UL_REACHABLE, 1, 96);
}

static void test_spans_and_larges(void **state) {
  (void)state;
  int a = span(100000, A), b = large(5000000, B), c = span(40000, C);
  int d = large(3 << 20, D), e = block(16, E);
  root(0, a, 0);
  point(a, 99984, b, 0);
  point(b, 4999992, c, 39999);
  point(d, 2 << 20, e, 0);
  scan();
  expect(A, UL_REACHABLE, 1, 100000);
  expect(B, UL_REACHABLE, 1, 5000000);
  expect(C, UL_POSSIBLE, 1, 40000);
  expect(D, UL_DEFINITE, 1, 3 << 20);
  expect_dragged(D, 1, 16);
}

static void test_every_class_every_block(void **state) {
  (void)state;
  unsigned n = 0;
  for (unsigned class = 1; class < UL_CLASSES; class ++) {
    unsigned blocks_here = class_units(class) * UL_UNIT_BYTES / class_bytes(class);
    for (unsigned i = 0; i < blocks_here; i += 1 + blocks_here / 16, n++) {
      int b = block(class_bytes(class), A);
      root((int)n, b, class_bytes(class) - 1);
    }
  }
  scan();
  assert_int_equal(row(A, UL_POSSIBLE)->blocks, n);
  assert_null(row(A, UL_DEFINITE));
}

static void test_ages(void **state) {
  (void)state;
  birth = 70;
  block(16, A);
  birth = 7;
  int oldest = block(16, A);
  birth = 700;
  block(16, A);
  scan();
  const struct ul_leak *r = row(A, UL_DEFINITE);
  assert_int_equal(r->oldest_birth, 7);
  assert_int_equal(r->newest_birth, 700);
  assert_ptr_equal((void *)(uintptr_t)r->example, blocks[oldest].start);
}

/* Twenty lost blocks, whose second word leads to another one each; so many of these are
 * free, and the others lost. */
static NOINLINE void stale_words(int dead) {
  for (int i = 0; i < 20; i++) {
    int b = block(40, A), to = block(40, B);
    point(b, 8, to, 0);
    if (i < dead) *blocks[to].entry = 0;
  }
}

static void test_stale_words_lead_nobody(void **state) {
  (void)state;
  stale_words(8);
  scan();
  expect(A, UL_DEFINITE, 20, 800);
  expect(B, UL_DEFINITE, 12, 480);
}

static void test_a_few_dangling_pointers_prove_nothing(void **state) {
  (void)state;
  stale_words(7);
  scan();
  expect(A, UL_DEFINITE, 20, 800);
  expect(B, UL_INDIRECT, 13, 520);
}

static enum ul_verdict verdict_of(int b) {
  return verdict_at(blocks[b].number);
}

static void test_verdict_of_each_block(void **state) {
  (void)state;
  int held[100], lost[100];
  for (int i = 0; i < 100; i++) {
    held[i] = block(32, A);
    root(i, held[i], 0);
    lost[i] = block(32, A);
    if (i % 2) point(lost[i - 1], 8, lost[i], 0);
  }
  int s = span(100000, B), l = large(3 << 20, B);
  root(100, s, 8);
  scan();
  assert_true(header.features & UL_FEATURE_VERDICTS);
  for (int i = 0; i < 100; i++) {
    assert_int_equal(verdict_of(held[i]), UL_REACHABLE);
    assert_int_equal(verdict_of(lost[i]), i % 2 ? UL_INDIRECT : UL_DEFINITE);
  }
  assert_int_equal(verdict_of(s), UL_POSSIBLE);
  assert_int_equal(large_records[0].verdict, UL_DEFINITE);
  assert_ptr_equal(large_records[0].base, blocks[l].start);
}

static const struct ul_drag *drag(uint32_t leader, uint32_t dragged) {
  for (uint64_t i = 0; i < header.table[UL_DRAGS].count; i++)
    if (drags[i].leader == leader && drags[i].dragged == dragged) return &drags[i];
  return NULL;
}

static void test_who_drags_whom(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    int a = block(32, A), b = block(48, B), c = block(64, C);
    point(a, 8, b, 0);
    point(b, 8, c, 0);
  }
  point(block(32, D), 0, block(64, C), 0);
  scan();
  assert_int_equal(header.table[UL_DRAGS].count, 3);
  assert_int_equal(drag(A, B)->blocks, 3);
  assert_int_equal(drag(A, C)->bytes, 3 * 64);
  assert_int_equal(drag(D, C)->bytes, 64);
}

/* A limit that is over at once: of nobody is said that he is lost. */
static void test_limit(void **state) {
  (void)state;
  root(0, block(32, A), 0);
  block(48, B);
  reach_limit_s = 0;
  scan_frozen();
  reach_limit_s = UINT_MAX;
  assert_int_equal(header.scan.state, UL_SCAN_PARTIAL);
  assert_int_equal(header.scan.totals[UL_NO_VERDICT].blocks +
                       header.scan.totals[UL_REACHABLE].blocks,
                   2);
  expect(B, UL_NO_VERDICT, 1, 48);
}

/* ---- heuristics ---------------------------------------------------------------- */

static void expect_rescued(enum ul_heuristic h, uint64_t bytes) {
  for (unsigned i = 0; i < UL_HEURISTICS_OF_SCAN; i++)
    assert_int_equal(header.scan.rescued[i].blocks, i == h);
  assert_int_equal(header.scan.rescued[h].bytes, bytes);
}

static void test_stdstring(void **state) {
  (void)state;
  int s = block(24 + 50 + 1, A), held = block(16, B);
  store(s, 0, 20);
  store(s, 8, 50);
  root(0, s, 24);
  point(s, 32, held, 0);
  int other = block(24 + 50 + 2, C); /* one byte too long */
  store(other, 0, 20);
  store(other, 8, 50);
  root(1, other, 24);
  scan();
  expect(A, UL_REACHABLE, 1, 75);
  expect(B, UL_REACHABLE, 1, 16);
  expect(C, UL_POSSIBLE, 1, 76);
  expect_rescued(UL_STDSTRING, 75);
}

static void test_length64(void **state) {
  (void)state;
  int a = block(128, A), b = block(128, B);
  store(a, 0, 120);
  store(b, 0, 119);
  root(0, a, 8);
  root(1, b, 8);
  scan();
  expect(A, UL_REACHABLE, 1, 128);
  expect(B, UL_POSSIBLE, 1, 128);
  expect_rescued(UL_LENGTH64, 128);
}

static void test_newarray(void **state) {
  (void)state;
  int a = block(8 + 5 * 24, A), b = block(8 + 5 * 24, B);
  store(a, 0, 5);
  store(b, 0, 7);
  root(0, a, 8);
  root(1, b, 8);
  scan();
  expect(A, UL_REACHABLE, 1, 128);
  expect(B, UL_POSSIBLE, 1, 128);
  expect_rescued(UL_NEWARRAY, 128);
}

static void nothing(void) {}
static void nothing_either(void) {}
static void (*const vtable[])(void) = {nothing, nothing_either, nothing};
static void (*const vtable_of_base[])(void) = {nothing_either, nothing, nothing};

static void test_multiple_inheritance(void **state) {
  (void)state;
  int a = block(40, A), b = block(40, B);
  store(a, 0, (uintptr_t)vtable);
  store(a, 16, (uintptr_t)vtable_of_base);
  store(b, 0, (uintptr_t)vtable);
  root(0, a, 16);
  root(1, b, 16);
  scan();
  expect(A, UL_REACHABLE, 1, 40);
  expect(B, UL_POSSIBLE, 1, 40);
  expect_rescued(UL_MULTIPLE_INHERITANCE, 40);
}

static void test_rescued_only_if_nothing_else(void **state) {
  (void)state;
  int a = block(128, A);
  store(a, 0, 120);
  root(0, a, 8);
  root(1, a, 0);
  scan();
  expect(A, UL_REACHABLE, 1, 128);
  assert_int_equal(header.scan.rescued[UL_LENGTH64].blocks, 0);
}

/* Whichever pointer is met first. */
static void test_rescued_by_the_first_that_fits(void **state) {
  enum { AS_ARRAY = 8, AS_STRING = 24 };
  for (int turn = 0; turn < 2; turn++) {
    int both = block(24 + 55 + 1, A);
    store(both, 0, 8);
    store(both, 8, 55);
    root(0, both, turn ? AS_ARRAY : AS_STRING);
    root(1, both, turn ? AS_STRING : AS_ARRAY);
    scan();
    expect_rescued(UL_STDSTRING, 80);
    teardown(state);
    setup(state);
  }
}

static uint64_t rescued_by_offset(void) {
  return header.rescued[UL_CONSTANT_OFFSET - UL_HEURISTICS_OF_SCAN].blocks;
}

/* Twenty blocks of the site, held by the previous one, the first one by a root. */
static NOINLINE void offset_chain(uint32_t site, size_t inside) {
  int before = -1;
  for (int i = 0; i < 20; i++) {
    int b = block(64, site);
    if (before < 0)
      root(0, b, inside);
    else
      point(before, 48, b, inside);
    before = b;
  }
}

static void test_constant_offset(void **state) {
  (void)state;
  offset_chain(A, 16);
  int held = block(32, B), lost = block(64, A);
  point(19, 56, held, 0);
  store(lost, 0, 1);
  scan();
  assert_int_equal(rescued_by_offset(), 20);
  expect(B, UL_REACHABLE, 1, 32);
  assert_int_equal(reachable(A).blocks, 20);
  assert_int_equal(row(A, UL_DEFINITE)->blocks, 1);
}

static void test_constant_offset_can_be_left_out(void **state) {
  (void)state;
  reach_heuristics = ~(1u << UL_CONSTANT_OFFSET);
  offset_chain(A, 16);
  scan();
  reach_heuristics = ~0u;
  assert_int_equal(rescued_by_offset(), 0);
  expect(A, UL_POSSIBLE, 20, 20 * 64);
}

/* Held by their start, but two: the pointers into these prove nothing. */
static void test_offset_of_a_few(void **state) {
  (void)state;
  for (int i = 0; i < 20; i++)
    root(i, block(64, A), i < 2 ? 16 : 0);
  scan();
  assert_int_equal(rescued_by_offset(), 0);
  assert_int_equal(row(A, UL_POSSIBLE)->blocks, 2);
}

/* Three of them at another offset, too, which is as good for these. */
static void test_offsets_in_any_order(void **state) {
  uint64_t rescued[2];
  for (int turn = 0; turn < 2; turn++) {
    for (int i = 0; i < 40; i++) {
      int b = block(64, A);
      root(2 * i + turn, b, 16);
      if (i < 3) root(2 * i + !turn, b, 24);
    }
    scan();
    rescued[turn] = rescued_by_offset();
    teardown(state);
    setup(state);
  }
  assert_int_equal(rescued[0], rescued[1]);
}

/* Chunks that are cut into pieces, all of which are held. */
static void test_pieces_are_no_handles(void **state) {
  (void)state;
  for (int i = 0, at = 0; i < 40; i++) {
    int b = block(512, A);
    for (size_t piece = 32; piece < 512; piece += 32)
      root(at++, b, piece);
  }
  scan();
  assert_int_equal(rescued_by_offset(), 0);
  expect(A, UL_POSSIBLE, 40, 40 * 512);
}

/* A string beside its pointer is held by itself, which says nothing of others. */
static void test_offset_within_the_block(void **state) {
  (void)state;
  for (int i = 0; i < 40; i++) {
    int b = block(64, A);
    point(b, 8, b, 16);
    root(i, b, i < 2 ? 16 : 0);
  }
  scan();
  assert_int_equal(row(A, UL_POSSIBLE)->blocks, 2);
}

/* Only lost blocks hold them so: no evidence, and no root. */
static void test_offset_from_lost_blocks(void **state) {
  (void)state;
  int hub = block(400, A);
  for (int i = 0; i < 40; i++)
    point(hub, (size_t)i * 8, block(64, B), 16);
  scan();
  expect(A, UL_DEFINITE, 1, 400);
  expect(B, UL_INDIRECT, 40, 40 * 64);
}

/* ---- roots --------------------------------------------------------------------- */

static void test_held_by_anonymous_mapping_only(void **state) {
  (void)state;
  uintptr_t *m =
      mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int a = block(32, A), b = block(32, B);
  m[(5 << 20) / 8] = (uintptr_t)blocks[a].start;
  m[(6 << 20) / 8] = (uintptr_t)blocks[b].start;
  mprotect(m, 8 << 20, PROT_READ);
  scan();
  expect(A, UL_REACHABLE, 1, 32);
  expect(B, UL_REACHABLE, 1, 32);
  munmap(m, 8 << 20);
}

static void test_held_by_shared_mapping(void **state) {
  (void)state;
  uintptr_t *m =
      mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  m[(3 << 20) / 8] = (uintptr_t)blocks[block(32, A)].start;
  scan();
  expect(A, UL_REACHABLE, 1, 32);
  munmap(m, 4 << 20);
}

/* Nor is a byte of it read if nothing else is left to be found; nor of what is constant.
 */
static void test_most_roots_are_read_last(void **state) {
  enum { BYTES = 8 << 20 };
  const struct {
    int flags, protection;
  } kinds[] = {{MAP_SHARED, PROT_READ | PROT_WRITE}, {MAP_PRIVATE, PROT_READ}};
  (void)state;
  root(0, block(32, A), 0);
  scan();
  uint64_t before = header.scan.root_bytes; /* with the shadow of a sanitizer */
  for (int i = 0; i < 2; i++) {
    uintptr_t *m =
        mmap(NULL, BYTES, PROT_READ | PROT_WRITE, kinds[i].flags | MAP_ANONYMOUS, -1, 0);
    memset(m, 0, BYTES);
    mprotect(m, BYTES, kinds[i].protection);
    scan();
    assert_true(header.scan.root_bytes < before + BYTES / 2);
    mprotect(m, BYTES, PROT_READ | PROT_WRITE);
    m[BYTES / 8 - 1] = (uintptr_t)blocks[block(32, B)].start;
    mprotect(m, BYTES, kinds[i].protection);
    scan();
    expect(B, UL_REACHABLE, (uint64_t)i + 1, 32 * ((uint64_t)i + 1));
    assert_true(header.scan.root_bytes > before + BYTES / 2);
    root(i + 1, block_count - 1, 0);
    munmap(m, BYTES);
  }
}

/* A child that leaves a line is asked for what it did itself. */
static void test_own_blocks_only(void **state) {
  (void)state;
  header.inherited_sites = B;
  int a = block(32, A), b = block(32, B), c = block(32, C);
  point(b, 0, c, 0);
  root(0, b, 0);
  reach_own = true;
  scan();
  assert_int_equal(header.inherited_lost.blocks, 0); /* it is not known */
  expect(B, UL_REACHABLE, 1, 32);
  expect(C, UL_REACHABLE, 1, 32);
  assert_null(row(A, UL_REACHABLE));
  block(48, D); /* lost: all is looked for */
  scan();
  assert_int_equal(header.inherited_lost.blocks, 1);
  expect(D, UL_DEFINITE, 1, 48);
  point(a, 8, block(64, E), 0); /* by what is its parent's, and lost */
  root(1, block_count - 2, 0);
  scan();
  expect(D, UL_REACHABLE, 1, 48);
  expect(E, UL_INDIRECT, 1, 64);
  reach_own = false;
}

/* The program runs on while its copy is scanned: what it gives back then still counts. */
static void test_memory_given_back_meanwhile(void **state) {
  (void)state;
  const size_t bytes = (size_t)64 << 20; /* keeps the scan busy at first */
  char *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  static struct thread_set set;
  memset(m, 1, bytes);
  int l = large(8 << 20, B), a = block(32, A), b = block(32, C);
  root(0, l, 0);
  point(l, 7 << 20, b, 0);
  *(uintptr_t *)(m + bytes - 64) = (uintptr_t)blocks[a].start;
  struct caller here = {.sp = {(uintptr_t)__builtin_frame_address(0)}, .stacks = 1};
  freeze(&set);
  int child = reach_begin(&set, &here, &(struct main_frame){0});
  thaw();
  madvise(m, bytes, MADV_DONTNEED);
  madvise(blocks[l].start, 8 << 20, MADV_DONTNEED);
  reach_end(child);
  munmap(m, bytes);
  expect(A, UL_REACHABLE, 1, 32);
  expect(C, UL_REACHABLE, 1, 32);
}

/* A terabyte that was only reserved takes no time, and what is in it is found. */
static void test_sparse_mapping(void **state) {
  (void)state;
  const size_t bytes = (size_t)1 << 40;
  char *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (m == MAP_FAILED) skip();
  *(uintptr_t *)(m + bytes / 2) = (uintptr_t)blocks[block(32, A)].start;
  *(uintptr_t *)(m + bytes - 8) = (uintptr_t)blocks[block(32, B)].start;
  scan();
  print_message("scan beside a sparse terabyte: %lu us\n",
                (unsigned long)header.scan.took_us);
  expect(A, UL_REACHABLE, 1, 32);
  expect(B, UL_REACHABLE, 1, 32);
  munmap(m, bytes);
}

static uint64_t faults_of_children(void) {
  struct rusage use;
  getrusage(RUSAGE_CHILDREN, &use);
  return (uint64_t)use.ru_minflt;
}

/* What nobody has touched of a span, or of a block with a mapping of its own, is not
 * fetched to be looked at. */
static void test_untouched_pages_of_blocks(void **state) {
  (void)state;
  enum { BYTES = 31 * UL_UNIT_BYTES, SPANS = 100 };
  for (int i = 0; i < SPANS; i++)
    root(i, span(BYTES, A), 0);
  root(SPANS, large(SPANS * BYTES, A), 0);
  point(7, BYTES - 16, block(32, B), 0);
  uint64_t before = faults_of_children();
  scan();
  expect(B, UL_REACHABLE, 1, 32);
  assert_true(faults_of_children() - before < SPANS * BYTES / PAGE);
}

static void test_file_that_was_cut(void **state) {
  (void)state;
  int fd = memfd_create("cut", MFD_CLOEXEC);
  assert_int_equal(ftruncate(fd, 16 * PAGE), 0);
  uintptr_t *m = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  m[0] = (uintptr_t)blocks[block(32, A)].start;
  uintptr_t *s = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  for (int i = 0; i < 16; i++)
    s[i * PAGE / 8] = 1;
  assert_int_equal(ftruncate(fd, 0), 0);
  scan();
  munmap(m, 16 * PAGE);
  munmap(s, 16 * PAGE);
  close(fd);
}

static size_t maps(char *to, size_t size) {
  int fd = open("/proc/self/maps", O_RDONLY);
  size_t n = 0;
  for (ssize_t more; (more = read(fd, to + n, size - n - 1)) > 0; n += (size_t)more)
    ;
  close(fd);
  to[n] = 0;
  return n;
}

/* Nor do its answers depend on it. */
static void test_the_scan_leaves_no_trace(void **state) {
  (void)state;
  enum { BYTES = 1 << 20 };
  char *before = malloc(BYTES), *after = malloc(BYTES);
  for (int i = 0; i < 100; i++)
    block(32, A);
  scan();
  assert_int_not_equal(maps(before, BYTES), 0);
  for (int i = 0; i < 3; i++) {
    scan();
    maps(after, BYTES);
    assert_string_equal(before, after);
    expect(A, UL_DEFINITE, 100, 3200);
  }
  free(before);
  free(after);
}

static void test_unreadable_pages_inside_blocks(void **state) {
  (void)state;
  int a = span(8 * UL_UNIT_BYTES, A), l = large(64 << 20, B);
  int c = block(32, C), d = block(32, D);
  root(0, a, 0);
  root(1, l, 0);
  memset(blocks[a].start, 0, 8 * UL_UNIT_BYTES);
  memset(blocks[l].start, 0, 64 << 20);
  point(a, 7 * UL_UNIT_BYTES, c, 0);
  point(l, 63 << 20, d, 0);
  mprotect(blocks[a].start + UL_UNIT_BYTES, 2 * PAGE, PROT_NONE);
  mprotect(blocks[l].start + (1 << 20), 32 << 20, PROT_NONE);
  scan();
  expect(C, UL_REACHABLE, 1, 32);
  expect(D, UL_REACHABLE, 1, 32);
  assert_int_equal(header.scan.unreadable_pages, 2 + (32 << 20) / PAGE);
}

/* Where all that lives is known to be reachable, nobody reads on. */
static void test_nothing_is_read_that_decides_nothing(void **state) {
  (void)state;
  int a = span(8 * UL_UNIT_BYTES, A);
  root(0, a, 0);
  root(1, block(32, C), 0);
  memset(blocks[a].start, 0, 8 * UL_UNIT_BYTES);
  mprotect(blocks[a].start + UL_UNIT_BYTES, 2 * PAGE, PROT_NONE);
  scan();
  expect(A, UL_REACHABLE, 1, 8 * UL_UNIT_BYTES);
  expect(C, UL_REACHABLE, 1, 32);
  assert_int_equal(header.scan.unreadable_pages, 0);
  block(32, D);
  scan();
  expect(A, UL_REACHABLE, 1, 8 * UL_UNIT_BYTES);
  expect(D, UL_DEFINITE, 1, 32);
  assert_int_equal(header.scan.unreadable_pages, 2);
}

/* Their beginnings are read first. What is not requested is not read. */
static void test_long_blocks_are_read_to_their_end(void **state) {
  static const size_t sizes[] = {248, 1800, 2040, 2048, 2056, 4080, 4096, 20000, 32768};
  (void)state;
  block(32, E); /* lost: all is to be read */
  size_t inside = 0, behind = 0;
  for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    size_t size = sizes[i], words = size / 8;
    int b = block(size, A);
    root((int)i, b, 0);
    for (size_t w = 0; w < words - 1; w += w % 32 < 31 ? 31 - w % 32 : 1, inside++)
      point(b, w * 8, block(48, B), 0);
    point(b, (words - 1) * 8, block(48, B), 0);
    inside++;
    if (size + 8 > class_bytes(class_of(size))) continue;
    point(b, size, block(64, C), 0);
    behind++;
  }
  assert_true(behind > 2);
  scan();
  expect(B, UL_REACHABLE, inside, 48 * inside);
  expect(C, UL_DEFINITE, behind, 64 * behind);
  expect(E, UL_DEFINITE, 1, 32);
}

/* Whether all blocks of a pool have the same of it, or not. */
static void test_slack_is_not_read(void **state) {
  (void)state;
  for (int even = 0; even < 2; even++)
    for (int i = 0; i < 4; i++) {
      int b = block(even ? 104 : 200 + (size_t)i % 2, A);
      root(even * 4 + i, b, 0);
      point(b, even ? 96 : 192, block(48, B), 0);
      point(b, even ? 104 : 200, block(64, C), 0);
    }
  scan();
  expect(A, UL_REACHABLE, 8, 4 * 104 + 2 * 200 + 2 * 201);
  expect(B, UL_REACHABLE, 8, 8 * 48);
  expect(C, UL_DEFINITE, 8, 8 * 64);
}

/* Blocks allocated by the loader, as dynamic TLS is. */
static void test_loader_blocks_are_roots(void **state) {
  (void)state;
  codes[1] = ul_code(UL_NO_MODULE, getauxval(AT_BASE) + 0x2000);
  sites[A].code = 1;
  int a = block(64, A), b = block(64, B);
  point(a, 8, b, 0);
  int own = block(64, UL_SITE_ULLAGE); /* a root, and no block of the program's */
  point(own, 8, block(64, C), 0);
  scan();
  expect(A, UL_REACHABLE, 1, 64);
  expect(B, UL_REACHABLE, 1, 64);
  expect(C, UL_REACHABLE, 1, 64);
  expect(UL_SITE_ULLAGE, UL_NO_VERDICT, 0, 0);
  assert_int_equal(header.scan.heap_bytes, 3 * 64);
}

/* ---- threads ------------------------------------------------------------------- */

enum { THREADS = 10, BLOCKED = 8, WAITING = 9 };
static _Atomic int ready;
static _Atomic uint32_t leave;
static volatile int stolen; /* a signal meant for somebody else */

/* Well below the red zone and the frames of system calls. */
static NOINLINE void leave_garbage(int b) {
  volatile uintptr_t deep[1024];
  for (int i = 0; i < 512; i++)
    deep[i] = (uintptr_t)blocks[b].start;
  (void)deep[0];
}

static _Atomic pid_t sleepers[THREADS];

/* (Where /proc does not tell, for a while.) */
static NOINLINE void await_system_call(const _Atomic pid_t *tid, long number) {
  char path[64], call[256];
  for (int i = 0; i < 10000; i++, usleep(1000)) {
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)atomic_load(tid));
    if (os_slurp(path, call, sizeof call) > 0 && atol(call) == number) return;
  }
}

static void wait_to_leave(void) {
  atomic_fetch_add(&ready, 1);
  while (!atomic_load(&leave))
    syscall(SYS_futex, &leave, 0 /* FUTEX_WAIT */, 0, NULL, NULL, 0);
}

/* Each thread holds block i only on its stack; below it is garbage that points to block
 * THREADS + i. Odd ones run, even ones sleep. */
static void *hold_a_block(void *arg) {
  int i = (int)(intptr_t)arg;
  volatile uintptr_t held = (uintptr_t)blocks[i].start;
  leave_garbage(THREADS + i);
  atomic_store(&sleepers[i], gettid());
  sigset_t all;
  sigfillset(&all);
  if (i >= BLOCKED) pthread_sigmask(SIG_BLOCK, &all, NULL);
  if (i == WAITING) {
    atomic_fetch_add(&ready, 1);
    int sig = sigwaitinfo(&all, NULL);
    if (sig != SIGUSR1) stolen = sig;
  } else if (i % 2 && i < BLOCKED) {
    atomic_fetch_add(&ready, 1);
    while (!atomic_load(&leave))
      sched_yield();
  } else {
    wait_to_leave();
  }
  return (void *)(held & 0);
}

struct kernel_action {
  uintptr_t handler, flags, restorer, mask;
};
static void dispositions(struct kernel_action *all) {
  memset(all, 0, 65 * sizeof *all);
  for (int sig = 1; sig <= 64; sig++)
    syscall(SYS_rt_sigaction, sig, NULL, &all[sig], 8);
}

static pthread_t start(void *(*run)(void *), int i) {
  pthread_t t;
  assert_int_equal(pthread_create(&t, NULL, run, (void *)(intptr_t)i), 0);
  return t;
}

static void await(int n) {
  while (atomic_load(&ready) < n)
    sched_yield();
  usleep(20000); /* into their system calls */
}

static void let_leave(pthread_t *threads, int n) {
  atomic_store(&leave, 1);
  syscall(SYS_futex, &leave, 1 /* FUTEX_WAKE */, 1000, NULL, NULL, 0);
  for (int i = 0; i < n; i++)
    pthread_join(threads[i], NULL);
}

static void test_threads(void **state) {
  (void)state;
  static pthread_t threads[THREADS];
  static struct kernel_action before[65], after[65];
  for (int i = 0; i < THREADS; i++)
    block(32, A);
  for (int i = 0; i < THREADS; i++)
    block(48, B);
  block(64, C);
  atomic_store(&ready, 0);
  atomic_store(&leave, 0);
  stolen = 0;
  for (int i = 0; i < THREADS; i++)
    threads[i] = start(hold_a_block, i);
  await(THREADS);
  await_system_call(&sleepers[BLOCKED], SYS_futex);
  await_system_call(&sleepers[WAITING], SYS_rt_sigtimedwait);
  dispositions(before); /* the first thread has made glibc install its handlers */
  uint64_t begun = os_monotonic_ns();
  scan();
  uint64_t took = os_monotonic_ns() - begun;
  dispositions(after);
  pthread_kill(threads[WAITING], SIGUSR1);
  let_leave(threads, THREADS);
  print_message("freeze and scan with %d threads: %lu us\n", THREADS,
                (unsigned long)(took / 1000));
  assert_memory_equal(before, after, sizeof before);
  assert_int_equal(stolen, 0);
  assert_int_equal(header.scan.threads, THREADS + 1);
  assert_int_equal(header.scan.threads_unstopped, 2);
  assert_int_equal(header.fallbacks[UL_FB_THREAD_UNSTOPPED], 2);
  expect(A, UL_REACHABLE, THREADS, 32 * THREADS);
  expect(B, UL_DEFINITE, THREADS, 48 * THREADS);
  expect(C, UL_DEFINITE, 1, 64);
}

/* Only in registers while it runs: the compiler is not asked, the pointer never leaves
 * r12 but for the vector register of the odd ones. */
static void *hold_in_registers(void *arg) {
  int i = (int)(intptr_t)arg;
  uintptr_t address = (uintptr_t)blocks[i].start;
  leave_garbage(4);
  atomic_fetch_add(&ready, 1);
  if (i % 2)
    __asm__ volatile("movq %0, %%xmm7\n\txorl %k0, %k0\n"
                     "1:\tpause\n\tcmpl $0, %1\n\tje 1b\n\tpxor %%xmm7, %%xmm7"
                     : "+r"(address)
                     : "m"(leave)
                     : "xmm7", "cc");
  else
    __asm__ volatile("movq %0, %%r12\n\txorl %k0, %k0\n"
                     "1:\tpause\n\tcmpl $0, %1\n\tje 1b\n\txorl %%r12d, %%r12d"
                     : "+r"(address)
                     : "m"(leave)
                     : "r12", "cc");
  return NULL;
}

static void test_registers(void **state) {
  (void)state;
  static pthread_t threads[2];
  for (int i = 0; i < 5; i++)
    block(32, A + (uint32_t)i);
  atomic_store(&ready, 0);
  atomic_store(&leave, 0);
  for (int i = 0; i < 2; i++)
    threads[i] = start(hold_in_registers, i);
  await(2);
  scan();
  let_leave(threads, 2);
  assert_int_equal(header.scan.threads, 3);
  expect(A, UL_REACHABLE, 1, 32);
  expect(A + 1, UL_REACHABLE, 1, 32);
  expect(A + 2, UL_DEFINITE, 1, 32);
}

/* Each sleeps, and its block's address is in a vector register only: the first one's in
 * use, the second one's what the caller of a function of libc's has left there. */
static void *sleep_with_vector(void *arg) {
  int i = (int)(intptr_t)arg;
  long (*volatile by_libc)(long, ...) = syscall, result;
  leave_garbage(2);
  atomic_store(&sleepers[i], gettid());
  while (!atomic_load(&leave)) {
    __asm__ volatile("movq %0, %%xmm7" : : "m"(blocks[i].start) : "xmm7");
    if (i)
      by_libc(SYS_futex, &leave, 0 /* FUTEX_WAIT */, 0, NULL, NULL, 0);
    else
      __asm__ volatile("xorl %%r10d, %%r10d\n\tsyscall"
                       : "=a"(result)
                       : "0"(SYS_futex), "D"(&leave), "S"(0), "d"(0)
                       : "r10", "rcx", "r11", "cc", "memory");
  }
  return NULL;
}

static void test_vector_registers(void **state) {
  (void)state;
  static pthread_t thread;
  for (int i = 0; i < 3; i++)
    block(32, A + (uint32_t)i);
  for (int i = 0; i < 2; i++) {
    atomic_store(&leave, 0);
    thread = start(sleep_with_vector, i);
    await_system_call(&sleepers[i], SYS_futex);
    scan();
    let_leave(&thread, 1);
    expect(A + (uint32_t)i, i ? UL_DEFINITE : UL_REACHABLE, 1, 32);
  }
}

/* Each has a stack for signals that it has been on and is not now: full of garbage. One
 * of them is a block, behind which there is a pointer in use. */
static char *signal_stacks[2];
static void *sleep_with_signal_stack(void *arg) {
  int i = (int)(intptr_t)arg;
  stack_t s = {.ss_sp = signal_stacks[i], .ss_size = 64 << 10};
  sigaltstack(&s, NULL);
  atomic_store(&sleepers[i], gettid());
  while (!atomic_load(&leave))
    syscall(SYS_futex, &leave, 0 /* FUTEX_WAIT */, 0, NULL, NULL, 0);
  s.ss_flags = SS_DISABLE;
  sigaltstack(&s, NULL);
  return NULL;
}

static NOINLINE void fill_with_garbage(char *stack, int b) {
  for (size_t i = 0; i < (64 << 10) / 8; i++)
    ((uintptr_t *)stack)[i] = (uintptr_t)blocks[b].start;
  SCRUB_REGISTERS();
}

static void test_stacks_for_signals(void **state) {
  (void)state;
  static pthread_t threads[2];
  int a = block(32, A), b = block(32, B), l = large(1 << 20, C);
  signal_stacks[0] =
      mmap(NULL, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  signal_stacks[1] = blocks[l].start;
  for (int i = 0; i < 2; i++)
    fill_with_garbage(signal_stacks[i], a);
  point(l, 64 << 10, b, 0);
  atomic_store(&leave, 0);
  for (int i = 0; i < 2; i++)
    threads[i] = start(sleep_with_signal_stack, i);
  for (int i = 0; i < 2; i++)
    await_system_call(&sleepers[i], SYS_futex);
  scan();
  let_leave(threads, 2);
  munmap(signal_stacks[0], 64 << 10);
  expect(A, UL_DEFINITE, 1, 32);
  expect(B, UL_REACHABLE, 1, 32);
  expect(C, UL_REACHABLE, 1, 1 << 20);
}

/* String functions leave in vector registers what lies behind the end of a string. */
static void test_zeros_behind_a_text(void **state) {
  (void)state;
  char line[512];
  memset(line, 'x', sizeof line);
  ssize_t n = os_slurp("/proc/self/statm", line, sizeof line);
  assert_true(n > 0 && (size_t)n + 65 < sizeof line);
  for (ssize_t i = n; i < n + 64; i++)
    assert_int_equal(line[i], 0);
  assert_int_equal(line[n + 64], 'x');
  assert_int_equal(os_slurp("/proc/self/statm", line, 4), 3);
  assert_int_equal(line[3], 0);
}

static void *end_with_garbage(void *arg) {
  int i = (int)(intptr_t)arg;
  leave_garbage(i + 1);
  return blocks[i].start;
}

/* A thread that has ended and was not joined: its result counts, its stack does not. */
static void test_dead_thread(void **state) {
  (void)state;
  static pthread_t thread;
  int result = block(32, A);
  block(48, B);
  thread = start(end_with_garbage, result);
  usleep(50000);
  scan();
  pthread_join(thread, NULL);
  expect(A, UL_REACHABLE, 1, 32);
#ifndef __SANITIZE_ADDRESS__ /* it gives its threads stacks of another shape */
  expect(B, UL_DEFINITE, 1, 48);
#endif
}

/* Its own stack, but in a block: as coroutines have. */
static void *on_own_stack(void *arg) {
  volatile uintptr_t held = (uintptr_t)blocks[(int)(intptr_t)arg].start;
  wait_to_leave();
  return (void *)(held & 0);
}

static NOINLINE pthread_t start_on(int stack, size_t bytes, int held) {
  pthread_t t;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, blocks[stack].start, bytes);
  assert_int_equal(pthread_create(&t, &attributes, on_own_stack, (void *)(intptr_t)held),
                   0);
  pthread_attr_destroy(&attributes);
  SCRUB_REGISTERS();
  return t;
}

static void test_stack_in_a_block(void **state) {
  (void)state;
  static pthread_t thread;
  int a = block(32, A), stack = large(1 << 20, B);
  atomic_store(&ready, 0);
  atomic_store(&leave, 0);
  thread = start_on(stack, 1 << 20, a);
  await(1);
  scan();
  let_leave(&thread, 1);
  expect(A, UL_REACHABLE, 1, 32);
  expect(B, UL_REACHABLE, 1, 1 << 20);
}

static _Atomic int born;
static void *be_born(void *arg) {
  (void)arg;
  atomic_fetch_add(&born, 1);
  return NULL;
}
static void *breed(void *arg) {
  (void)arg;
  pthread_t t;
  while (!atomic_load(&leave))
    if (pthread_create(&t, NULL, be_born, NULL) == 0) pthread_join(t, NULL);
  return NULL;
}

/* Threads come and go while others are being stopped. */
static void test_freeze_amid_births(void **state) {
  (void)state;
  static pthread_t threads[3];
  static struct thread_set set;
  static struct kernel_action before[65], after[65];
  atomic_store(&leave, 0);
  for (int i = 0; i < 3; i++)
    threads[i] = start(breed, i);
  dispositions(before);
  for (int i = 0; i < 50; i++) {
    freeze(&set);
    int seen = atomic_load(&born);
    usleep(1000);
    bool all_stopped = set.complete && set.unstopped == 0;
    bool moved = atomic_load(&born) != seen;
    thaw();
    assert_false(all_stopped && moved);
    usleep(1000);
  }
  let_leave(threads, 3);
  dispositions(after);
  assert_memory_equal(before, after, sizeof before);
}

static _Atomic int counted;
static void *count_on(void *arg) {
  (void)arg;
  atomic_fetch_add(&ready, 1);
  while (!atomic_load(&leave))
    atomic_fetch_add(&counted, 1);
  return NULL;
}

/* Nothing that waits for what a frozen thread holds waits for ever. */
static void test_freeze_has_a_limit(void **state) {
  (void)state;
  static pthread_t threads[3];
  static struct thread_set set;
  atomic_store(&leave, 0);
  atomic_store(&ready, 0);
  for (int i = 0; i < 3; i++)
    threads[i] = start(count_on, i);
  await(3); /* being born, they block all signals */
  freeze(&set);
  assert_int_equal(set.stopped, 3);
  int seen = atomic_load(&counted);
  usleep(200000);
  assert_int_equal(atomic_load(&counted), seen);
  assert_true(freeze_holds(&set));
  freeze_limit(100);
  while (atomic_load(&counted) == seen)
    usleep(1000);
  assert_false(freeze_holds(&set));
  thaw();
  let_leave(threads, 3);
}

static void test_single_thread_is_left_alone(void **state) {
  (void)state;
  struct thread_set set;
  freeze(&set);
  assert_true(set.complete);
  assert_int_equal(set.count, 0);
  thaw();
}

/* ---- the program around it ----------------------------------------------------- */

static int descriptors(void) {
  int n = 0;
  for (int fd = 0; fd < 256; fd++)
    n += fcntl(fd, F_GETFD) != -1;
  return n;
}

static volatile sig_atomic_t child_signals;
static void count_child(int sig) {
  (void)sig;
  child_signals++;
}

static void test_program_does_not_notice(void **state) {
  (void)state;
  sigset_t before, after;
  signal(SIGCHLD, count_child);
  pthread_sigmask(SIG_SETMASK, NULL, &before);
  int open_before = descriptors();
  block(32, A);
  errno = 4711;
  scan();
  assert_int_equal(errno, 4711);
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  assert_memory_equal(&before, &after, 8);
  assert_int_equal(descriptors(), open_before);
  assert_int_equal(child_signals, 0);
  assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
  assert_int_equal(errno, ECHILD);
  signal(SIGCHLD, SIG_DFL);
}

/* Also in a forked child, with threads of its own. */
static void test_in_a_forked_child(void **state) {
  (void)state;
  pid_t pid = fork();
  if (pid == 0) {
    test_threads(NULL);
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
}

static void test_second_scan_replaces_the_first(void **state) {
  (void)state;
  int a = block(32, A);
  block(32, B);
  scan();
  assert_int_equal(header.table[UL_LEAKS].count, 2);
  *blocks[a].entry = 0;
  scan();
  expect(A, UL_DEFINITE, 0, 0);
  expect(B, UL_DEFINITE, 1, 32);
  assert_int_equal(header.scan.totals[UL_DEFINITE].blocks, 1);
}

/* Whatever the OS refuses: an answer that is right, or none. A hub with more spokes than
 * the scan's work list has room for at first; each spoke alone holds a rim. */
static NOINLINE void wheel(uint32_t hub_site, size_t spokes, uint32_t spoke_site) {
  int hub = large(spokes * sizeof(uintptr_t), hub_site);
  if (hub_site == B) root(0, hub, 0);
  for (size_t i = 0; i < spokes; i++) {
    uintptr_t *spoke = (uintptr_t *)small_block(16, spoke_site);
    *word(hub, i * sizeof(uintptr_t)) = (uintptr_t)spoke;
    *spoke = (uintptr_t)small_block(32, spoke_site);
  }
  SCRUB_REGISTERS();
}

/* The scan is conservative: among hundreds of thousands of lost blocks a word left
 * somewhere by libc or a sanitizer may happen to look like a pointer to one, which then
 * is held, with the rim it holds. Seen once in some fifty runs. */
enum { STRAYS = 4 };
static void expect_lost_but_strays(uint32_t site, uint64_t n) {
  const struct ul_leak *lost = row(site, UL_INDIRECT), *hub = row(D, UL_DEFINITE);
  assert_non_null(lost);
  assert_in_range(lost->blocks, n - STRAYS, n);
  assert_non_null(hub);
  assert_int_equal(hub->blocks, 1);
  assert_int_equal(hub->indirect_blocks, lost->blocks);
  assert_int_equal(hub->indirect_bytes, lost->bytes);
}

static void sweep(const char *op, int calls) {
  int failed = 0;
  for (int n = 1; n <= calls; n++) {
    char spec[32];
    snprintf(spec, sizeof spec, "%s:%d", op, n);
    os_inject_faults(spec);
    scan_frozen();
    snprintf(spec, sizeof spec, "%s:0", op);
    os_inject_faults(spec);
    if (header.scan.state == UL_SCAN_FAILED) {
      failed++;
      assert_int_not_equal(header.scan.error, 0);
      continue;
    }
    assert_int_equal(header.scan.state, UL_SCAN_DONE);
    expect(A, UL_REACHABLE, 2 * 400000, 48 * 400000);
    expect_lost_but_strays(C, 2 * 200000);
  }
  /* What a lodger could not do a copy has done. */
  assert_true(failed > 0 || reach_lodges);
  assert_true(failed < calls);
}

static void test_failures(void **state) {
  (void)state;
  wheel(B, 400000, A);
  wheel(D, 200000, C);
  scrub_stack();
  sweep("mmap", 24);
  sweep("open", 5);
  sweep("read", 4);
  sweep("fork", 2);
}

/* ---- more than one processor ---------------------------------------------------- */

/* Blocks of some sites and sizes that hold each other anyhow, in cycles, near and far
 * inside. Of their four parts the first is held by one offset, the second by starts, the
 * third from there by any other, and the last by nobody else. */
enum { PARTS = 4, OF_PART_MOST = 10000 };
enum { BY_HANDLE, BY_START, BY_ANY, BY_NOBODY };
static struct {
  char *start;
  size_t bytes;
} tangle[PARTS * OF_PART_MOST];
static int ends[PARTS]; /* of each, in `tangle` */

static int part_of(int i) {
  int part = 0;
  while (ends[part] <= i)
    part++;
  return part;
}

static int any_of(int part) {
  int first = part ? ends[part - 1] : 0;
  return first + rand() % (ends[part] - first);
}

static NOINLINE void make_blocks(const size_t *sizes, int n) {
  for (int i = 0; i < ends[PARTS - 1]; i++) {
    tangle[i].bytes = sizes[rand() % n];
    tangle[i].start =
        small_block(tangle[i].bytes, A + (uint32_t)(part_of(i) * 2 + rand() % 2));
  }
  SCRUB_REGISTERS();
}

static NOINLINE uintptr_t into(int part) {
  size_t inside = part == BY_HANDLE ? 16 : 0;
  if (part == BY_ANY) inside = 8 + (size_t)(rand() % 5 * 8);
  return (uintptr_t)tangle[any_of(part)].start + inside;
}

static NOINLINE void tie(int from) {
  int part = part_of(from);
  uintptr_t *word = (uintptr_t *)tangle[from].start +
                    (size_t)rand() % (tangle[from].bytes / sizeof(uintptr_t));
  if (part < BY_ANY)
    *word = into(part + (rand() % 16 == 0));
  else
    *word = rand() % 2 ? into(part) : (uintptr_t)tangle[any_of(part)].start;
  SCRUB_REGISTERS();
}

static NOINLINE void tie_all(void) {
  for (int i = 0; i < ends[PARTS - 1]; i++)
    for (int n = rand() % (part_of(i) == BY_NOBODY ? 2 : 6); n; n--)
      tie(i);
  for (int hub = ends[BY_START]; hub < ends[BY_ANY]; hub += 100)
    for (int n = 0; n < 500; n++)
      tie(hub);
  for (int i = 0; i < 200; i++)
    roots[i] = into(i % BY_ANY);
  SCRUB_REGISTERS();
}

/* So much that others are hired in the first step, while beginnings are read; or in the
 * second, while the rests are. */
static NOINLINE void make_tangle(bool short_ones) {
  static const size_t sizes[] = {4096, 3000, 4080, 48, 64, 96, 240, 512};
  srand(7);
  for (int i = 0, end = 0; i < PARTS; i++)
    ends[i] = end += short_ones ? OF_PART_MOST : i == BY_ANY ? 2000 : 60;
  make_blocks(sizes, short_ones ? 8 : 3);
  tie_all();
  scrub_stack();
}

/* All that a scan says, but when it was and what it took; and a sanitizer has a few bytes
 * of roots more from scan to scan. */
struct said {
  struct ul_scan scan;
  struct ul_leak leaks[ROWS];
  struct ul_drag drags[DRAGS];
  uint64_t verdicts[VERDICT_WORDS / 64];
  uint64_t rows, pairs, by_offset;
};

static void listen(struct said *s) {
  memset(s, 0, sizeof *s);
  s->scan = header.scan;
  s->scan.took_us = s->scan.at_ms = s->scan.root_bytes = 0;
  s->rows = header.table[UL_LEAKS].count;
  s->pairs = header.table[UL_DRAGS].count;
  s->by_offset = rescued_by_offset();
  memcpy(s->leaks, leaks, sizeof leaks);
  memcpy(s->drags, drags, sizeof drags);
  memcpy(s->verdicts, verdict_words, sizeof s->verdicts);
}

static void scan_on(unsigned processors, struct said *s) {
  reach_processors = processors;
  scan();
  reach_processors = 0;
  listen(s);
}

/* The verdicts are the same to the last bit, and the order of rows is. */
static void agree(bool short_ones) {
  static struct said one, many;
  make_tangle(short_ones);
  int l = large(64 << 20, C);
  root(300, l, 0);
  mprotect(blocks[l].start + (1 << 20), 40 << 20, PROT_NONE);
  memcpy(blocks[l].start + (63 << 20), &tangle[ends[PARTS - 1] - 1].start,
         sizeof(char *));
  scrub_stack();
  for (unsigned n = 0; n <= 20; n++) {
    scan_on(n ? 2 + n % 7 : 1, n ? &many : &one);
    if (n) assert_memory_equal(&one, &many, sizeof one);
  }
  assert_int_not_equal(one.scan.totals[UL_DEFINITE].blocks, 0);
  assert_int_not_equal(one.scan.totals[UL_INDIRECT].blocks, 0);
  assert_int_not_equal(one.scan.totals[UL_POSSIBLE].blocks, 0);
  assert_int_not_equal(one.by_offset, 0);
}

static void test_processors_agree(void **state) {
  (void)state;
  agree(true);
}

static void test_processors_agree_of_long_blocks(void **state) {
  (void)state;
  agree(false);
}

/* As many threads as there are to be had, but no more. */
static void test_processors_that_are_refused(void **state) {
  static struct said one, few;
  (void)state;
  make_tangle(true);
  for (int n = 0; n <= 4; n++) {
    char spec[32];
    snprintf(spec, sizeof spec, "thread:%d", n);
    os_inject_faults(spec);
    scan_on(n ? 4 : 1, n ? &few : &one);
    if (n) assert_memory_equal(&one, &few, sizeof one);
  }
  os_inject_faults("thread:0");
}

/* ---- size and speed ------------------------------------------------------------ */

/* Returns the first of a linked list of n blocks. */
static uintptr_t *volatile last;
static NOINLINE int list(size_t n, uint32_t site) {
  int first = block(16, site);
  last = word(first, 0);
  while (--n) {
    *last = (uintptr_t)small_block(16, site);
    last = (uintptr_t *)*last;
  }
  SCRUB_REGISTERS();
  return first;
}

static void test_long_lists(void **state) {
  (void)state;
  const size_t n = 3000000;
  root(0, list(n, A), 0);
  list(n, B);
  scrub_stack();
  scan();
  print_message("two lists of %zu blocks: %lu us\n", n,
                (unsigned long)header.scan.took_us);
  expect(A, UL_REACHABLE, n, n * 16);
  const struct ul_leak *leader = row(B, UL_DEFINITE), *rest = row(B, UL_INDIRECT);
  uint64_t held = reachable(B).blocks; /* from a block on that lies at a multiple of
                                           4 GiB: the upper half of any old pointer */
  assert_int_equal(leader->blocks, 1);
  assert_int_equal(leader->indirect_blocks, n - 1 - held);
  assert_int_equal(leader->indirect_bytes, rest->bytes);
  assert_int_equal(rest->blocks, leader->indirect_blocks);
  assert_true(rest->blocks > 0);
}

static uint64_t scan_us(void) {
  scan();
  return header.scan.took_us;
}

static void test_speed(void **state) {
  (void)state;
  const size_t bytes = (size_t)512 << 20;
  block(16, A);
  uint64_t without = scan_us();
  char *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (m == MAP_FAILED) skip();
  memset(m, 'u', bytes);
  uint64_t with = scan_us();
  munmap(m, bytes);
  double seconds = (double)(with - without) / 1e6;
  print_message("nothing: %lu us; %zu MB more, no pointers: %lu us: %.1f GB/s\n",
                (unsigned long)without, bytes >> 20, (unsigned long)with,
                (double)bytes / 1e9 / seconds);
}

/* ---- mappings ------------------------------------------------------------------ */

static void test_mappings(void **state) {
  (void)state;
  int s = span(10 * UL_UNIT_BYTES, A), l = large(16 << 20, B);
  memset(blocks[s].start, 1, 3 * PAGE);
  memset(blocks[l].start, 1, 2 << 20);
  blocks[l].start[(5 << 20) + 17] = 1;
  for (int times = 0; times < 2; times++)
    residency_collect();
  assert_int_equal(header.residency, UL_EVIDENCE_PAGEMAP);
  uint64_t heap = 0, tool = 0, sum = 0, rows = 0;
  for (uint64_t i = 0; i < header.table[UL_MAPPINGS].count; i++) {
    const struct ul_mapping *m = &mappings[i];
    assert_true(m->heap_rss + m->tool_rss <= m->rss);
    heap += m->heap_rss;
    tool += m->tool_rss;
    sum += m->rss;
    rows += m->end > m->start;
  }
  assert_true(rows > 10);
  assert_int_equal(sum, header.end_rss_bytes);
  assert_int_equal(heap, 3 * PAGE + (2 << 20) + PAGE);
  assert_true(tool > 0);
  const struct ul_large *r = larges[0]->record;
  assert_int_equal(r->resident_bytes, (2 << 20) + PAGE);
  assert_int_equal(r->resident_end, (5 << 20) + PAGE);
  unsigned page = (unsigned)(blocks[s].start - arenas[0]->base) / PAGE;
  assert_int_equal(arenas[0]->record->resident[0], UINT64_C(7) << page);
  double rss = (double)residency_rss();
  assert_true(rss > 0.8 * (double)sum && rss < 1.2 * (double)sum);
}

/* By maps and the runs of pages, and by smaps. */
static void test_mappings_by_runs(void **state) {
  (void)state;
  enum { PAGES = 64 };
  static struct ul_mapping by_runs[ROWS];
  const size_t bytes = PAGES * PAGE;
  char path[] = "/tmp/ullage-mappings-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0 && unlink(path) == 0 && ftruncate(fd, (off_t)bytes) == 0);
  char *zero = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *file = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  char *shared =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char *of_file = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
  assert_true(of_file != MAP_FAILED && zero != MAP_FAILED && file != MAP_FAILED &&
              shared != MAP_FAILED);
  for (size_t i = 0; i < PAGES; i += 2) {
    assert_int_equal(((volatile char *)zero)[i * PAGE], 0);
    assert_int_equal(((volatile char *)of_file)[i * PAGE], 0);
    file[i * PAGE] = shared[i * PAGE] = 1;
  }
  residency_collect();
  uint64_t sum = header.end_rss_bytes, n = header.table[UL_MAPPINGS].count;
  assert_in_range(n, 10, ROWS);
  memcpy(by_runs, mappings, n * sizeof *mappings);
  mapping_forget();
  os_inject_faults("ioctl:1");
  residency_collect();
  assert_int_equal(header.table[UL_MAPPINGS].count, n);
  for (uint64_t i = 0; i < n; i++) {
    assert_int_equal(by_runs[i].start, mappings[i].start);
    assert_int_equal(by_runs[i].kind, mappings[i].kind);
    uint64_t ours = by_runs[i].kind == UL_MAP_ANONYMOUS ? 16 * PAGE : 0;
    assert_true(by_runs[i].rss <= mappings[i].rss + ours);
    assert_true(mappings[i].rss <= by_runs[i].rss + ours);
    if (by_runs[i].start == (uint64_t)zero) assert_int_equal(by_runs[i].rss, 0);
    if (by_runs[i].start == (uint64_t)shared) assert_int_equal(by_runs[i].rss, bytes / 2);
  }
  assert_true(sum <= header.end_rss_bytes + 32 * PAGE);
  munmap(of_file, bytes);
  munmap(zero, bytes);
  munmap(file, bytes);
  munmap(shared, bytes);
  close(fd);
}

/* Maps what there is room for above `below`, so that what is mapped next lies right
 * before it; if mappings come from above, as is usual. */
static NOINLINE int fill_holes_above(char *below, size_t bytes, void **fillers,
                                     int most) {
  enum { USE = PROT_READ | PROT_WRITE, KIND = MAP_PRIVATE | MAP_ANONYMOUS };
  for (int n = 0; n < most; n++) {
    char *lowest = fillers[n] = mmap(NULL, bytes, USE, KIND, -1, 0);
    assert_ptr_not_equal(lowest, MAP_FAILED);
    if (lowest > below) continue;
    char *end = lowest + bytes;
    if (end < below)
      mmap(end, (size_t)(below - end), USE, KIND | MAP_FIXED_NOREPLACE, -1, 0);
    munmap(lowest, bytes);
    return n;
  }
  return most;
}

/* What /proc says grows into memory beside the heap's while it is read. */
static void test_account_beside_the_heap(void **state) {
  (void)state;
  enum { TEXT_BYTES = 256 * 1024, MOST = 4096 };
  static void *fillers[MOST];
  int s = span(10 * UL_UNIT_BYTES, A);
  memset(blocks[s].start, 1, 3 * PAGE);
  int n = fill_holes_above(arenas[0]->base, TEXT_BYTES, fillers, MOST);
  residency_collect();
  uint64_t heap = 0;
  for (uint64_t i = 0; i < header.table[UL_MAPPINGS].count; i++)
    heap += mappings[i].heap_rss;
  assert_int_equal(heap, 3 * PAGE);
  while (n > 0)
    munmap(fillers[--n], TEXT_BYTES);
}

/* The scan goes by the map of the account before it: what was mapped since it does not
 * know, and what was unmapped it does not read. */
static void test_scan_by_the_map_of_the_account(void **state) {
  (void)state;
  enum { USE = PROT_READ | PROT_WRITE, KIND = MAP_PRIVATE | MAP_ANONYMOUS };
  char *gone = mmap(NULL, PAGE, USE, KIND, -1, 0), *since;
  assert_ptr_not_equal(gone, MAP_FAILED);
  root(0, block(40, A), 0);
  int late = block(40, B);
  residency_collect();
  assert_non_null(mapping_kept().text);
  munmap(gone, PAGE);
  since = mmap(gone + (1 << 30), PAGE, USE, KIND | MAP_FIXED_NOREPLACE, -1, 0);
  if (since == MAP_FAILED) skip();
  *(char **)since = blocks[late].start;
  scan();
  expect(A, UL_REACHABLE, 1, 40);
  expect(B, UL_DEFINITE, 1, 40);
  mapping_forget();
  scan();
  expect(B, UL_REACHABLE, 1, 40);
  munmap(since, PAGE);
}

static bool says_device(const char *line) {
  return mapping_of_device(line, line + strlen(line));
}

static void test_mappings_of_devices(void **state) {
  (void)state;
  assert_true(says_device("VmFlags: rd wr sh mr mw me ms pf io dc de dd \n"));
  assert_true(says_device("VmFlags: rd io\n"));
  assert_false(says_device("VmFlags: rd wr sh mr mw me ms sd \n"));
  assert_false(says_device("VmFlags:"));
  assert_false(says_device("Rss:         io pf kB\n"));
}

static void test_mappings_without_pagemap(void **state) {
  (void)state;
  int l = large(4 << 20, A);
  memset(blocks[l].start, 1, 1 << 20);
  os_inject_faults("open:1");
  residency_collect();
  assert_int_equal(header.residency, UL_EVIDENCE_MINCORE);
  assert_int_equal(larges[0]->record->resident_bytes, 1 << 20);
  assert_int_equal(larges[0]->record->resident_end, 1 << 20);
}

static void test_pages_that_cannot_be_told(void **state) {
  (void)state;
  large(4 << 20, A);
  os_inject_faults("pread:1,mincore:1");
  residency_collect();
  assert_int_equal(header.residency, UL_EVIDENCE_NONE);
}

static void test_mappings_that_cannot_be_read(void **state) {
  (void)state;
  os_inject_faults("open:2");
  residency_collect();
  assert_int_equal(header.end_rss_bytes, 0);
  assert_true(header.most_rss_bytes >= 1 << 20);
  assert_int_equal(header.fallbacks[UL_FB_RSS_UNKNOWN], 1);
  os_inject_faults("open:3");
  residency_collect();
  assert_true(header.most_rss_bytes == 0 && header.end_rss_bytes);
  assert_int_equal(header.fallbacks[UL_FB_RSS_UNKNOWN], 2);
  os_inject_faults("open:1");
  assert_int_equal(residency_rss(), 0);
  assert_int_equal(header.fallbacks[UL_FB_RSS_UNKNOWN], 3);
}

static void test_writes(void **state) {
  (void)state;
  int l = large(4 << 20, A);
  memset(blocks[l].start, 1, 4 << 20);
  bool works = residency_mark_writes();
  assert_int_equal(header.writes, works ? UL_EVIDENCE_PAGEMAP : UL_EVIDENCE_NONE);
  blocks[l].start[5 * PAGE] = 2;
  residency_collect();
  assert_int_equal(larges[0]->record->written_bytes, works ? PAGE : 0);
  print_message("soft-dirty pages: %s\n", works ? "yes" : "not in this kernel");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      /* First: run late, a few of their many blocks were more often found to be held.
       * Probably libc or the sanitizer keep pointers to what other tests have unmapped,
       * and the blocks come to lie there. */
      TEST(test_long_lists),
      TEST(test_failures),
      TEST(test_processors_agree),
      TEST(test_processors_agree_of_long_blocks),
      TEST(test_processors_that_are_refused),
      TEST(test_speed),
      TEST(test_definite),
      TEST(test_empty_heap),
      TEST(test_indirect_chain),
      TEST(test_chain_backwards),
      TEST(test_cycle_is_led_by_the_stack_seen_first),
      TEST(test_self_pointer),
      TEST(test_linked_cycles),
      TEST(test_linked_cycles_older_inside),
      TEST(test_cycle_below_a_leader),
      TEST(test_random_graphs),
      TEST(test_possible),
      TEST(test_pointer_in_the_slack),
      TEST(test_start_beats_interior),
      TEST(test_one_past_the_end),
      TEST(test_free_blocks_hold_nothing),
      TEST(test_unrecorded_pool_is_a_root),
      TEST(test_spans_and_larges),
      TEST(test_every_class_every_block),
      TEST(test_ages),
      TEST(test_stale_words_lead_nobody),
      TEST(test_a_few_dangling_pointers_prove_nothing),
      TEST(test_verdict_of_each_block),
      TEST(test_who_drags_whom),
      TEST(test_limit),
      TEST(test_stdstring),
      TEST(test_length64),
      TEST(test_newarray),
      TEST(test_multiple_inheritance),
      TEST(test_rescued_only_if_nothing_else),
      TEST(test_rescued_by_the_first_that_fits),
      TEST(test_constant_offset),
      TEST(test_constant_offset_can_be_left_out),
      TEST(test_offset_of_a_few),
      TEST(test_offsets_in_any_order),
      TEST(test_pieces_are_no_handles),
      TEST(test_offset_within_the_block),
      TEST(test_offset_from_lost_blocks),
      TEST(test_held_by_anonymous_mapping_only),
      TEST(test_held_by_shared_mapping),
      TEST(test_most_roots_are_read_last),
      TEST(test_own_blocks_only),
      TEST(test_memory_given_back_meanwhile),
      TEST(test_untouched_pages_of_blocks),
      TEST(test_sparse_mapping),
      TEST(test_file_that_was_cut),
      TEST(test_the_scan_leaves_no_trace),
      TEST(test_unreadable_pages_inside_blocks),
      TEST(test_nothing_is_read_that_decides_nothing),
      TEST(test_long_blocks_are_read_to_their_end),
      TEST(test_slack_is_not_read),
      TEST(test_loader_blocks_are_roots),
      TEST(test_threads),
      TEST(test_registers),
      TEST(test_vector_registers),
      TEST(test_stacks_for_signals),
      TEST(test_zeros_behind_a_text),
      TEST(test_dead_thread),
      TEST(test_stack_in_a_block),
      TEST(test_freeze_amid_births),
      TEST(test_freeze_has_a_limit),
      TEST(test_single_thread_is_left_alone),
      TEST(test_program_does_not_notice),
      TEST(test_in_a_forked_child),
      TEST(test_second_scan_replaces_the_first),
      TEST(test_mappings),
      TEST(test_mappings_by_runs),
      TEST(test_account_beside_the_heap),
      TEST(test_scan_by_the_map_of_the_account),
      TEST(test_mappings_of_devices),
      TEST(test_mappings_without_pagemap),
      TEST(test_pages_that_cannot_be_told),
      TEST(test_mappings_that_cannot_be_read),
      TEST(test_writes),
  };
  reach_lodges = argc < 2 || strcmp(argv[1], "copy") != 0;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
