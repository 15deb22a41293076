/* reach.c - the scan's frozen copy of the process, and what comes back from it.
 *
 * The copy. A raw clone without an exit signal: no SIGCHLD, no atfork handlers,
 * invisible to the program's wait(); with CLONE_FILES, so that the copy's end closes no
 * file of the program. The recording is shared and goes on changing when the program's
 * threads run again, so the copy first takes a copy of the ledger (census.c), and
 * reach_begin returns only then. What it marks (mark.c) comes back in a shared mapping,
 * and the program's process stores it: the copy takes no lock (its holder may not exist
 * here).
 *
 * Memory that cannot be read (PROT_NONE pages inside a block, a file that was cut)
 * faults; our handler puts zero pages in its place, in the copy, and the load is tried
 * again. On more than one processor (crew.c) it may do so in any thread of the copy.
 *
 * The lodger. To copy what a small process has mapped takes longer than to scan it, and
 * of one with 100 MB a sixth of the time. Where there is no other thread, who could
 * change anything meanwhile, the scan runs in the program's own memory: a process as the
 * copy is, with signals, descriptors and an end of its own, of which the program sees as
 * little. It has a room (a stack, all memory that it asks for, and what it finds there of
 * its variables), and stores nowhere else but in the result; so when it has ended, all is
 * as it was. Whatever it cannot do, a copy does after it: when a load faults, for zero
 * pages it must not put there, or the room is too small. */
#include "reach/reach.h"

#include "account/mapping.h"
#include "base/os_thread.h"
#include "base/say.h"
#include "reach/census.h"
#include "reach/drag.h"
#include "reach/mark.h"
#include "reach/roots.h"
#include "reach/scratch.h"
#include "recording/recording.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

enum phase { PHASE_COPYING, PHASE_SCANNING, PHASE_DONE, PHASE_FAILED };

/* Shared between the program and the copy. */
struct result {
  _Atomic uint32_t phase;  /* a futex */
  _Atomic uint32_t enough; /* says the program */
  _Atomic uint64_t looked; /* at so many of so many blocks */
  uint64_t blocks;
  int error;
  struct ul_scan scan;
  struct ul_amount rescued[UL_HEURISTICS];
  bool stacks_known;
  enum mark_extent extent;
  int pagemap; /* of the copy; < 0: none. The original closes it, even if the copy dies */
  struct ul_amount of_main, inherited_lost;
  /* Verdicts, as in UL_VERDICT_WORDS, and of each element of UL_LARGES. */
  size_t entries, larges;
  uint64_t *of_entries;
  uint8_t *of_larges;
  struct drags drags;
  uint32_t rows_used, rows_capacity;
  struct ul_leak rows[];
};

/* In the program: the scan under way. */
static struct {
  struct result *result;
  size_t bytes;
  uint64_t begun_ns;
  char *room; /* of the lodger, NULL: it is a copy */
  size_t room_bytes;
  bool ended; /* the scan's process, and has been waited for */
} job;

bool reach_scan_slack, reach_own, reach_lodges = true;
bool (*reach_enough)(void);
unsigned reach_heuristics = ~0u;
unsigned reach_limit_s = UINT_MAX;
unsigned reach_processors;

enum { ROOM_STACK = 256 << 10 };

/* In the copy: the scan. What it has from the program is filled in before. */
static struct {
  struct result *result;
  struct mark_from from;
  uint32_t *row_of; /* by site and verdict: index of its row + 1 */
} scan;

static void enter(enum phase phase) {
  atomic_store(&scan.result->phase, phase);
  os_futex_wake_all(&scan.result->phase, true);
}

static _Noreturn void give_up(int error) {
  scan.result->error = error;
  enter(PHASE_FAILED);
  os_exit(1);
}

/* ---- verdicts ------------------------------------------------------------------ */

static struct ul_leak *row_for(uint32_t site, enum ul_verdict verdict) {
  if (site >= scan.from.sites) site = UL_SITE_NO_STACK;
  struct result *r = scan.result;
  uint32_t *index = &scan.row_of[site * UL_VERDICTS + verdict];
  if (*index == 0) {
    if (r->rows_used == r->rows_capacity) give_up(ENOSPC);
    *index = ++r->rows_used;
    r->rows[*index - 1].site = site;
    r->rows[*index - 1].verdict = verdict;
  }
  return &r->rows[*index - 1];
}

