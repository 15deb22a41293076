/* mark.c - a conservative mark.
 *
 * A word is a pointer to a block if it points to its start, or, as an interior
 * pointer, to any of its requested bytes; so one past the end is none (but see
 * heuristic_empty_array). Each block has a state, a byte:
 *
 *   dead         not in the ledger: free, or never recorded
 *   unreached    live; every block begins as this
 *   possible     only interior pointers so far
 *   reachable    a chain of start pointers leads here from a root; an interior pointer
 *                that fits a heuristic is as good as a start pointer
 *   held         an interior pointer leads here from a block that is possible, or any
 *                pointer from a held one: the verdict is possible, too
 *   of main      unreached, but for main's own frame, which is over; only to count them
 *   seen         unreached, and visited by pass 1
 *   indirect, definite
 *
 * 1. From the roots: mark reachable (and possible) what can be reached.
 * 2. From each possible block: all that can be reached is held. Now all pointers that
 *    count have been met, and it is known at which offsets the blocks of a site are held
 *    (handle.c). If that tells more than step 1 knew, it goes on: what a root or a
 *    reachable block holds by such an offset is reachable, too. No block is met there
 * that was not met before.
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
 *    reached. The order is by site, so the leader of a cycle is the block whose call
 *    stack was seen first: who owns a structure is made before what it is made of. (By
 *    birth it would be another in each run, for the clock has ticks: within one tick
 *    nobody is the older.)
 *    Words that are likely to be left from a former life of the memory (stale.c) are no
 *    pointers here: else a leak of many blocks of one kind would have any number of
 * leaders.
 *
 * The work list is a stack of addresses in chunks. When there is no memory for another
 * chunk the address is dropped, and when the stack has run empty all blocks visited in
 * this step are scanned again: slow, but it needs nothing. */
#include "reach/mark.h"

#include "base/os.h"
#include "reach/handle.h"
#include "reach/heuristic.h"
#include "reach/scratch.h"
#include "reach/stacks.h"
#include "reach/stale.h"
#include "recording/table.h"
#include "stack/module.h"

#include <signal.h>
#include <ucontext.h>

enum state {
  UNREACHED = CENSUS_LIVE,
  POSSIBLE,
  HELD,
  OF_MAIN,
  SEEN,
  INDIRECT,
  DEFINITE,
  REACHABLE,
  REACHABLE_BY /* + enum ul_heuristic */
};

/* The marking under way. */
static struct {
  struct mark_from from;
  struct census_extent heap;
  bool *holds; /* by site: blocks are roots (dynamic TLS) */
  uint64_t root_bytes;
  uintptr_t at; /* where the pointer lies that is met */
  enum mark_extent extent;
  bool cut; /* it was enough, and something is left undone */
  uint64_t looked;
  struct ul_amount of_main;
  mark_led *tell;
  struct found leader; /* whose turn it is */
} marking;

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
  struct chunk *c = spare ? spare : os_map(sizeof *c, OS_PAGE, OS_TOOL);
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

/* What a step does about a pointer to a block, `offset` bytes from its start; which state
 * says that it has visited a block; and in which states (a bit each) one to its start, or
 * one too far in to be a handle, changes nothing. */
static void (*meet)(const struct found *f, uintptr_t offset);
static bool (*visited)(uint8_t state);
static unsigned settled;

#define BIT(state) (1u << (state))
#define ALL_BUT(states) (0xffffu & ~(unsigned)(states))

/* Most pointers lead to blocks that are known. So that is asked first, and at once if all
 * states lie in the processor's second cache. */
enum { NEAR_BYTES = 1 << 20 };
static bool states_are_near;

static inline bool is_settled(const struct found *f, uintptr_t offset) {
  uint8_t state = found_state(f);
  if (state == CENSUS_DEAD) return true;
  return settled & BIT(state) && (offset == 0 || offset > HANDLE_OFFSET_MAX);
}

/* Nearly all time goes by waiting for memory: for the state of the block that a word
 * leads to, and for the words of the block whose turn it is. So both are asked for, and
 * meanwhile wait in a queue each. */
enum { WORDS_AHEAD = 32, BLOCKS_AHEAD = 16 };

