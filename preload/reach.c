/* reach.c - a conservative mark over a frozen copy of the process.
 *
 * The copy. A raw clone without an exit signal: no SIGCHLD, no atfork handlers,
 * invisible to the program's wait(); with CLONE_FILES, so that the copy's end closes no
 * file of the program. All private memory is the copy's own, also our descriptors:
 * pool->next and large->next hold the blocks' states here. The recording is shared
 * and goes on changing when the program's threads run again, so the copy first takes a
 * copy of the ledger, and reach_begin returns only then. Results come back in a shared
 * mapping, and the program's process stores them: the copy takes no lock (its
 * holder may not exist here).
 *
 * Memory that cannot be read (PROT_NONE pages inside a block, a file that was cut)
 * faults; our handler puts zero pages in its place, in the copy, and the load is tried
 * again.
 *
 * Marking. A word is a pointer to a block if it points to its start, or, as an interior
 * pointer, to any of its requested bytes; so one past the end is none. Each block has a
 * state, a byte:
 *
 *   dead         not in the ledger: free, or never recorded
 *   unreached    live; every block begins as this
 *   possible     only interior pointers so far
 *   reachable    a chain of start pointers leads here from a root; an interior pointer
 *                that fits a heuristic is as good as a start pointer
 *   held         an interior pointer leads here from a block that is possible, or any
 *                pointer from a held one: the verdict is possible, too
 *   seen         unreached, and visited by pass 1
 *   indirect, definite
 *
 * 1. From the roots: mark reachable (and possible) what can be reached.
 * 2. From each possible block: all that can be reached is held.
 * 3. Of what is unreached find the leaders: a smallest set of blocks from which
 *    all of it can be reached. Think of the strongly connected components of the
 *    unreached blocks: each component that no other leads to (a source) needs one
 *    leader, and then everything is reached. Two passes find them without
 *    computing components:
 *      pass 1  for each block in order, if it is not seen: it is a candidate, and all
 *              that is reached from it is seen;
 *      pass 2  for each candidate in reverse order, if it is not reached in this pass: it
 *              is a leader, and all that is newly reached from it is indirect.
 *    A source has exactly one candidate: its first block in the order, for it is
 *    not seen from outside, and the rest of it is seen from that block. A candidate c of
 *    another component is reached from some source, whose candidate s comes after c
 *    (else c would have been seen from s); so in reverse order s comes first and c is
 *    reached. The order is by birth: the leader of a cycle is its oldest block.
 *
 * The work list is a stack of addresses in chunks. When there is no memory for another
 * chunk the address is dropped, and when the stack has run empty all blocks visited in
 * this step are scanned again: slow, but it needs nothing. */
#include "reach.h"

#include "map.h"
#include "mapping.h"
#include "os.h"
#include "roots.h"
#include "say.h"
#include "table.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The scan reads whatever is there, red zones too. */
#define READS_ANYTHING __attribute__((no_sanitize("address")))

enum { PAGE = 4096 };

enum block_state {
  DEAD,
  UNREACHED,
  POSSIBLE,
  HELD,
  SEEN,
  INDIRECT,
  DEFINITE,
  REACHABLE,
  REACHABLE_BY /* + enum ul_heuristic */
};

enum phase { PHASE_COPYING, PHASE_SCANNING, PHASE_DONE, PHASE_FAILED };

/* Shared between the program and the copy. */
struct result {
  _Atomic uint32_t phase; /* a futex */
  int error;
  struct ul_scan scan;
  int pagemap; /* of the copy; < 0: none. The original closes it, even if the copy dies */
  uint32_t rows_used, rows_capacity;
  struct ul_leak rows[];
};

/* In the program: the scan under way. */
static struct {
  struct result *result;
  size_t bytes;
  uint64_t begun_ns;
} job;

/* In the copy: everything about the scan. */
static struct {
  struct result *result;
  const struct thread_set *threads;
  uintptr_t sp, tcb;
  int pagemap;           /* of the program; < 0: none */
  uintptr_t low, extent; /* all of the heap lies in [low, low + extent) */
  uint32_t sites;
  bool *holds;           /* by site: blocks are roots (dynamic TLS) */
  uint32_t *row_of;      /* by site and verdict: index of its row + 1 */
  struct ul_leak leader; /* what the current leader drags along */
} scan;