/* A leader of the parent's is told of by the parent. */
static void tell_led(const struct found *leader, const struct found *f) {
  uint32_t site = ul_entry_site(found_entry(leader));
  if (ul_is_inherited(recording, site)) return;
  struct ul_leak *row = row_for(site, UL_DEFINITE);
  row->indirect_blocks++;
  row->indirect_bytes += found_requested(f);
  drag_add(&scan.result->drags, site, ul_entry_site(found_entry(f)), found_requested(f));
}

/* For the reader of the ledger. */
static void note_verdict(const struct found *f, enum ul_verdict verdict) {
  struct result *r = scan.result;
  if (f->number >= r->entries)
    r->of_larges[f->number - r->entries] = (uint8_t)verdict;
  else if (verdict)
    r->of_entries[f->number / UL_WORD_VERDICTS] |= (uint64_t)(verdict - 1)
                                                   << ul_verdict_shift(f->number);
}

static void tell_inherited(const struct found *f, enum ul_verdict verdict) {
  if (verdict != UL_DEFINITE && verdict != UL_INDIRECT) return;
  scan.result->inherited_lost.blocks++;
  scan.result->inherited_lost.bytes += found_requested(f);
}

static void add_to_row(const struct found *f, uint32_t site, enum ul_verdict verdict) {
  struct ul_leak *row = row_for(site, verdict);
  uint32_t birth = ul_entry_birth(found_entry(f));
  if (row->blocks == 0 || birth < row->oldest_birth) {
    row->oldest_birth = birth;
    row->example = f->start;
  }
  if (birth > row->newest_birth) row->newest_birth = birth;
  row->blocks++;
  row->bytes += found_requested(f);
}

/* Of the program's blocks: our own libraries' are roots. */
static void tell(const struct found *f) {
  uint32_t site = ul_entry_site(found_entry(f));
  enum ul_verdict verdict = mark_verdict(f);
  note_verdict(f, verdict);
  if (site == UL_SITE_ULLAGE) return;
  if (ul_is_inherited(recording, site)) return tell_inherited(f, verdict);
  struct ul_scan *s = &scan.result->scan;
  if (verdict != UL_REACHABLE) add_to_row(f, site, verdict);
  s->heap_bytes += found_requested(f);
  s->totals[verdict].blocks++;
  s->totals[verdict].bytes += found_requested(f);
  enum ul_heuristic by = mark_rescuer(f);
  if (by == UL_HEURISTICS) return;
  scan.result->rescued[by].blocks++;
  scan.result->rescued[by].bytes += found_requested(f);
}

/* ---- the copy ------------------------------------------------------------------ */

/* A load that faults finds zeros when it is tried again: up to the end of the mapping if
 * all of that is unreadable, else one page. */
static void put_zeros(uintptr_t page, bool protected) {
  uintptr_t end = protected ? roots_unread(page) : 0;
  if (!end) end = page + OS_PAGE;
  if (os_map_zeros((void *)page, end - page) != 0) give_up(EFAULT);
  scan.result->scan.unreadable_pages += (end - page) / OS_PAGE;
}

/* What faults otherwise, a store, would do so again. Another thread of the scan's may
 * have come here for the same page, and have been first. */
static void unreadable(int sig, siginfo_t *info, void *context) {
  enum { PAGE_FAULT = 14, STORE = 1 << 1, FETCH = 1 << 4 };
  const greg_t *state = ((const ucontext_t *)context)->uc_mcontext.gregs;
  if (job.room) give_up(EFAULT);
  if (state[REG_TRAPNO] != PAGE_FAULT || state[REG_ERR] & (STORE | FETCH))
    give_up(EFAULT);
  uintptr_t page = os_page_of((uintptr_t)info->si_addr);
  SCAN_STATE static _Atomic bool busy;
  SCAN_STATE static uintptr_t left; /* as it was: not twice */
  while (atomic_exchange(&busy, true))
    os_sleep_ms(0);
  if (page != left && os_readable(page))
    left = page;
  else
    put_zeros(page, sig == SIGSEGV);
  atomic_store(&busy, false);
}