/* Words that lead to a place for a block. */
static struct {
  unsigned in, out;
  struct {
    struct found f;
    uintptr_t at, offset;
  } items[WORDS_AHEAD];
} words;

/* Blocks that have left the work list. */
static struct {
  unsigned in, out;
  struct found items[BLOCKS_AHEAD];
} blocks;

static void meet_next(void) {
  unsigned i = words.out++ % WORDS_AHEAD;
  const struct found *f = &words.items[i].f;
  uintptr_t offset = words.items[i].offset;
  if (is_settled(f, offset)) return;
  marking.at = words.items[i].at;
  if (offset == 0 || offset < found_requested(f) || heuristic_empty_array(f, offset))
    meet(f, offset);
}

static inline void candidate(uintptr_t word, const uintptr_t *at) {
  struct found f;
  if (!census_place(word, &f)) return;
  uintptr_t offset = word - f.start;
  if (states_are_near && is_settled(&f, offset)) return;
  found_expect_state(&f);
  unsigned i = words.in % WORDS_AHEAD;
  words.items[i].f = f;
  words.items[i].at = (uintptr_t)at;
  words.items[i].offset = offset;
  if (++words.in - words.out == WORDS_AHEAD) meet_next();
}

/* What is left undone when it is enough: asked before each piece of work. */
static bool enough(void) {
  if (atomic_load_explicit(marking.from.enough, memory_order_relaxed)) marking.cut = true;
  return marking.cut;
}

/* The processor itself looks ahead only to the end of a page. */
enum { AHEAD = 512 / sizeof(uintptr_t) };

static READS_ANYTHING void scan_slice(uintptr_t start, uintptr_t end) {
  const uintptr_t low = marking.heap.low, extent = marking.heap.bytes;
  const uintptr_t *p = (const uintptr_t *)((start + 7) & ~(uintptr_t)7);
  const uintptr_t *stop = (const uintptr_t *)(end & ~(uintptr_t)7);
  for (; p + 4 <= stop; p += 4) {
    uintptr_t a = p[0], b = p[1], c = p[2], d = p[3];
    __builtin_prefetch(p + AHEAD);
    if (LIKELY((a - low >= extent) & (b - low >= extent) & (c - low >= extent) &
               (d - low >= extent)))
      continue;
    if (a - low < extent) candidate(a, p);
    if (b - low < extent) candidate(b, p + 1);
    if (c - low < extent) candidate(c, p + 2);
    if (d - low < extent) candidate(d, p + 3);
  }
  for (; p < stop; p++)
    if (*p - low < extent) candidate(*p, p);
}

static void scan_words(uintptr_t start, uintptr_t end) {
  enum { SLICE = 1 << 20 };
  for (; end - start > SLICE && !enough(); start += SLICE)
    scan_slice(start, start + SLICE);
  if (!marking.cut) scan_slice(start, end);
}

static void scan_block(const struct found *f) {
  enum { TELL_EACH = 1024 };
  if (++marking.looked % TELL_EACH == 0)
    atomic_store_explicit(marking.from.looked, marking.looked, memory_order_relaxed);
  uintptr_t end = f->start + (marking.from.slack ? f->usable : found_requested(f));
  if (f->single)
    roots_touched(f->start, end, marking.from.pagemaps, scan_words);
  else
    scan_words(f->start, end);
}

static void expect_blocks(void) {
  while (blocks.in - blocks.out < BLOCKS_AHEAD) {
    uintptr_t start = pop();
    if (!start) return;
    struct found *f = &blocks.items[blocks.in % BLOCKS_AHEAD];
    if (!census_place(start, f)) continue;
    found_expect_words(f);
    blocks.in++;
  }
}

/* Until nothing is left to be done, in the queues either; or it is enough. */
static void drain_stack(void) {
  while (!enough()) {
    expect_blocks();
    if (blocks.out != blocks.in) {
      scan_block(&blocks.items[blocks.out % BLOCKS_AHEAD]);
      blocks.out++;
    } else if (words.out != words.in) {
      meet_next();
    } else {
      return;
    }
  }
}