static _Noreturn void give_up(int error) {
  scan.result->error = error;
  atomic_store(&scan.result->phase, PHASE_FAILED);
  syscall(SYS_exit_group, 1);
  __builtin_unreachable();
}

static void *scratch(size_t bytes) {
  void *p = os_map((bytes + PAGE) & ~(size_t)(PAGE - 1), PAGE, OS_TOOL);
  if (!p) give_up(ENOMEM);
  return p;
}

/* ---- blocks -------------------------------------------------------------------- */

/* A live block. */
struct found {
  uint8_t *state;
  uintptr_t start;
  const uint64_t *entry;
  size_t requested, usable;
};

bool reach_scan_slack;

static inline uint8_t *pool_states(const struct pool *p) {
  return (uint8_t *)p->next;
}
static inline uint8_t *large_state(const struct large *l) {
  return (uint8_t *)l->next;
}

static size_t requested_in_pool(const struct pool *p, const uint64_t *entry) {
  if (p->class == UL_SPAN) return entry[1] < p->size ? entry[1] : p->size;
  uint32_t slack = ul_entry_slack(*entry);
  return slack < p->size ? p->size - slack : 0;
}

static bool find_in_pool(const struct pool *p, uint32_t i, struct found *f) {
  f->state = pool_states(p) + i;
  if (*f->state == DEAD) return false;
  f->start = (uintptr_t)p->base + (uintptr_t)i * p->size;
  f->entry = &p->entries[i];
  f->requested = requested_in_pool(p, f->entry);
  f->usable = p->size;
  return true;
}

static bool find_large(const struct large *l, struct found *f) {
  f->state = large_state(l);
  if (!f->state || *f->state == DEAD) return false;
  f->start = (uintptr_t)l->base;
  f->entry = &l->record->entry;
  f->requested =
      l->record->requested_bytes < l->mapped ? l->record->requested_bytes : l->mapped;
  f->usable = l->mapped;
  return true;
}

/* The live block around an address. */
static bool find(uintptr_t address, struct found *f) {
  map_slot s = map_lookup((void *)address);
  if (!s) return false;
  if (map_is_large(s)) return find_large(map_large(s), f);
  const struct arena *a = map_arena(s);
  const struct pool *p =
      &a->pools[a->head[(address & (UL_ARENA_BYTES - 1)) / UL_UNIT_BYTES]];
  if (!pool_states(p)) return false;
  uint64_t offset = address - (uintptr_t)p->base;
  if (offset >= p->end) return false;
  uint32_t i = (uint32_t)(offset * p->recip >> 32);
  if ((uint64_t)i * p->size > offset) i--;
  return find_in_pool(p, i, f);
}

static void each_in_arena(const struct arena *a, void (*visit)(const struct found *)) {
  struct found f;
  for (unsigned u = 0; u < UL_UNITS; u++) {
    const struct pool *p = &a->pools[u];
    if (a->head[u] != u || !pool_states(p)) continue;
    for (uint32_t i = 0, n = p->end / p->size; i < n; i++)
      if (find_in_pool(p, i, &f)) visit(&f);
  }
}

static void each_block(void (*visit)(const struct found *)) {
  struct found f;
  uintptr_t at = 0;
  for (map_slot s; (s = mapping_next_slot(&at)); at += UL_ARENA_BYTES) {
    if (!map_is_large(s))
      each_in_arena(map_arena(s), visit);
    else if ((uintptr_t)map_large(s)->base == at && find_large(map_large(s), &f))
      visit(&f);
  }
}

/* ---- the ledger's copy, and the states ----------------------------------------- */

/* Is the pool at the head unit u in order? Its owner may have been stopped anywhere. */
static bool pool_in_use(const struct arena *a, unsigned u) {
  const struct pool *p = &a->pools[u];
  if (a->free_units >> u & 1 || a->head[u] != u) return false;
  if (p->units == 0 || u + p->units > UL_UNITS || p->size == 0) return false;
  return p->base == a->base + u * UL_UNIT_BYTES && p->end <= p->units * UL_UNIT_BYTES;
}

static void note_live(uint8_t *states, const uint64_t *entries, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (entries[i]) states[i] = UNREACHED;
}

/* Memory for states and copies of entries, in pieces that serve many pools. */
static void *carve(size_t bytes) {
  enum { PIECE = 4 << 20 };
  static char *next, *end;
  bytes = (bytes + 15) & ~(size_t)15;
  if ((size_t)(end - next) < bytes) {
    size_t piece = bytes > PIECE ? bytes : PIECE;
    next = scratch(piece);
    end = next + piece;
  }
  next += bytes;
  return next - bytes;
}