static void *scratch_or_give_up(size_t bytes) {
  void *p = scratch(bytes);
  if (!p) give_up(ENOMEM);
  return p;
}

static void catch_faults(void) {
  enum { STACK_BYTES = 64 * 1024 };
  uint64_t blocked = ~(UINT64_C(1) << (SIGSEGV - 1) | UINT64_C(1) << (SIGBUS - 1));
  os_signal_stack(scratch_or_give_up(STACK_BYTES), STACK_BYTES);
  os_handle(SIGSEGV, unreadable);
  os_handle(SIGBUS, unreadable);
  os_block_signals(blocked);
}

/* Only other threads can change the ledger while we look. */
static bool ledger_moves(void) {
  return scan.from.self.threads->count > 0 || !scan.from.self.threads->complete;
}

/* What must be done before the program's threads may run on. */
static void copy_state(void) {
  os_die_with_parent();
  catch_faults();
  os_raise_file_limit(); /* the program may have used up its descriptors */
  scan.result->pagemap = scan.from.trace.pagemaps.copy = mapping_pagemap_open();
  uintptr_t result = (uintptr_t)scan.result, room = (uintptr_t)job.room;
  const struct range also[] = {{result, result + job.bytes, RANGE_TOOL},
                               {room, room + job.room_bytes, RANGE_TOOL},
                               {0}};
  int error = roots_load(also, !ledger_moves());
  if (error) give_up(error);
  if (!census_take(ledger_moves())) give_up(ENOMEM);
  scan.result->blocks = census.live;
  enter(PHASE_SCANNING);
}

static _Noreturn void run_scan(void) {
  copy_state();
  size_t rows = (size_t)scan.from.sites * UL_VERDICTS;
  scan.row_of = scratch_or_give_up(rows * sizeof *scan.row_of);
  scan.from.trace.slack = reach_scan_slack;
  scan.from.heuristics = reach_heuristics;
  scan.from.own = reach_own;
  scan.from.trace.processors = reach_processors;
  scan.from.trace.enough = &scan.result->enough;
  scan.from.trace.looked = &scan.result->looked;
  struct result *r = scan.result;
  if (!mark_blocks(&scan.from, tell_led, &r->scan.root_bytes, &r->stacks_known))
    give_up(ENOMEM);
  r->extent = mark_extent();
  if (r->extent == MARK_ALL) r->of_main = mark_of_main();
  census_each(tell);
  enter(PHASE_DONE);
  os_exit(0);
}

/* ---- the program --------------------------------------------------------------- */

static void fail(int error) {
  recording->scan.error = error;
  recording->scan.state = UL_SCAN_FAILED;
}

static size_t verdict_words(size_t entries) {
  return (entries + UL_WORD_VERDICTS - 1) / UL_WORD_VERDICTS;
}

/* Address space for all that there can be; the pages come as they are used. */
static int map_result(uint32_t sites) {
  size_t entries = table_count(UL_ENTRIES), larges = table_count(UL_LARGES);
  size_t rows = (size_t)sites * UL_VERDICTS, words = verdict_words(entries);
  job.bytes = os_whole_pages(sizeof *job.result + rows * sizeof(struct ul_leak) +
                             words * sizeof(uint64_t) + larges);
  void *p;
  int error = os_map_shared(&p, job.bytes);
  if (error) return error;
  struct result *r = job.result = p;
  r->rows_capacity = (uint32_t)rows;
  r->entries = entries;
  r->larges = larges;
  r->of_entries = (uint64_t *)(r->rows + rows);
  r->of_larges = (uint8_t *)(r->of_entries + words);
  r->pagemap = -1;
  r->enough = reach_limit_s == 0;
  return 0;
}

/* The copy shares our descriptors (CLONE_FILES): not before it has ended. */
static void let_go(void) {
  int *original = &scan.from.trace.pagemaps.original;
  if (*original >= 0) os_close(*original);
  *original = -1;
  if (job.result->pagemap >= 0) os_close(job.result->pagemap);
  os_unmap_file(job.result, job.bytes);
}