static void scan_again(const struct found *f) {
  if (!visited(found_state(f))) return;
  scan_block(f);
  drain_stack();
}

static void drain(void) {
  drain_stack();
  while (UNLIKELY(dropped) && !marking.cut) {
    dropped = false;
    census_each(scan_again);
  }
}

/* Does the pointer that is met lie in the block itself? */
static bool from_itself(const struct found *f) {
  return marking.at - f->start < f->usable;
}

static void mark(const struct found *f, uint8_t state) {
  found_set_state(f, state);
  push(f->start);
}

/* ---- step 1: from the roots ---------------------------------------------------- */

static bool is_reachable(uint8_t state) {
  return state >= REACHABLE;
}

static void meet_strong(const struct found *f, uintptr_t offset) {
  uint8_t state = found_state(f);
  if (offset == 0) {
    if (is_reachable(state))
      found_set_state(f, REACHABLE); /* not rescued after all */
    else
      mark(f, REACHABLE);
    return;
  }
  if (!from_itself(f)) handle_met(f, offset, true);
  if (is_reachable(state)) return;
  enum ul_heuristic h = heuristic_of(f, offset, marking.from.heuristics);
  if (h != UL_HEURISTICS)
    mark(f, (uint8_t)(REACHABLE_BY + h));
  else if (state == UNREACHED)
    found_set_state(f, POSSIBLE);
}

static void scan_root(uintptr_t start, uintptr_t end) {
  if (end > start) marking.root_bytes += end - start;
  scan_words(start, end);
  drain();
}

static void keep(const struct found *f) {
  if (is_reachable(found_state(f))) return;
  mark(f, REACHABLE);
  drain();
}

static void keep_if_held_by_loader(const struct found *f) {
  uint32_t site = ul_entry_site(found_entry(f));
  if (site < marking.from.sites && marking.holds[site]) keep(f);
}

/* A block that a stack pointer points into is a stack of the program's own making; so is
 * one that only the kernel knows of, for signals to come. */
static void keep_stack(uintptr_t sp) {
  struct found f;
  if (sp && census_at(sp, &f)) keep(&f);
}

/* Without the dead part. */
static void keep_around(struct range dead) {
  struct found f;
  if (!census_at(dead.start, &f) || is_reachable(found_state(&f))) return;
  uintptr_t end = f.start + found_requested(&f);
  found_set_state(&f, REACHABLE);
  scan_words(f.start, dead.start);
  if (dead.end < end) scan_words(dead.end, end);
  drain();
}

static void keep_stacks_of(const struct frozen_thread *t) {
  keep_stack(t->sp);
  if (t->state != FROZEN_STOPPED) return;
  const stack_t *alternate = &((const ucontext_t *)t->context)->uc_stack;
  if (alternate->ss_flags & SS_DISABLE) return;
  struct range dead = stacks_signal(t);
  if (dead.start < dead.end)
    keep_around(dead);
  else
    keep_stack((uintptr_t)alternate->ss_sp);
}

static void scan_touched_root(uintptr_t start, uintptr_t end) {
  roots_touched(start, end, marking.from.pagemaps, scan_root);
}

/* Sites whose blocks are roots: allocated from within the loader (dynamic TLS, to which
 * only thread control blocks lead, by interior pointers), by ullage's libraries, or
 * before stacks could be had, where nobody could be named anyway. A site without a code is
 * that of blocks whose stacks were not looked up. */
static bool find_holders(void) {
  const uint32_t sites = marking.from.sites;
  bool *holds = marking.holds = scratch(sites);
  if (!holds) return false;
  holds[UL_SITE_EARLY] = holds[UL_SITE_ULLAGE] = holds[UL_SITE_LOADER] = true;
  for (uint32_t i = UL_SITE_RESERVED; i < sites && i < table_count(UL_SITES); i++) {
    uint32_t code = ul_site_code(table_at(UL_SITES, i));
    holds[i] = code && code < table_count(UL_CODES) &&
               roots_in_loader(module_address(*(uint64_t *)table_at(UL_CODES, code)));
  }
  return true;
}