/* Only other threads can change the ledger while we look. */
static bool ledger_moves(void) {
  return scan.threads->count > 0 || !scan.threads->complete;
}

static void prepare_pool(struct pool *p) {
  uint32_t n = p->end / p->size;
  if (ledger_moves()) {
    size_t bytes = (p->class == UL_SPAN ? n + 1 : n) * sizeof *p->entries;
    p->entries = memcpy(carve(bytes), p->entries, bytes);
  }
  uint8_t *states = carve(n);
  note_live(states, p->entries, n);
  p->next = (struct pool *)states;
}

static void prepare_arena(struct arena *a) {
  for (unsigned u = 0; u < UL_UNITS;) {
    struct pool *p = &a->pools[u];
    if (!pool_in_use(a, u)) {
      a->head[u] = (uint8_t)u;
      p->next = NULL;
      p->entries = NULL;
      p->units = 0;
      u++;
      continue;
    }
    p->next = NULL;
    if (p->entries) prepare_pool(p);
    u += p->units;
  }
}

static void prepare_large(struct large *l) {
  l->next = NULL;
  if (!l->in_use || !l->record) return;
  if (ledger_moves())
    l->record = memcpy(carve(sizeof *l->record), l->record, sizeof *l->record);
  uint8_t *state = carve(1);
  note_live(state, &l->record->entry, 1);
  l->next = (struct large *)state;
}

static void prepare_blocks(void) {
  uintptr_t at = 0, high = 0;
  for (map_slot s; (s = mapping_next_slot(&at)); at += UL_ARENA_BYTES) {
    if (!scan.low) scan.low = at;
    high = at + UL_ARENA_BYTES;
    if (!map_is_large(s))
      prepare_arena(map_arena(s));
    else if ((uintptr_t)map_large(s)->base == at)
      prepare_large(map_large(s));
  }
  scan.extent = high - scan.low;
}

/* ---- the work list ------------------------------------------------------------- */

enum { CHUNK_BYTES = 1 << 20 };
struct chunk {
  struct chunk *below;
  size_t used;
  uintptr_t items[CHUNK_BYTES / sizeof(uintptr_t) - 2];
};
static struct chunk *top, *spare;
static bool dropped; /* an address did not fit */

static bool grow_stack(void) {
  struct chunk *c = spare ? spare : os_map(sizeof *c, PAGE, OS_TOOL);
  spare = NULL;
  if (!c) return false;
  c->below = top;
  c->used = 0;
  top = c;
  return true;
}

static void push(uintptr_t start) {
  if (top->used == sizeof top->items / sizeof *top->items && !grow_stack()) {
    dropped = true;
    return;
  }
  top->items[top->used++] = start;
}

/* 0: empty. The lowest chunk stays. */
static uintptr_t pop(void) {
  if (top->used == 0) {
    if (!top->below) return 0;
    struct chunk *empty = top;
    top = top->below;
    if (spare) os_unmap(spare, sizeof *spare, OS_TOOL);
    spare = empty;
  }
  return top->items[--top->used];
}

/* ---- scanning memory ----------------------------------------------------------- */

/* What a step does about a pointer to a block, `offset` bytes from its start; and which
 * state says that it has visited a block. */
static void (*meet)(const struct found *f, uintptr_t offset);
static bool (*visited)(uint8_t state);

static READS_ANYTHING void candidate(uintptr_t word) {
  struct found f;
  if (!find(word, &f)) return;
  uintptr_t offset = word - f.start;
  if (offset == 0 || offset < f.requested) meet(&f, offset);
}

static READS_ANYTHING void scan_words(uintptr_t start, uintptr_t end) {
  const uintptr_t low = scan.low, extent = scan.extent;
  const uintptr_t *p = (const uintptr_t *)((start + 7) & ~(uintptr_t)7);
  const uintptr_t *stop = (const uintptr_t *)(end & ~(uintptr_t)7);
  for (; p + 4 <= stop; p += 4) {
    uintptr_t a = p[0], b = p[1], c = p[2], d = p[3];
    if (LIKELY((a - low >= extent) & (b - low >= extent) & (c - low >= extent) &
               (d - low >= extent)))
      continue;
    if (a - low < extent) candidate(a);
    if (b - low < extent) candidate(b);
    if (c - low < extent) candidate(c);
    if (d - low < extent) candidate(d);
  }
  for (; p < stop; p++)
    if (*p - low < extent) candidate(*p);
}

