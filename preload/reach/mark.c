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
 *    that was not met before.
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
 *    leaders.
 *
 * Steps 1 and 2 and what handles add are closures: what is reachable, or held, does not
 * depend on the order in which pointers are followed. So they are done by all processors
 * (trace.c). A state of step 1 only rises: possible, reachable by the last heuristic of
 * the list, by the first, reachable. Step 3 is not: by whom a block is seen, and whose
 * it is, is a matter of order. It is done by one, in the order said above.
 *
 * When all blocks are reachable, by pointers to their starts, all verdicts are known, and
 * nothing more is read (trace.c). A forked child that leaves a line asks only for those
 * that it has allocated itself. */
#include "reach/mark.h"

#include "reach/handle.h"
#include "reach/heuristic.h"
#include "reach/scratch.h"
#include "reach/stacks.h"
#include "reach/stale.h"
#include "reach/trace.h"
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
  REACHABLE_BY /* + enum ul_heuristic, the first of those that fit a pointer to it */
};

/* The marking under way. */
SCAN_STATE static struct {
  struct mark_from from;
  bool *holds; /* by site: blocks are roots (dynamic TLS) */
  uint64_t root_bytes;
  size_t asked; /* blocks that are asked for */
  enum mark_extent extent;
  struct ul_amount of_main;
  mark_led *tell;
  struct found leader; /* whose turn it is */
} marking;

/* A step that visits the blocks in one state. */
#define LEADS_TO(state, how, is_visited)                                                 \
  { .meet = (how), .visited = (is_visited), .settled = TRACE_ALL_BUT(TRACE_IN(state)) }

/* Does the pointer that is met lie in the block itself? */
static bool from_itself(const struct found *f, uintptr_t at) {
  return at - f->start < f->usable;
}

/* false: it is not in that state any more. */
static bool mark(struct tracer *by, const struct found *f, uint8_t from, uint8_t to) {
  if (!trace_change(f, from, to)) return false;
  trace_push(by, f);
  return true;
}

/* ---- step 1: from the roots ---------------------------------------------------- */

static bool is_reachable(uint8_t state) {
  return state >= REACHABLE;
}

static bool is_asked_for(const struct found *f) {
  return !marking.from.own || !ul_is_inherited(recording, ul_entry_site(found_entry(f)));
}

/* The heuristics that would make more of it. */
static unsigned better_than(uint8_t state) {
  if (state < REACHABLE) return ~0u;
  return state == REACHABLE ? 0 : (1u << (state - REACHABLE_BY)) - 1;
}

/* Not rescued, or not any more. What it was before. */
static uint8_t set_reachable(struct tracer *by, const struct found *f) {
  uint8_t state;
  do
    if ((state = found_state(f)) == REACHABLE) return REACHABLE;
  while (!trace_change(f, state, REACHABLE));
  if (is_asked_for(f)) trace_settle(by);
  return state;
}

static void reach(struct tracer *by, const struct found *f) {
  if (!is_reachable(set_reachable(by, f))) trace_push(by, f);
}

/* An interior pointer fits the heuristic. */
static void rescue(struct tracer *by, const struct found *f, enum ul_heuristic h) {
  uint8_t state;
  do {
    state = found_state(f);
    if (!(better_than(state) >> h & 1)) return;
  } while (!trace_change(f, state, (uint8_t)(REACHABLE_BY + h)));
  if (!is_reachable(state)) trace_push(by, f);
}

static void meet_strong(struct tracer *by, const struct found *f, uintptr_t offset,
                        uintptr_t at) {
  if (offset == 0) return reach(by, f);
  if (!from_itself(f, at)) handle_met(f, offset, true);
  unsigned allowed = marking.from.heuristics & better_than(found_state(f));
  enum ul_heuristic h = allowed ? heuristic_of(f, offset, allowed) : UL_HEURISTICS;
  if (h == UL_HEURISTICS)
    trace_change(f, UNREACHED, POSSIBLE);
  else
    rescue(by, f, h);
}

static const struct trace_step strong = {
    .meet = meet_strong,
    .visited = is_reachable,
    .settled = TRACE_IN(CENSUS_DEAD) | TRACE_IN(REACHABLE),
    .handled = TRACE_IN(REACHABLE),
    .shared = true,
};

static void scan_root(void *unused, uintptr_t start, uintptr_t end) {
  (void)unused;
  if (end > start) marking.root_bytes += end - start;
  trace_words(start, end);
  trace_beginnings();
}