static bool step_roots(bool *stacks_known) {
  const struct mark_from *from = &marking.from;
  meet = meet_strong;
  visited = is_reachable;
  settled = BIT(REACHABLE);
  if (!find_holders()) return false;
  census_each(keep_if_held_by_loader);
  const struct thread_set *threads = from->self.threads;
  const struct caller *caller = from->self.caller;
  for (unsigned i = 0; i < caller->stacks; i++)
    keep_stack(caller->sp[i]);
  keep_stack(from->self.alternate);
  for (unsigned i = 0; i < threads->count; i++)
    keep_stacks_of(&threads->threads[i]);
  if (!roots_each(&from->self, from->pagemaps, scan_root, stacks_known)) return false;
  census_unrecorded(scan_root, scan_touched_root);
  return true;
}

/* ---- step 2: what possible blocks hold ----------------------------------------- */

static bool is_held(uint8_t state) {
  return state == HELD;
}

static void meet_held(const struct found *f, uintptr_t offset) {
  if (offset && !from_itself(f)) handle_met(f, offset, false);
  if (found_state(f) == UNREACHED || found_state(f) == POSSIBLE) mark(f, HELD);
}

static void hold_possible(const struct found *f) {
  if (found_state(f) != POSSIBLE) return;
  mark(f, HELD);
  drain();
}

static void step_possible(void) {
  meet = meet_held;
  visited = is_held;
  settled = ALL_BUT(BIT(UNREACHED) | BIT(POSSIBLE));
  census_each(hold_possible);
}

static bool is_met(const struct found *f) {
  return found_state(f) != UNREACHED;
}

static void keep_by_handle(const struct found *f) {
  if (is_reachable(found_state(f)) || !handle_holds(f)) return;
  mark(f, REACHABLE_BY + UL_CONSTANT_OFFSET);
  drain();
}

static bool step_handles(void) {
  bool any = false;
  if (!(marking.from.heuristics >> UL_CONSTANT_OFFSET & 1)) return true;
  if (!handle_choose(is_met, &any)) return false;
  meet = meet_strong;
  visited = is_reachable;
  settled = BIT(REACHABLE);
  if (any) census_each(keep_by_handle);
  return true;
}

/* ---- what main's own frame holds: lost, but told apart ---------------------------- */

static bool is_of_main(uint8_t state) {
  return state == OF_MAIN;
}

static void meet_of_main(const struct found *f, uintptr_t offset) {
  (void)offset;
  if (found_state(f) != UNREACHED) return;
  marking.of_main.blocks++;
  marking.of_main.bytes += found_requested(f);
  mark(f, OF_MAIN);
}

static void forget_main(const struct found *f) {
  if (found_state(f) == OF_MAIN) found_set_state(f, UNREACHED);
}

static void count_of_main(void) {
  const struct main_frame *own = marking.from.self.own;
  if (!own->high) return;
  meet = meet_of_main;
  visited = is_of_main;
  settled = ALL_BUT(BIT(UNREACHED));
  scan_words((uintptr_t)own->registers, (uintptr_t)(own->registers + CALLER_REGISTERS));
  scan_words(own->low, own->high);
  drain();
  if (marking.of_main.blocks) census_each(forget_main);
}

struct ul_amount mark_of_main(void) {
  return marking.of_main;
}

/* ---- step 3: leaders ----------------------------------------------------------- */

/* The unreached blocks, by site: a counting sort, two walks over all blocks. */
static struct {
  uintptr_t *blocks;
  uint64_t count;
  uint64_t *next; /* by bucket of sites */
  uint32_t first_site, last_site;
  unsigned shift;
} lost;

enum { BUCKETS_MAX = 1 << 20 };

static uint32_t bucket_of(const struct found *f) {
  return (ul_entry_site(found_entry(f)) - lost.first_site) >> lost.shift;
}

static void bound_sites(const struct found *f) {
  if (found_state(f) != UNREACHED) return;
  stale_count(f);
  uint32_t site = ul_entry_site(found_entry(f));
  if (lost.count++ == 0) lost.first_site = lost.last_site = site;
  if (site < lost.first_site) lost.first_site = site;
  if (site > lost.last_site) lost.last_site = site;
}

static void count_site(const struct found *f) {
  if (found_state(f) == UNREACHED) lost.next[bucket_of(f) + 1]++;
}