static struct pagemaps pagemaps(void) {
  return (struct pagemaps){.copy = scan.result->pagemap, .original = scan.pagemap};
}

static void scan_block(const struct found *f) {
  uintptr_t end = f->start + (reach_scan_slack ? f->usable : f->requested);
  if (end - f->start >= UL_ARENA_BYTES)
    roots_touched(f->start, end, pagemaps(), scan_words);
  else
    scan_words(f->start, end);
}

static void drain_stack(void) {
  struct found f;
  for (uintptr_t start; (start = pop());)
    if (find(start, &f)) scan_block(&f);
}

static void scan_again(const struct found *f) {
  if (!visited(*f->state)) return;
  scan_block(f);
  drain_stack();
}

static void drain(void) {
  drain_stack();
  while (UNLIKELY(dropped)) {
    dropped = false;
    each_block(scan_again);
  }
}

static void mark(const struct found *f, uint8_t state) {
  *f->state = state;
  push(f->start);
}

/* ---- the heuristics: which interior pointers C++ programs use ------------------ */

static READS_ANYTHING uintptr_t word_at(uintptr_t address) {
  return *(const uintptr_t *)address;
}

static bool in_code(uintptr_t address) {
  const struct region *r = roots_region(address);
  return r && r->execute;
}

/* Does it look like a table of virtual functions: in a file's mapping, and of its first
 * 20 words two point to code and none elsewhere? */
static bool is_vtable(uintptr_t address) {
  enum { WORDS = 20 };
  if (address % sizeof(uintptr_t) || address < PAGE) return false;
  const struct region *r = roots_region(address);
  if (!r || !r->read || !r->file) return false;
  unsigned functions = 0;
  for (int i = 0; i < WORDS && address < r->end; i++, address += sizeof(uintptr_t)) {
    uintptr_t word = word_at(address);
    if (word == 0) continue;
    if (!in_code(word)) return false;
    if (++functions == 2) return true;
  }
  return false;
}

/* std::string before C++11: {length, capacity, references}, then the characters. */
static bool is_stdstring(const struct found *f, uintptr_t offset) {
  const size_t head = 3 * sizeof(size_t);
  if (offset != head) return false;
  size_t length = word_at(f->start), capacity = word_at(f->start + sizeof(size_t));
  return length <= capacity && f->requested == head + capacity + 1;
}

/* A block that begins with the size of the rest. */
static bool is_length64(const struct found *f, uintptr_t offset) {
  if (offset != sizeof(uint64_t)) return false;
  uint64_t length = word_at(f->start);
  return length > 0 && length == f->requested - sizeof(uint64_t);
}

/* new[] of objects with a destructor: their number, then the objects. */
static bool is_newarray(const struct found *f, uintptr_t offset) {
  if (offset != sizeof(size_t)) return false;
  size_t objects = word_at(f->start);
  return objects > 0 && (f->requested - sizeof(size_t)) % objects == 0;
}

/* A pointer to a base class that is not the first: there is another table pointer. */
static bool is_base(const struct found *f, uintptr_t offset) {
  if (offset % sizeof(uintptr_t) || f->requested < offset + sizeof(uintptr_t))
    return false;
  return is_vtable(word_at(f->start)) && is_vtable(word_at(f->start + offset));
}

/* UL_HEURISTICS: none fits. */
static enum ul_heuristic heuristic(const struct found *f, uintptr_t offset) {
  if (is_stdstring(f, offset)) return UL_STDSTRING;
  if (is_length64(f, offset)) return UL_LENGTH64;
  if (is_newarray(f, offset)) return UL_NEWARRAY;
  return is_base(f, offset) ? UL_MULTIPLE_INHERITANCE : UL_HEURISTICS;
}

/* ---- step 1: from the roots ---------------------------------------------------- */

static bool is_reachable(uint8_t state) {
  return state >= REACHABLE;
}