/* ---- waiting for the copy ------------------------------------------------------ */

/* A copy that uses no CPU for this long waits for somebody who waits for us: a page that
 * is served by a thread of the program's own (userfaultfd, FUSE). */
enum { SLICE_MS = 20, IDLE_MS = 10000, PATIENCE_MS = 3000, PROGRESS_MS = 1000 };

/* Blocks are looked at again for their verdict, if they are lost. */
static unsigned percent_done(void) {
  uint64_t all = job.result->blocks, looked = atomic_load(&job.result->looked);
  return looked < all ? (unsigned)(looked * 100 / all) : 99;
}

/* Should it be enough, the copy ends with what it knows. */
static void keep_to_the_limit(void) {
  uint64_t s = (os_monotonic_ns() - job.begun_ns) / UINT64_C(1000000000);
  if (s >= reach_limit_s) atomic_store(&job.result->enough, 1);
}

/* The program is otherwise done, so whoever waits for it should know what for. */
static void say_if_it_takes_long(unsigned waited_ms) {
  static bool said;
  if (waited_ms >= PROGRESS_MS && say_progress("looking for leaks", percent_done()))
    return;
  if (waited_ms >= PATIENCE_MS)
    say_once(
        &said,
        "the program has ended; still looking for leaks (ULLAGE_SCAN=no does without)");
}

static void say_that_it_hangs(void) {
  static bool said;
  say_once(&said, "the copy of the program's memory makes no progress: its leaks are not "
                  "looked for");
}

/* While the copy is in that phase. ETIMEDOUT: it hangs. EINTR: enough of it. */
static int wait_through(int child, uint32_t phase) {
  const struct timespec slice = {.tv_nsec = SLICE_MS * 1000000};
  uint64_t used = 0;
  unsigned idle_ms = 0, waited_ms = 0;
  while (atomic_load(&job.result->phase) == phase && !os_has_ended(child)) {
    if (os_futex_wait(&job.result->phase, phase, &slice, true) != -ETIMEDOUT) continue;
    uint64_t before = used;
    used = os_cpu_ns(child);
    idle_ms = used == before ? idle_ms + SLICE_MS : 0;
    if (idle_ms >= IDLE_MS) return ETIMEDOUT;
    if (reach_enough && reach_enough()) return EINTR;
    keep_to_the_limit();
    say_if_it_takes_long(waited_ms += SLICE_MS);
  }
  return 0;
}

static int wait_for_copy(int child, uint32_t phase) {
  int error = wait_through(child, phase);
  say_progress_over();
  return error;
}

static void end_copy(int child, int error) {
  if (!job.ended) os_kill(child, SIGKILL);
  if (!job.ended) os_wait(child);
  if (error == ETIMEDOUT) say_that_it_hangs();
  fail(error);
  let_go();
}

/* The clone's pid, or -errno. In the copy it does not return. */
static int clone_and_scan(const struct thread_set *threads, const struct caller *ending,
                          const struct main_frame *own, uint32_t sites) {
  scan.result = job.result;
  scan.from = (struct mark_from){
      .self = {.caller = ending,
               .own = own,
               .threads = threads,
               .tcb = os_thread_pointer(),
               .alternate = os_signal_stack_now(),
               .tid = os_tid()},
      .trace.pagemaps = {.copy = -1, .original = mapping_pagemap_open()},
      .sites = sites,
  };
  if (job.room) return os_share_process(job.room + ROOM_STACK, run_scan);
  int child = os_copy_process();
  if (child == 0) run_scan();
  return child;
}

/* ---- the lodger ---------------------------------------------------------------- */

/* Laid out by the linker: what is SCAN_STATE. */
extern char __start_scan_state[] __attribute__((visibility("hidden")));
extern char __stop_scan_state[] __attribute__((visibility("hidden")));

/* Of a large heap the room would be large, too, and to copy it is little beside the scan.
 */
static bool may_share(const struct thread_set *threads) {
  enum { ENTRIES_MOST = 4 << 20, MAPPED_MOST = 256 << 20 };
  return reach_lodges && threads->count == 0 && threads->complete &&
         table_count(UL_ENTRIES) <= ENTRIES_MOST &&
         os_mapped(OS_ARENA) + os_mapped(OS_LARGE) <= MAPPED_MOST;
}