static void keep(const struct found *f) {
  if (!is_reachable(found_state(f))) reach(trace_mine(), f);
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
  set_reachable(trace_mine(), &f);
  trace_words(f.start, dead.start);
  if (dead.end < end) trace_words(dead.end, end);
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
  roots_touched(start, end, marking.from.trace.pagemaps, scan_root, NULL);
}

static void scan_pool(uintptr_t start, uintptr_t end) {
  scan_root(NULL, start, end);
}

/* Sites whose blocks are roots: allocated from within the loader (dynamic TLS, to which
 * only thread control blocks lead, by interior pointers), by ullage's libraries, or
 * before stacks could be had, where nobody could be named anyway. A site without a code
 * is that of blocks whose stacks were not looked up. */
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
  trace_enter(&strong);
  if (!find_holders()) return false;
  census_each(keep_if_held_by_loader);
  const struct thread_set *threads = from->self.threads;
  const struct caller *caller = from->self.caller;
  for (unsigned i = 0; i < caller->stacks; i++)
    keep_stack(caller->sp[i]);
  keep_stack(from->self.alternate);
  for (unsigned i = 0; i < threads->count; i++)
    keep_stacks_of(&threads->threads[i]);
  const struct roots_wish wish = {.scan = scan_root, .enough = trace_ends};
  if (!roots_of_threads(&from->self, &wish, stacks_known)) return false;
  for (enum roots_part part = 0; part < ROOTS_PARTS; part++) {
    roots_each(part, from->trace.pagemaps, &wish);
    if (part == ROOTS_WRITABLE) census_unrecorded(scan_pool, scan_touched_root);
    trace_all();
  }
  return true;
}

/* ---- step 2: what possible blocks hold ----------------------------------------- */

static bool is_held(uint8_t state) {
  return state == HELD;
}

static void meet_held(struct tracer *by, const struct found *f, uintptr_t offset,
                      uintptr_t at) {
  if (offset && !from_itself(f, at)) handle_met(f, offset, false);
  if (!mark(by, f, UNREACHED, HELD)) mark(by, f, POSSIBLE, HELD);
}

static const struct trace_step weak = {
    .meet = meet_held,
    .visited = is_held,
    .settled = TRACE_ALL_BUT(TRACE_IN(UNREACHED) | TRACE_IN(POSSIBLE)),
    .handled = TRACE_ALL_BUT(TRACE_IN(CENSUS_DEAD)),
    .shared = true,
};

static void hold_possible(const struct found *f) {
  if (mark(trace_mine(), f, POSSIBLE, HELD)) trace_beginnings();
}

static void step_possible(void) {
  trace_enter(&weak);
  census_each(hold_possible);
  trace_all();
}

static bool is_met(const struct found *f) {
  return found_state(f) != UNREACHED;
}

static void keep_by_handle(const struct found *f) {
  if (is_reachable(found_state(f)) || !handle_holds(f)) return;
  rescue(trace_mine(), f, UL_CONSTANT_OFFSET);
  trace_beginnings();
}

/* All that tells of handles has been told. */
static const struct trace_step by_handle = {
    .meet = meet_strong,
    .visited = is_reachable,
    .settled = TRACE_IN(CENSUS_DEAD) | TRACE_IN(REACHABLE),
    .shared = true,
};

static bool step_handles(void) {
  bool any = false;
  if (!(marking.from.heuristics >> UL_CONSTANT_OFFSET & 1)) return true;
  if (!handle_choose(is_met, &any)) return false;
  trace_enter(&by_handle);
  if (any) census_each(keep_by_handle);
  trace_all();
  return true;
}

/* ---- what main's own frame holds: lost, but told apart ---------------------------- */

static bool is_of_main(uint8_t state) {
  return state == OF_MAIN;
}

static void meet_of_main(struct tracer *by, const struct found *f, uintptr_t offset,
                         uintptr_t at) {
  (void)offset, (void)at;
  marking.of_main.blocks++;
  marking.of_main.bytes += found_requested(f);
  mark(by, f, UNREACHED, OF_MAIN);
}

static const struct trace_step of_main = LEADS_TO(UNREACHED, meet_of_main, is_of_main);

static void forget_main(const struct found *f) {
  if (found_state(f) == OF_MAIN) found_set_state(f, UNREACHED);
}