static void meet_strong(const struct found *f, uintptr_t offset) {
  uint8_t state = *f->state;
  if (offset == 0) {
    if (state == UNREACHED || state == POSSIBLE)
      mark(f, REACHABLE);
    else
      *f->state = REACHABLE; /* not rescued after all */
    return;
  }
  if (is_reachable(state)) return;
  enum ul_heuristic h = heuristic(f, offset);
  if (h != UL_HEURISTICS)
    mark(f, (uint8_t)(REACHABLE_BY + h));
  else
    *f->state = POSSIBLE;
}

static void scan_root(uintptr_t start, uintptr_t end) {
  if (end > start) scan.result->scan.root_bytes += end - start;
  scan_words(start, end);
  drain();
}

static void keep(const struct found *f) {
  if (is_reachable(*f->state)) return;
  mark(f, REACHABLE);
  drain();
}

static void keep_if_held_by_loader(const struct found *f) {
  uint32_t site = ul_entry_site(*f->entry);
  if (site < scan.sites && scan.holds[site]) keep(f);
}

/* A block that a stack pointer points into is a stack of the program's own making. */
static void keep_stack(uintptr_t sp) {
  struct found f;
  if (sp && find(sp, &f)) keep(&f);
}

static void scan_unrecorded(void) {
  uintptr_t at = 0;
  for (map_slot s; (s = mapping_next_slot(&at)); at += UL_ARENA_BYTES) {
    if (map_is_large(s)) {
      const struct large *l = map_large(s);
      if ((uintptr_t)l->base == at && l->in_use && !l->record)
        roots_touched(at, at + l->mapped, pagemaps(), scan_root);
      continue;
    }
    const struct arena *a = map_arena(s);
    for (unsigned u = 0; u < UL_UNITS; u++) {
      const struct pool *p = &a->pools[u];
      if (a->head[u] == u && p->units && !p->entries)
        scan_root((uintptr_t)p->base, (uintptr_t)p->base + p->virgin);
    }
  }
}

/* Sites whose blocks are roots: allocated from within the loader (dynamic TLS, to which
 * only thread control blocks lead, by interior pointers), by ullage's libraries, or
 * before stacks could be had, where nobody could be named anyway. */
static void find_holders(void) {
  scan.holds = scratch(scan.sites);
  scan.holds[UL_SITE_EARLY] = scan.holds[UL_SITE_ULLAGE] = true;
  uint64_t nodes = table_count(UL_NODES);
  for (uint32_t i = UL_SITE_RESERVED; i < scan.sites && i < table_count(UL_SITES); i++) {
    const struct ul_site *site = table_at(UL_SITES, i);
    if (site->node < UL_NODE_RESERVED || site->node >= nodes) continue;
    const struct ul_node *node = table_at(UL_NODES, site->node);
    scan.holds[i] = roots_in_loader(node->address);
  }
}

static void step_roots(void) {
  meet = meet_strong;
  visited = is_reachable;
  find_holders();
  each_block(keep_if_held_by_loader);
  keep_stack(scan.sp);
  for (unsigned i = 0; i < scan.threads->count; i++)
    keep_stack(scan.threads->threads[i].sp);
  roots_each(scan.threads, scan.sp, scan.tcb, pagemaps(), scan_root);
  scan_unrecorded();
}

/* ---- step 2: what possible blocks hold ----------------------------------------- */

static bool is_held(uint8_t state) {
  return state == HELD;
}

static void meet_held(const struct found *f, uintptr_t offset) {
  (void)offset;
  if (*f->state == UNREACHED || *f->state == POSSIBLE) mark(f, HELD);
}

static void hold_possible(const struct found *f) {
  if (*f->state != POSSIBLE) return;
  mark(f, HELD);
  drain();
}

static void step_possible(void) {
  meet = meet_held;
  visited = is_held;
  each_block(hold_possible);
}

/* ---- step 3: leaders ----------------------------------------------------------- */

/* The unreached blocks, by birth: a counting sort, two walks over all blocks. */
static struct {
  uintptr_t *blocks;
  uint64_t count;
  uint64_t *next; /* by bucket of births */
  uint32_t first_birth, last_birth;
  unsigned shift;
} lost;

enum { BUCKETS_MAX = 1 << 20 };

static uint32_t bucket_of(const struct found *f) {
  return (ul_entry_birth(*f->entry) - lost.first_birth) >> lost.shift;
}

static void bound_births(const struct found *f) {
  if (*f->state != UNREACHED) return;
  uint32_t birth = ul_entry_birth(*f->entry);
  if (lost.count++ == 0) lost.first_birth = lost.last_birth = birth;
  if (birth < lost.first_birth) lost.first_birth = birth;
  if (birth > lost.last_birth) lost.last_birth = birth;
}