static void place_by_site(const struct found *f) {
  if (found_state(f) != UNREACHED) return;
  lost.blocks[lost.next[bucket_of(f)]++] = f->start;
  stale_look(f);
}

/* false: no memory. */
static bool sort_lost(void) {
  lost.count = 0;
  if (!stale_begin(marking.from.sites)) return false;
  census_each(bound_sites);
  if (lost.count == 0) return true;
  uint32_t span = lost.last_site - lost.first_site;
  for (lost.shift = 0; span >> lost.shift >= BUCKETS_MAX;)
    lost.shift++;
  uint32_t buckets = (span >> lost.shift) + 1;
  lost.next = scratch((buckets + 1) * sizeof *lost.next);
  lost.blocks = scratch(lost.count * sizeof *lost.blocks);
  if (!lost.next || !lost.blocks || !stale_counted()) return false;
  census_each(count_site);
  for (uint32_t i = 1; i <= buckets; i++)
    lost.next[i] += lost.next[i - 1];
  census_each(place_by_site);
  stale_looked();
  return true;
}

static bool from_stale_word(void) {
  struct found holder;
  return UNLIKELY(stale_any) && census_at(marking.at, &holder) &&
         stale_word(&holder, marking.at - holder.start);
}

static bool is_seen(uint8_t state) {
  return state == SEEN;
}

static void meet_unseen(const struct found *f, uintptr_t offset) {
  (void)offset;
  if (found_state(f) == UNREACHED && !from_stale_word()) mark(f, SEEN);
}

/* Leaves the candidates, in order, at the front of lost.blocks; returns how many. */
static uint64_t find_candidates(void) {
  uint64_t candidates = 0;
  meet = meet_unseen;
  visited = is_seen;
  settled = ALL_BUT(BIT(UNREACHED));
  for (uint64_t i = 0; i < lost.count; i++) {
    struct found f;
    if (!census_at(lost.blocks[i], &f) || found_state(&f) != UNREACHED) continue;
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
  if (found_state(f) != SEEN || from_stale_word()) return;
  marking.tell(&marking.leader, f);
  mark(f, INDIRECT);
}

static void choose_leaders(uint64_t candidates) {
  meet = meet_lost;
  visited = is_lost;
  settled = ALL_BUT(BIT(SEEN));
  while (candidates--) {
    struct found *f = &marking.leader;
    if (!census_at(lost.blocks[candidates], f) || found_state(f) != SEEN) continue;
    mark(f, DEFINITE);
    drain();
  }
}

static bool step_lost(void) {
  if (!sort_lost()) return false;
  choose_leaders(find_candidates());
  return true;
}

/* ---- all of it ----------------------------------------------------------------- */

bool mark_blocks(const struct mark_from *from, mark_led *tell, uint64_t *root_bytes,
                 bool *stacks_known) {
  marking.from = *from;
  marking.heap = census_extent();
  states_are_near = census.live / 2 <= NEAR_BYTES;
  marking.tell = tell;
  if (!grow_stack() || !handle_prepare(from->sites) || !step_roots(stacks_known))
    return false;
  step_possible();
  if (!step_handles()) return false;
  *root_bytes = marking.root_bytes;
  marking.extent = MARK_REACHED;
  if (marking.cut) return true;
  count_of_main();
  if (!step_lost()) return false;
  marking.extent = marking.cut ? MARK_LOST : MARK_ALL;
  return true;
}

enum mark_extent mark_extent(void) {
  return marking.extent;
}

enum ul_verdict mark_verdict(const struct found *f) {
  uint8_t state = found_state(f);
  if (is_reachable(state)) return UL_REACHABLE;
  if (marking.extent == MARK_REACHED) return UL_NO_VERDICT;
  if (state == POSSIBLE || state == HELD) return UL_POSSIBLE;
  return state == INDIRECT ? UL_INDIRECT : UL_DEFINITE;
}

enum ul_heuristic mark_rescuer(const struct found *f) {
  uint8_t state = found_state(f);
  return state < REACHABLE_BY ? UL_HEURISTICS : (enum ul_heuristic)(state - REACHABLE_BY);
}