static void count_of_main(void) {
  const struct main_frame *own = marking.from.self.own;
  if (!own->high) return;
  trace_enter(&of_main);
  trace_words((uintptr_t)own->registers, (uintptr_t)(own->registers + CALLER_REGISTERS));
  trace_words(own->low, own->high);
  trace_all();
  if (marking.of_main.blocks) census_each(forget_main);
}

struct ul_amount mark_of_main(void) {
  return marking.of_main;
}

/* ---- step 3: leaders ----------------------------------------------------------- */

/* The unreached blocks, by site: a counting sort, two walks over all blocks. */
SCAN_STATE static struct {
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

static bool is_in_stale_word(uintptr_t at) {
  struct found holder;
  return UNLIKELY(stale_any) && census_at(at, &holder) &&
         stale_word(&holder, at - holder.start);
}

static bool is_seen(uint8_t state) {
  return state == SEEN;
}

static void meet_unseen(struct tracer *by, const struct found *f, uintptr_t offset,
                        uintptr_t at) {
  (void)offset;
  if (!is_in_stale_word(at)) mark(by, f, UNREACHED, SEEN);
}

static const struct trace_step pass_1 = LEADS_TO(UNREACHED, meet_unseen, is_seen);

/* Leaves the candidates, in order, at the front of lost.blocks; returns how many. */
static uint64_t find_candidates(void) {
  uint64_t candidates = 0;
  trace_enter(&pass_1);
  for (uint64_t i = 0; i < lost.count; i++) {
    struct found f;
    if (!census_at(lost.blocks[i], &f) || found_state(&f) != UNREACHED) continue;
    lost.blocks[candidates++] = f.start;
    mark(trace_mine(), &f, UNREACHED, SEEN);
    trace_all();
  }
  return candidates;
}

static bool is_lost(uint8_t state) {
  return state == INDIRECT || state == DEFINITE;
}

static void meet_lost(struct tracer *by, const struct found *f, uintptr_t offset,
                      uintptr_t at) {
  (void)offset;
  if (is_in_stale_word(at)) return;
  marking.tell(&marking.leader, f);
  mark(by, f, SEEN, INDIRECT);
}

static const struct trace_step pass_2 = LEADS_TO(SEEN, meet_lost, is_lost);

static void choose_leaders(uint64_t candidates) {
  trace_enter(&pass_2);
  while (candidates--) {
    struct found *f = &marking.leader;
    if (!census_at(lost.blocks[candidates], f) || found_state(f) != SEEN) continue;
    mark(trace_mine(), f, SEEN, DEFINITE);
    trace_all();
  }
}

static bool step_lost(void) {
  if (!sort_lost()) return false;
  choose_leaders(find_candidates());
  return true;
}

/* ---- all of it ----------------------------------------------------------------- */

static void count_asked_for(const struct found *f) {
  marking.asked += is_asked_for(f);
}

static bool begin(const struct mark_from *from) {
  marking.from = *from;
  if (from->own)
    census_each(count_asked_for);
  else
    marking.asked = census.live;
  trace_open(marking.asked);
  return trace_begin(&from->trace) && handle_prepare(from->sites);
}

bool mark_blocks(const struct mark_from *from, mark_led *tell, uint64_t *root_bytes,
                 bool *stacks_known) {
  marking.tell = tell;
  if (!begin(from)) return false;
  if (!step_roots(stacks_known)) return false;
  *root_bytes = marking.root_bytes;
  marking.extent = from->own ? MARK_ASKED : MARK_ALL;
  if (trace_settled()) return true;
  step_possible();
  if (!step_handles()) return false;
  marking.extent = MARK_REACHED;
  if (trace_cut()) return true;
  count_of_main();
  if (!step_lost()) return false;
  marking.extent = trace_cut() ? MARK_LOST : MARK_ALL;
  return true;
}

enum mark_extent mark_extent(void) {
  return marking.extent;
}

enum ul_verdict mark_verdict(const struct found *f) {
  uint8_t state = found_state(f);
  if (is_reachable(state)) return UL_REACHABLE;
  if (marking.extent == MARK_REACHED || marking.extent == MARK_ASKED)
    return UL_NO_VERDICT;
  if (state == POSSIBLE || is_held(state)) return UL_POSSIBLE;
  return state == INDIRECT ? UL_INDIRECT : UL_DEFINITE;
}

enum ul_heuristic mark_rescuer(const struct found *f) {
  uint8_t state = found_state(f);
  return state < REACHABLE_BY ? UL_HEURISTICS : (enum ul_heuristic)(state - REACHABLE_BY);
}