static void count_birth(const struct found *f) {
  if (*f->state == UNREACHED) lost.next[bucket_of(f) + 1]++;
}

static void place_by_birth(const struct found *f) {
  if (*f->state == UNREACHED) lost.blocks[lost.next[bucket_of(f)]++] = f->start;
}

static void sort_lost(void) {
  lost.count = 0;
  each_block(bound_births);
  if (lost.count == 0) return;
  uint32_t span = lost.last_birth - lost.first_birth;
  for (lost.shift = 0; span >> lost.shift >= BUCKETS_MAX;)
    lost.shift++;
  uint32_t buckets = (span >> lost.shift) + 1;
  lost.next = scratch((buckets + 1) * sizeof *lost.next);
  lost.blocks = scratch(lost.count * sizeof *lost.blocks);
  each_block(count_birth);
  for (uint32_t i = 1; i <= buckets; i++)
    lost.next[i] += lost.next[i - 1];
  each_block(place_by_birth);
}

static bool is_seen(uint8_t state) {
  return state == SEEN;
}

static void meet_unseen(const struct found *f, uintptr_t offset) {
  (void)offset;
  if (*f->state == UNREACHED) mark(f, SEEN);
}

/* Leaves the candidates, in order, at the front of lost.blocks; returns how many. */
static uint64_t find_candidates(void) {
  uint64_t candidates = 0;
  meet = meet_unseen;
  visited = is_seen;
  for (uint64_t i = 0; i < lost.count; i++) {
    struct found f;
    if (!find(lost.blocks[i], &f) || *f.state != UNREACHED) continue;
    lost.blocks[candidates++] = f.start;
    mark(&f, SEEN);
    drain();
  }
  return candidates;
}

static bool is_lost(uint8_t state) {
  return state == INDIRECT || state == DEFINITE;
}

static void meet_lost(const struct found *f, uintptr_t offset) {
  (void)offset;
  if (*f->state != SEEN) return;
  scan.leader.indirect_blocks++;
  scan.leader.indirect_bytes += f->requested;
  mark(f, INDIRECT);
}

static struct ul_leak *row_for(uint32_t site, enum ul_verdict verdict) {
  if (site >= scan.sites) site = UL_SITE_NO_STACK;
  struct result *r = scan.result;
  uint32_t *index = &scan.row_of[site * (UL_VERDICTS - 1) + verdict - 1];
  if (*index == 0) {
    if (r->rows_used == r->rows_capacity) give_up(ENOSPC);
    *index = ++r->rows_used;
    r->rows[*index - 1].site = site;
    r->rows[*index - 1].verdict = verdict;
  }
  return &r->rows[*index - 1];
}

static void choose_leaders(uint64_t candidates) {
  meet = meet_lost;
  visited = is_lost;
  while (candidates--) {
    struct found f;
    if (!find(lost.blocks[candidates], &f) || *f.state != SEEN) continue;
    scan.leader = (struct ul_leak){0};
    mark(&f, DEFINITE);
    drain();
    struct ul_leak *row = row_for(ul_entry_site(*f.entry), UL_DEFINITE);
    row->indirect_blocks += scan.leader.indirect_blocks;
    row->indirect_bytes += scan.leader.indirect_bytes;
  }
}

static void step_lost(void) {
  sort_lost();
  choose_leaders(find_candidates());
}

/* ---- results ------------------------------------------------------------------- */

static enum ul_verdict verdict_of(uint8_t state) {
  if (is_reachable(state)) return UL_REACHABLE;
  if (state == POSSIBLE || state == HELD) return UL_POSSIBLE;
  return state == DEFINITE ? UL_DEFINITE : UL_INDIRECT;
}

static void tell(const struct found *f) {
  enum ul_verdict verdict = verdict_of(*f->state);
  struct ul_scan *s = &scan.result->scan;
  struct ul_leak *row = row_for(ul_entry_site(*f->entry), verdict);
  uint32_t birth = ul_entry_birth(*f->entry);
  if (row->blocks == 0 || birth < row->oldest_birth) {
    row->oldest_birth = birth;
    row->example = f->start;
  }
  if (birth > row->newest_birth) row->newest_birth = birth;
  row->blocks++;
  row->bytes += f->requested;
  s->heap_bytes += f->requested;
  s->totals[verdict].blocks++;
  s->totals[verdict].bytes += f->requested;
  if (*f->state < REACHABLE_BY) return;
  s->rescued[*f->state - REACHABLE_BY].blocks++;
  s->rescued[*f->state - REACHABLE_BY].bytes += f->requested;
}