static size_t state_bytes(void) {
  return (size_t)(__stop_scan_state - __start_scan_state);
}

/* Address space: for what is kept of each block and site, and of the heap's layout, at
 * most, and for some lists. */
static size_t room_bytes(void) {
  enum { LISTS = 32 << 20, OF_BLOCK = 32, OF_SITE = 512, IN_BYTES = 256 };
  return LISTS + table_count(UL_ENTRIES) * OF_BLOCK + table_count(UL_SITES) * OF_SITE +
         os_whole_pages((os_mapped(OS_ARENA) + os_mapped(OS_LARGE)) / IN_BYTES);
}

static bool take_room(void) {
  size_t used = os_whole_pages(ROOM_STACK + state_bytes());
  size_t bytes = room_bytes();
  char *room = os_map(bytes, OS_PAGE, OS_TOOL);
  if (!room) return false;
  os_prefer_small(room, bytes); /* of which little is used */
  memcpy(room + ROOM_STACK, __start_scan_state, state_bytes());
  os_map_from(room + used, bytes - used);
  job.room = room;
  job.room_bytes = bytes;
  return true;
}

static void leave_room(void) {
  char *room = job.room;
  memcpy(__start_scan_state, room + ROOM_STACK, state_bytes());
  os_map_from(NULL, 0);
  job.room = NULL;
  os_unmap(room, job.room_bytes, OS_TOOL);
}

/* All of the scan. ENOTSUP: a copy has to do it. */
static int lodge(const struct thread_set *threads, const struct caller *ending,
                 const struct main_frame *own, uint32_t sites, int *child) {
  if (!take_room()) return ENOTSUP;
  *child = clone_and_scan(threads, ending, own, sites);
  int error = 0;
  if (*child > 0) {
    error = wait_for_copy(*child, PHASE_COPYING);
    if (!error) error = wait_for_copy(*child, PHASE_SCANNING);
    if (error) os_kill(*child, SIGKILL);
    os_wait(*child);
  }
  leave_room();
  job.ended = true;
  if (*child == -EINVAL || (*child > 0 && !error && job.result->phase != PHASE_DONE))
    return ENOTSUP;
  return error;
}

static int refused(int error) {
  fail(error);
  let_go();
  return 0;
}

static int copy(const struct thread_set *threads, const struct caller *ending,
                const struct main_frame *own, uint32_t sites) {
  /* A process that is told of its forks by a userfaultfd waits for the thread that is. */
  freeze_limit(IDLE_MS);
  int child = clone_and_scan(threads, ending, own, sites);
  freeze_limit(0);
  if (child < 0) return refused(-child);
  int error = freeze_holds(threads) ? wait_for_copy(child, PHASE_COPYING) : ETIMEDOUT;
  if (error) end_copy(child, error);
  return error ? 0 : child;
}

static int begin(const struct thread_set *threads, const struct caller *ending,
                 const struct main_frame *own) {
  uint32_t sites = (uint32_t)table_count(UL_SITES);
  if (sites < UL_SITE_RESERVED) sites = UL_SITE_RESERVED;
  job.begun_ns = os_monotonic_ns();
  job.ended = false;
  reach_forget();
  recording->scan = (struct ul_scan){
      .state = UL_SCAN_RUNNING,
      .at_ms = recording_ms(),
      .limit_seconds = reach_limit_s == UINT_MAX ? 0 : reach_limit_s,
  };
  int child, error = map_result(sites);
  if (!error && may_share(threads)) {
    int shared = lodge(threads, ending, own, sites, &child);
    if (!shared) return child < 0 ? refused(-child) : child;
    if (shared != ENOTSUP) return end_copy(child, shared), 0;
    let_go();
    job.ended = false;
    error = map_result(sites);
  }
  if (!error) return copy(threads, ending, own, sites);
  fail(-error);
  return 0;
}