/* ---- the copy ------------------------------------------------------------------ */

/* A load that faults finds zeros when it is tried again: up to the end of the mapping if
 * all of that is unreadable, else one page. */
static void unreadable(int sig, siginfo_t *info, void *context) {
  (void)context;
  uintptr_t page = (uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1);
  const struct region *r = roots_region(page);
  uintptr_t end = page + PAGE;
  if (sig == SIGSEGV && r && !r->read) end = r->end;
  long at = syscall(SYS_mmap, page, end - page, PROT_READ,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  if (at == -1) give_up(EFAULT);
  scan.result->scan.unreadable_pages += (end - page) / PAGE;
}

static void catch_faults(void) {
  enum { STACK_BYTES = 64 * 1024 };
  stack_t stack = {.ss_sp = scratch(STACK_BYTES), .ss_size = STACK_BYTES};
  uint64_t blocked = ~(UINT64_C(1) << (SIGSEGV - 1) | UINT64_C(1) << (SIGBUS - 1));
  syscall(SYS_sigaltstack, &stack, NULL);
  freeze_handle(SIGSEGV, unreadable);
  freeze_handle(SIGBUS, unreadable);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof blocked);
}

/* The program may have used up its descriptors; the limit is the copy's own. */
static void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static void wake(void) {
  syscall(SYS_futex, &scan.result->phase, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* What must be done before the program's threads may run on. */
static void copy_state(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  catch_faults();
  raise_file_limit();
  scan.result->pagemap = mapping_pagemap_open();
  if (!roots_load()) give_up(EIO);
  prepare_blocks();
  atomic_store(&scan.result->phase, PHASE_SCANNING);
  wake();
}

/* Not inlined: its own variables must lie below the stack pointer that was captured. */
static _Noreturn __attribute__((noinline)) void run_scan(void) {
  copy_state();
  scan.row_of = scratch((size_t)scan.sites * (UL_VERDICTS - 1) * sizeof *scan.row_of);
  if (!grow_stack()) give_up(ENOMEM);
  step_roots();
  step_possible();
  step_lost();
  each_block(tell);
  atomic_store(&scan.result->phase, PHASE_DONE);
  syscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

/* ---- the program --------------------------------------------------------------- */

static void fail(int error) {
  recording->scan.error = error;
  recording->scan.state = UL_SCAN_FAILED;
}

/* Address space for all rows there can be; the pages come as they are used. */
static bool map_result(uint32_t sites) {
  size_t rows = (size_t)sites * (UL_VERDICTS - 1);
  job.bytes = (sizeof *job.result + rows * sizeof(struct ul_leak) + PAGE - 1) &
              ~(size_t)(PAGE - 1);
  if (os_injected(OS_OP_MMAP)) return false;
  void *p = mmap(NULL, job.bytes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return false;
  job.result = p;
  job.result->rows_capacity = (uint32_t)rows;
  job.result->pagemap = -1;
  return true;
}

/* The copy shares our descriptors (CLONE_FILES): not before it has ended. */
static void let_go(void) {
  if (scan.pagemap >= 0) os_close(scan.pagemap);
  scan.pagemap = -1;
  if (job.result->pagemap >= 0) os_close(job.result->pagemap);
  munmap(job.result, job.bytes);
}

static bool has_ended(int child) {
  siginfo_t info = {0};
  int r = waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT | __WALL);
  return r != 0 || info.si_pid == child;
}

/* Until the copy no longer looks at what the program shares with it, or is dead. */
static void wait_for_copy(int child) {
  const struct timespec slice = {.tv_nsec = 20 * 1000000};
  while (atomic_load(&job.result->phase) == PHASE_COPYING && !has_ended(child))
    syscall(SYS_futex, &job.result->phase, FUTEX_WAIT, PHASE_COPYING, &slice, NULL, 0);
}

struct registers {
  uintptr_t rbx, rbp, r12, r13, r14, r15, sp;
};

/* What the caller keeps in registers over a call; the others it has saved itself. */
#define CAPTURE(r)                                                                       \
  __asm__ volatile("movq %%rbx, %0\n\tmovq %%rbp, %1\n\tmovq %%r12, %2\n\t"              \
                   "movq %%r13, %3\n\tmovq %%r14, %4\n\tmovq %%r15, %5\n\t"              \
                   "movq %%rsp, %6"                                                      \
                   : "=m"((r).rbx), "=m"((r).rbp), "=m"((r).r12), "=m"((r).r13),         \
                     "=m"((r).r14), "=m"((r).r15), "=m"((r).sp))

static uintptr_t thread_pointer(void) {
  uintptr_t tcb = 0;
  syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &tcb);
  return tcb;
}

/* The clone's pid, or -errno. In the copy it does not return. */
static __attribute__((noinline)) long clone_and_scan(const struct thread_set *threads,
                                                     uint32_t sites) {
  volatile struct registers registers;
  CAPTURE(registers);
  scan.result = job.result;
  scan.threads = threads;
  scan.sites = sites;
  scan.sp = registers.sp;
  scan.tcb = thread_pointer();
  scan.pagemap = mapping_pagemap_open();
  if (os_injected(OS_OP_FORK)) return -EAGAIN;
  long child = syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0);
  if (child == 0) run_scan();
  long result = child < 0 ? -errno : child;
  return result;
}

static int begin(const struct thread_set *threads) {
  uint32_t sites = (uint32_t)table_count(UL_SITES);
  if (sites < UL_SITE_RESERVED) sites = UL_SITE_RESERVED;
  job.begun_ns = os_monotonic_ns();
  recording->scan = (struct ul_scan){
      .state = UL_SCAN_RUNNING,
      .at_ms = (job.begun_ns - recording->start_mono_ns) / 1000000,
  };
  if (!map_result(sites)) {
    fail(ENOMEM);
    return 0;
  }
  long child = clone_and_scan(threads, sites);
  if (child > 0) wait_for_copy((int)child);
  if (child > 0) return (int)child;
  fail((int)-child);
  let_go();
  return 0;
}

/* No signal handler of the program may run in the copy. */
int reach_begin(const struct thread_set *threads) {
  if (!recording) return 0;
  int saved = errno;
  uint64_t all = ~UINT64_C(0), mask = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, sizeof mask);
  int child = begin(threads);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
  if (child) {
    recording->scan.threads = 1 + threads->stopped + threads->unstopped;
    recording->scan.threads_unstopped = threads->unstopped;
  }
  errno = saved;
  return child;
}

static void store_results(void) {
  const struct result *r = job.result;
  struct ul_leak *rows = mapping_replace_rows(UL_LEAKS, r->rows_used);
  if (!rows && r->rows_used) return fail(ENOSPC);
  if (r->rows_used) memcpy(rows, r->rows, r->rows_used * sizeof *rows);
  struct ul_scan *s = &recording->scan;
  s->root_bytes = r->scan.root_bytes;
  s->heap_bytes = r->scan.heap_bytes;
  s->unreadable_pages = r->scan.unreadable_pages;
  memcpy(s->totals, r->scan.totals, sizeof s->totals);
  memcpy(s->rescued, r->scan.rescued, sizeof s->rescued);
  s->took_us = (os_monotonic_ns() - job.begun_ns) / 1000;
  __atomic_store_n(&s->state, UL_SCAN_DONE, __ATOMIC_RELEASE);
}

enum { PATIENCE_MS = 3000 };

/* The program is otherwise done, so whoever waits for it should know what for. */
static void say_if_it_takes_long(int child) {
  static bool said;
  struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
  if (end.fd < 0) return;
  if (poll(&end, 1, PATIENCE_MS) == 0)
    say_once(
        &said,
        "the program has ended; still looking for leaks (ULLAGE_SCAN=no does without)");
  os_close(end.fd);
}

void reach_end(int child) {
  if (!child) return;
  int saved = errno;
  say_if_it_takes_long(child);
  while (syscall(SYS_wait4, child, NULL, __WALL, NULL) < 0 && errno == EINTR)
    ;
  if (atomic_load(&job.result->phase) == PHASE_DONE)
    store_results();
  else
    fail(job.result->error ? job.result->error : ECHILD);
  let_go();
  errno = saved;
}

void reach_scan(const struct thread_set *threads) {
  reach_end(reach_begin(threads));
}