/* No signal handler of the program may run in the copy. */
int reach_begin(const struct thread_set *threads, const struct caller *ending,
                const struct main_frame *own) {
  if (!recording) return 0;
  uint64_t mask = 0;
  os_hold_signals(&mask);
  int child = begin(threads, ending, own);
  os_release_signals(mask);
  if (child) {
    recording->scan.threads = 1 + threads->stopped + threads->unstopped;
    recording->scan.threads_unstopped = threads->unstopped;
    for (unsigned i = 0; i < threads->unstopped; i++)
      fallback(UL_FB_THREAD_UNSTOPPED);
  }
  return child;
}

static void store_rescued(const struct ul_amount *rescued) {
  memcpy(recording->scan.rescued, rescued, sizeof recording->scan.rescued);
  for (unsigned i = UL_HEURISTICS_OF_SCAN; i < UL_HEURISTICS; i++) {
    struct ul_header *h = rescued[i].blocks ? table_header_rest() : NULL;
    if (h) h->rescued[i - UL_HEURISTICS_OF_SCAN] = rescued[i];
  }
}

static void store_of_main(const struct ul_amount *of_main) {
  struct ul_header *h = of_main->blocks ? table_header_rest() : NULL;
  if (h) h->of_main = *of_main;
}

/* false: there is no room for them. */
static bool store_rows(const struct result *r) {
  struct ul_leak *rows = table_replace_rows(UL_LEAKS, r->rows_used);
  if (!rows && r->rows_used) return false;
  if (r->rows_used) memcpy(rows, r->rows, r->rows_used * sizeof *rows);
  return true;
}

/* Likewise. Rows of what can be reached are left to the reader, who has the verdicts. */
static bool store_verdicts(const struct result *r) {
  size_t words = verdict_words(r->entries), pairs = drag_rows(&r->drags, NULL);
  struct ul_drag *rows = table_replace_rows(UL_DRAGS, pairs);
  if ((!rows && pairs) || !table_extend(UL_VERDICT_WORDS, words)) return false;
  drag_rows(&r->drags, rows);
  for (size_t i = 0; i < words; i++)
    *(uint64_t *)table_at(UL_VERDICT_WORDS, i) = r->of_entries[i];
  for (size_t i = 0; i < r->larges; i++)
    ((struct ul_large *)table_at(UL_LARGES, i))->verdict = r->of_larges[i];
  __atomic_fetch_or(&recording->features, UL_FEATURE_VERDICTS | UL_FEATURE_LEAKS_ONLY,
                    __ATOMIC_RELEASE);
  return true;
}

void reach_forget(void) {
  recording->scan = (struct ul_scan){0};
  __atomic_fetch_and(&recording->features, ~(uint64_t)UL_FEATURE_VERDICTS,
                     __ATOMIC_RELAXED);
}

static void store_results(void) {
  const struct result *r = job.result;
  if (!store_rows(r) || !store_verdicts(r))
    return fail(recording->stop_errno ? recording->stop_errno : ENOSPC);
  struct ul_scan *s = &recording->scan;
  s->root_bytes = r->scan.root_bytes;
  s->heap_bytes = r->scan.heap_bytes;
  s->unreadable_pages = r->scan.unreadable_pages;
  memcpy(s->totals, r->scan.totals, sizeof s->totals);
  store_rescued(r->rescued);
  store_of_main(&r->of_main);
  recording->inherited_lost = r->inherited_lost;
  if (!r->stacks_known) fallback(UL_FB_STACKS_UNKNOWN);
  s->took_us = (os_monotonic_ns() - job.begun_ns) / 1000;
  s->leaders_unknown = r->extent == MARK_LOST;
  __atomic_store_n(&s->state, r->extent == MARK_REACHED ? UL_SCAN_PARTIAL : UL_SCAN_DONE,
                   __ATOMIC_RELEASE);
}

void reach_end(int child) {
  if (!child) return;
  int error = job.ended ? 0 : wait_for_copy(child, PHASE_SCANNING);
  if (error) return end_copy(child, error);
  if (!job.ended) os_wait(child);
  if (atomic_load(&job.result->phase) == PHASE_DONE)
    store_results();
  else
    fail(job.result->error ? job.result->error : ECHILD);
  let_go();
}
