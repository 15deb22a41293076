/* process.c - phases of the process (enum process_phase), as ullage sees it.
 *
 *   begun      by the first malloc, perhaps from the loader: process_begin() reads the
 *              settings, makes the page and the recording. Sites are "early".
 *   starting   at the first allocation by anybody but the loader, or in our
 *              constructor: the unwinder is made ready, the first snapshot taken.
 *   started    stacks are walked.
 *   finished   the last words: a final snapshot, the account of the address space,
 *              the leak scan; then nothing is recorded any more. Only a failed exec
 *              leads back from here.
 *
 * The end comes through one of: on_exit (return from main, exit, the last
 * thread's end), quick_exit, _exit and _Exit, abort, exec. Our on_exit handler is
 * registered before any other, so it runs last. A death by a signal
 * or a raw exit_group is not seen here: the ledger is right all the same, and
 * `ullage run` adds how it ended.
 *
 * Children. fork: our handlers take all locks, copy the recording's used
 * parts and close a gate (lock.h); the child puts the copy in place of the file. It gets
 * a file of its own when it lives for SETTLE_MS, starts a thread, or has something to
 * tell at its end: most children exec at once. vfork, posix_spawn: the child runs in our
 * memory with another pid; it may allocate, and nothing else is done for it. Raw clone
 * without handlers: the wiped page reads 0; the child goes on as an allocator that
 * records nothing. What may be lost in a forked child: the heaps of the threads that are
 * not there (quarantined), and what they had on their stacks. */
#include "process/process.h"

#include "account/limits.h"
#include "account/residency.h"
#include "account/share.h"
#include "account/snapshot.h"
#include "base/lock.h"
#include "base/meta.h"
#include "base/os_thread.h"
#include "base/page.h"
#include "base/say.h"
#include "heap/arena.h"
#include "heap/class.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "ledger/guard.h"
#include "ledger/intern.h"
#include "ledger/ledger.h"
#include "ledger/misuse.h"
#include "ledger/sample.h"
#include "ledger/site.h"
#include "ledger/strip.h"
#include "pattern.h"
#include "process/child.h"
#include "process/file.h"
#include "process/settings.h"
#include "process/streams.h"
#include "reach/freeze.h"
#include "reach/reach.h"
#include "recording/recording.h"
#include "recording/table.h"
#include "stack/caller.h"
#include "stack/module.h"
#include "stack/stack.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SETTLE_MS = 20 };

_Atomic enum process_phase process_phase;

static int self_pid;    /* 0 before the beginning */
static int begin_error; /* why nothing is recorded */
static bool unwanted;   /* nothing is to be recorded: no reason for any system call */

static void start(void);

/* false: somebody has been here before. */
static bool advance(enum process_phase to) {
  enum process_phase from = atomic_load(&process_phase);
  while (from < to)
    if (atomic_compare_exchange_weak(&process_phase, &from, to)) return true;
  return false;
}

/* A forked child that has no file yet? */
static bool unsettled(void) {
  return recording && recording->forked && !recording_in_file() && !recording_stopped();
}

/* ---- beginning ----------------------------------------------------------------- */

static uint32_t class_bytes_of(unsigned class) {
  return class_bytes(class);
}

/* Before there is a recording that knows. */
static bool is_of_programs(void) {
  char path[PATH_MAX];
  if (strcmp(settings.programs, "*") == 0) return true;
  ssize_t n = os_link_target("/proc/self/exe", path, sizeof path - 1);
  if (n < 0) return true;
  path[n] = 0;
  return pattern_of_path(settings.programs, path);
}

static bool wanted(void) {
  if (!settings.record) return false;
  if (settings.main_pid == self_pid) return true;
  return (settings.children || !settings.main_pid) && is_of_programs();
}

/* Nobody else has been in the recording yet, so that its memory, once it is the file's,
 * never moves, whatever threads there will be and whoever makes them. */
static bool begin_recording(void) {
  if (!wanted()) return false;
  begin_error = recording_begin(class_bytes_of) ? 0 : -ENOMEM;
  if (begin_error) return false;
  recording_identify();
  begin_error = file_open();
  if (begin_error) table_abandon();
  return begin_error == 0;
}

static void begin(void) {
  say_begin(file_speaks_for_all);
  settings_read();
  if (settings.faults) os_inject_faults(settings.faults);
  self_pid = os_pid();
  page_begin();
  if (settings.frees) page_watch_frees();
  if (settings.guard) guard_begin();
  bool recorded = begin_recording();
  if (recorded) strip_watch();
  page_set_recording(recorded);
  advance(PHASE_BEGUN);
}

void process_begin(void) {
  static struct lock lock;
  static _Atomic bool done;
  uint64_t signals;
  if (done) return;
  lock_take_masked(&lock, &signals);
  if (!done) begin();
  done = true;
  lock_give_masked(&lock, signals);
}

/* Locks must not be waited for, nothing of the parent's recording be touched. */
static void become_unrecorded(void) {
  strip_unwatch();
  table_abandon();
}

static void do_not_record(void) {
  page_set_recording(false);
  strip_unwatch();
}

/* ---- locks --------------------------------------------------------------------- */

/* Who has the first of them waits for nobody outside but in fork(). */
static void lock_rest(void) {
  heap_fork_prepare();
  intern_fork_prepare();
  stack_fork_prepare();
  arena_fork_prepare();
  table_lock();
  meta_fork_prepare();
}

static void lock_all(void) {
  snapshot_hold();
  lock_rest();
}

static void unlock_all(void) {
  meta_fork_parent();
  table_unlock();
  arena_fork_parent();
  stack_fork_parent();
  intern_fork_parent();
  heap_fork_parent();
  snapshot_release();
}

/* ---- fork ---------------------------------------------------------------------- */

static struct lock fork_lock; /* one at a time: there is one copy */

/* What the thread that forks remembers from prepare to parent or child. */
static _Thread_local struct {
  uint64_t signals;
  uint32_t passed;
  bool prepared; /* false: in a handler that has interrupted ourselves */
} forking __attribute__((tls_model("initial-exec")));

static void prepare_copy(void) {
  if (!settings.children || !process_recording()) return;
  recording_identify_process();
  if (os_confined())
    fallback(UL_FB_CHILD_UNRECORDED); /* it could not have a file */
  else
    recording_copy();
}

/* Handlers run in the reverse order of their registration, and ours was among the first:
 * after it come libc's own locks. */
static void fork_prepare(void) {
  os_hold_signals(&forking.signals);
  process_check_fork();
  forking.prepared = thread_state.locks == 0;
  if (!forking.prepared) return;
  lock_take(&fork_lock);
  file_will_fork();
  lock_all();
  prepare_copy();
  forking.passed = lock_fork_begin();
  unlock_all();
}

static void fork_parent(void) {
  if (recording) __atomic_fetch_add(&recording->children, 1, __ATOMIC_RELAXED);
  file_has_forked();
  if (forking.prepared) {
    lock_fork_end();
    recording_drop_copy();
    lock_give(&fork_lock);
  }
  os_release_signals(forking.signals);
}

static bool is_inherited(uint32_t site) {
  return ul_is_inherited(recording, site);
}
static bool is_ours(uint32_t site) {
  return site != UL_SITE_ULLAGE && !is_inherited(site);
}

/* The mark that somebody has asked for, while it is made. */
static struct {
  _Atomic bool in_work;
  uint64_t ms;
  char name[UL_MARK_BYTES];
} asked;

/* The site of this process's blocks whose stack is not looked up. */
static uint32_t make_sample_site(void) {
  uint32_t site =
      table_count(UL_SITES) < UL_SITES_MAX ? table_append(UL_SITES, 1) : TABLE_NONE;
  return recording->sample_site = site == TABLE_NONE ? UL_SITE_OVERFLOW : site;
}

static void begin_sampling(void) {
  uint32_t site = make_sample_site();
  recording->sample_bytes = settings.sample;
  recording->features |= UL_FEATURE_SAMPLED;
  sample_begin(settings.sample, settings.sample_seed, site);
}

/* What is live was allocated by the parent, on sites that are its own. */
static void inherit(void) {
  recording->inherited_sites = (uint32_t)table_count(UL_SITES);
  recording->features |= UL_FEATURE_INHERITED;
  ledger_forget_history();
  recording->inherited = ledger_allocated(is_inherited);
  recording->sampled_ms = recording->sampled_work = 0;
  if (sample_bytes) sample_renew(make_sample_site());
  if (sample_watches) share_begin(settings.sample_share);
  site_begin_anew(thread_state.heap);
}

/* The child's history begins here. */
static void forget_history(void) {
  if (misuse_any()) memset(recording->misuses, 0, sizeof recording->misuses);
  guard_forget_history();
  memset(recording->fallbacks, 0, sizeof recording->fallbacks);
  recording->missed_bytes = recording->missed_ms = 0;
  memset(&recording->scan, 0, sizeof recording->scan);
  snapshot_reset();
}

/* `undisturbed`: nobody was in the middle of anything. */
static void renew_locks(bool undisturbed) {
  lock_renew(&fork_lock);
  meta_fork_child();
  table_fork_child();
  if (undisturbed)
    arena_fork_child();
  else if (arena_raw_fork_child())
    large_raw_fork_child();
  stack_fork_child();
  intern_fork_child();
  snapshot_fork_child();
}

void process_check_fork(void) {
  if (LIKELY(!page_wiped())) return;
  page_renew();
  fallback(UL_FB_CHILD_UNRECORDED); /* in the parent's recording, still shared */
  become_unrecorded();
  lock_fork_end();
  renew_locks(false);
  heap_fork_child();
}

/* Tables that are private memory stay: what was interrupted may go on to write there. */
static void stay_unrecorded(int error) {
  if (error && error != -ENODATA) {
    become_unrecorded();
  } else {
    strip_unwatch();
    recording_stop(UL_STOP_NONE, 0);
  }
}

static void become_child(void) {
  bool was_recording =
      recording && !recording_stopped() && process_phase != PHASE_FINISHED;
  bool undisturbed = forking.prepared && lock_forked_alone(forking.passed);
  lock_fork_end();
  if (forking.prepared) lock_give(&fork_lock);
  renew_locks(undisturbed);
  if (was_recording && !undisturbed) fallback(UL_FB_CHILD_UNRECORDED);
  int error = recording_become_copy();
  bool mine =
      !error && undisturbed && was_recording && settings.record && settings.children;
  page_renew();
  if (recording && !mine) stay_unrecorded(error);
  heap_fork_child();
  self_pid = os_pid();
  if (!mine) return;
  recording->forked = 1;
  recording->forked_ms = recording_ms();
  recording->state = UL_STATE_RUNNING;
  recording->children = 0;
  forget_history();
  inherit();
  recording_forked();
  page_set_recording(true);
  recording->ask.state = UL_ASK_NONE; /* the parent was asked */
  if (asked.in_work) asked.in_work = false;
  snapshot_set_due(recording->forked_ms + SETTLE_MS);
  if (file_is_heir()) process_settle();
  file_has_forked();
}

static void fork_child(void) {
  if (page_begun()) become_child();
  os_release_signals(forking.signals);
}

/* ---- the file ------------------------------------------------------------------ */

/* `alone`: nobody else is writing into the tables. `for_good`: there is no other chance.
 */
static void settle(bool alone, bool for_good) {
  if (!unsettled() || os_pid() != self_pid) return;
  int error = alone ? file_open() : -EBUSY;
  bool may_pass = error == -EMFILE || error == -ENFILE;
  if (!error || (may_pass && !for_good)) return;
  file_failed(error);
  recording_stop(UL_STOP_NO_SPACE, -error);
}

/* There may be threads that we were not told of (a raw clone, a timer's). */
static bool has_one_thread(void) {
  return os_threads() <= 1;
}

void process_settle(void) {
  if (unsettled()) settle(has_one_thread(), false);
}

void process_give_up(void) {
  process_settle();
  if (recording && recording_in_file() && os_pid() == self_pid)
    recording_lengthen_fully();
}

void process_become(unsigned user) {
  process_give_up();
  bool gives_up = user != 0 && user != UINT32_MAX && os_user() == 0;
  if (gives_up && recording && recording_in_file() && os_pid() == self_pid)
    file_make_heir(user);
}

/* ---- now and then -------------------------------------------------------------- */

static bool may_look(void) {
  return !thread_state.busy && !thread_state.in_arena && !recording_stopped();
}

static void take_snapshot(struct heap *h) {
  if (!may_look()) return;
  process_settle();
  struct busy_before before = busy_enter(BUSY_LOADING);
  stack_forget_unloaded();
  busy_leave(before);
  snapshot_take(h, UL_SNAPSHOT_TIMED);
}

/* Who asks has taken it back if that took too long. */
static void answer(enum ul_ask_state is) {
  uint32_t taken = UL_ASK_TAKEN;
  __atomic_compare_exchange_n(&recording->ask.state, &taken, is, false, __ATOMIC_RELEASE,
                              __ATOMIC_RELAXED);
}

static void answer_if_made(void) {
  if (LIKELY(!asked.in_work) || snapshot_marks_now()) return;
  if (!atomic_exchange(&asked.in_work, false)) return;
  answer(snapshot_is_marked(asked.name, asked.ms) ? UL_ASK_DONE : UL_ASK_REFUSED);
}

/* Who asks may take it back as long as nobody has taken it up. */
static void listen(struct heap *h) {
  struct ul_ask *ask = &recording->ask;
  uint32_t wanted = UL_ASK_WANTED;
  if (__atomic_load_n(&ask->state, __ATOMIC_RELAXED) != wanted || thread_state.locks ||
      !__atomic_compare_exchange_n(&ask->state, &wanted, UL_ASK_TAKEN, false,
                                   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
    return;
  memcpy(asked.name, ask->mark, sizeof asked.name);
  asked.name[sizeof asked.name - 1] = 0;
  asked.ms = recording_ms();
  if (snapshot_mark(h, asked.name, false))
    asked.in_work = true;
  else
    answer(UL_ASK_REFUSED);
}

/* From now on it is sampled; nobody else is here, and nobody forks. */
static void go_on_sampled(void) {
  sample_watches = false;
  recording->sampled_ms = recording_ms();
  recording->sampled_work = ledger_work(is_ours);
  begin_sampling();
  page_next_epoch();
}

static void watch_share(void) {
  struct busy_before before = busy_enter(BUSY_SNAPSHOT);
  if (os_pid() == self_pid && snapshot_try_hold()) {
    if (sample_watches && share_is_exceeded()) go_on_sampled();
    snapshot_release();
  }
  busy_leave(before);
}

void process_look(struct heap *h) {
  if (!may_look()) return;
  if (UNLIKELY(sample_watches)) watch_share();
  listen(h);
  if (snapshot_is_due() && !snapshot_go_on()) take_snapshot(h);
  answer_if_made();
}

bool process_mark(struct heap *h, const char *name) {
  if (!may_look()) return false;
  process_settle();
  return snapshot_mark(h, name, true);
}

/* ---- confinement ---------------------------------------------------------------- */

/* For a program that needs no memory of the system any more, and allows it none. */
enum { CONFINED_RESERVE = 128 << 10 };

/* A forked child without a file gets it now or never. */
static void settle_for_good(void) {
  if (!unsettled()) return;
  if (child_may_keep()) {
    settle(has_one_thread(), true);
  } else {
    recording->end_ms = recording_ms();
    child_fold();
    page_set_recording(false);
    become_unrecorded();
  }
}

static void prepare_confinement(void) {
  settle_for_good();
  if (!process_recording()) return;
  take_snapshot(heap_mine());
  recording_lengthen_fully();
  recording_reserve(CONFINED_RESERVE);
  struct ul_header *h = table_header_rest();
  uint64_t now = recording_ms();
  if (h) h->confined_ms = now ? now : 1;
}

bool process_confine(void) {
  process_check_fork();
  if (os_confined() || (self_pid && os_pid() != self_pid)) return false;
  int saved = errno;
  if (process_recording()) prepare_confinement();
  lock_all(); /* nobody is in the middle of anything else */
  os_confine(true);
  unlock_all();
  errno = saved;
  return true;
}

void process_unconfine(void) {
  os_confine(false);
  struct ul_header *h = recording ? table_header_rest() : NULL;
  if (h) h->confined_ms = 0;
}

/* ---- the end ------------------------------------------------------------------- */

/* The other threads are stopped first of all, so that the account, the ledger and the
 * heap that the scan sees are of one moment; and they stay so, for the process ends. What
 * they hold then nobody gives back: should the rest of the end wait for it, they go on.
 */
static struct thread_set others;
static struct caller ending; /* where the program itself was */
static struct main_frame own;
enum { REST_OF_THE_END_MS = 2000, STOP_TRIES = 10, STACK_BYTES = 128 * 1024 };

/* With the locks of the streams in our hands, which fork() waits for while it has ours:
 * so they are given back when ours cannot be had. */
static void lock_all_and_streams(void) {
  for (;;) {
    streams_hold();
    if (snapshot_try_hold()) return lock_rest();
    streams_release();
    os_sleep_ms(1);
  }
}

static void lock_for_stop(bool by_exit) {
  if (by_exit)
    lock_all_and_streams();
  else
    lock_all();
}
static void unlock_after_stop(bool by_exit) {
  unlock_all();
  if (by_exit) streams_release();
}

static void stop_others(bool by_exit) {
  lock_for_stop(by_exit);
  freeze(&others);
  bool more = others.unstopped > 0;
  unlock_after_stop(by_exit);
  for (int i = 0; i < STOP_TRIES && more; i++) {
    os_sleep_ms(1);
    lock_for_stop(by_exit);
    more = freeze_again(&others);
    unlock_after_stop(by_exit);
  }
}

static uint64_t pending_before; /* the last words */

/* Somebody wants the process to be gone: the scan is not what they wait for. */
static bool asked_to_end(void) {
  static const uint64_t asks = UINT64_C(1) << (SIGHUP - 1) | UINT64_C(1) << (SIGINT - 1) |
                               UINT64_C(1) << (SIGQUIT - 1) |
                               UINT64_C(1) << (SIGTERM - 1);
  return os_pending_signals() & ~pending_before & asks;
}

/* An exec may fail. Then those that could not be stopped must not have been unrecorded.
 */
static void stop_recording(enum ul_state end) {
  if (end != UL_STATE_EXECED) page_set_recording(false);
}

/* Recording goes on until the copy is made: a thread that cannot be stopped must not have
 * blocks in it that the ledger does not know. And the process is not over before the scan
 * is: who kills it meanwhile has ended it. */
static void scan(bool own_only) {
  enum ul_state end = recording->state;
  recording->state = UL_STATE_RUNNING;
  reach_heuristics = settings.heuristics;
  reach_own = own_only;
  reach_limit_s = settings.scan_limit;
  reach_enough = asked_to_end;
  lock_all();
  int child = reach_begin(&others, &ending, &own);
  unlock_all();
  stop_recording(end);
  reach_end(child);
  recording->state = end;
}

static void describe_address_space(void) {
  arena_lock();
  residency_collect();
  arena_unlock();
}

static void tell_all(bool scans) {
  describe_address_space();
  if (scans) scan(false);
}

/* A child that is not the main process: is a recording of it worth its file? Decided as
 * cheaply as can be, for a build has thousands of them. Nor is what it lost unknown when
 * there are recordings enough. `idle`: it has no last snapshot, unless somebody will look
 * at it after all. */
static void finish_child(bool scans, bool idle) {
  bool tell = child_has_something_to_tell(), keep = tell && child_may_keep();
  bool scanned = scans && !keep && child_might_have_leaks_to_tell();
  if (scanned) scan(true);
  if (scanned && !tell) keep = child_has_something_to_tell() && child_may_keep();
  if (keep) {
    /* For the scan the others are stopped. */
    settle(scans || has_one_thread(), true);
    limits_note();
    if (idle) snapshot_take(heap_mine(), UL_SNAPSHOT_FINAL);
    if (!recording_stopped()) tell_all(scans && !scanned);
  } else if (child_fold()) {
    recording_discard();
  } else if (idle) {
    snapshot_take(heap_mine(), UL_SNAPSHOT_FINAL);
  }
}

static bool is_idle_child(enum ul_state state) {
  bool is_main = recording_in_file() && file_is_main();
  return !is_main && state != UL_STATE_ABORTED && child_has_nothing_to_tell() &&
         has_one_thread();
}

struct end {
  enum ul_state state;
  int status;
  bool by_exit;                 /* through a handler of exit() */
  struct unwind_registers from; /* of the function that came to know */
};

/* Who aborts or executes another program is still at work; who exits in main is not. */
static bool find_caller(const struct end *end) {
  own = (struct main_frame){0};
  if (end->state != UL_STATE_EXITED) return caller_find(&end->from, &ending);
  return caller_find_beyond_main(&end->from, &ending, &own);
}

/* Most forked children exec at once: that is not worth even a line. */
static void finish(void *argument) {
  const struct end *end = argument;
  bool passes_on = end->state == UL_STATE_EXECED && unsettled();
  if (guard_on && !passes_on) guard_look_at_all(end->state != UL_STATE_EXECED);
  bool idle = passes_on || is_idle_child(end->state);
  bool scans = settings.scan && !idle;
  if (scans) {
    if (!find_caller(end)) fallback(UL_FB_CALLER_UNKNOWN);
    stop_others(end->by_exit);
  }
  if (!idle || snapshot_marks_now()) snapshot_take(heap_mine(), UL_SNAPSHOT_FINAL);
  answer_if_made();
  struct busy_before before = busy_enter(BUSY_LAST_WORDS);
  recording->status = end->state == UL_STATE_EXITED ? end->status & 0xff : end->status;
  recording->end_ms = recording_ms();
  recording->state = end->state;
  bool has_file = recording_in_file() && !recording_stopped();
  if (has_file && file_is_main())
    tell_all(scans);
  else if ((has_file || unsettled()) && !passes_on)
    finish_child(scans, idle);
  stop_recording(end->state);
  if (recording_in_file()) recording_close();
  file_say_bound();
  freeze_limit(REST_OF_THE_END_MS);
  busy_leave(before);
}

/* Called from a handler that interrupted us (a signal, then _exit), waiting for a lock
 * could be for ever. The ledger is right without last words. */
static bool may_finish(void) {
  if (unwanted || os_confined() || !process_started() || !recording || page_wiped())
    return false;
  if (thread_state.locks || thread_state.busy) return false;
  return os_pid() == self_pid; /* else: a vfork child in our memory */
}

/* On a stack of ours: that of the program may be one for signals, or a coroutine's, with
 * hardly any room. The copy that is scanned goes on on the same. */
static void finish_on_own_stack(struct end *end) {
  char *stack = meta_alloc(STACK_BYTES);
  if (stack)
    os_on_stack(stack + STACK_BYTES, finish, end);
  else
    finish(end);
  if (end->state == UL_STATE_EXECED) meta_free(stack, STACK_BYTES); /* it may fail */
}

/* With all signals blocked: a handler must not find our locks taken. What comes in
 * meanwhile the program would not have lived to see, so it goes no further; unless it
 * goes on as another program, or after all. */
static void finish_once(enum ul_state state, int status, bool by_exit) {
  struct end end = {.state = state, .status = status, .by_exit = by_exit};
  int saved = errno;
  uint64_t signals;
  if (!may_finish()) return;
  os_hold_signals(&signals);
  pending_before = os_pending_signals();
  unwind_registers_here(&end.from);
  if (advance(PHASE_FINISHED)) finish_on_own_stack(&end);
  if (state != UL_STATE_EXECED) os_take_signals(os_pending_signals() & ~pending_before);
  os_release_signals(signals);
  errno = saved;
}

void process_finish(enum ul_state state, int status) {
  finish_once(state, status, false);
}

void process_exec(const char *program) {
  if (!may_finish()) return;
  if (!recording->exec || strcmp(table_at(UL_TEXT, recording->exec), program) != 0)
    recording->exec = table_text(program, strlen(program));
  process_finish(UL_STATE_EXECED, 0);
}

void process_resume(void) {
  if (!may_finish() || process_phase != PHASE_FINISHED) return;
  thaw();
  if (recording_stopped()) return;
  recording->state = UL_STATE_RUNNING;
  recording->end_ms = 0;
  reach_forget();
  recording_reopen();
  fallback(UL_FB_EXEC_FAILED);
  process_phase = PHASE_STARTED;
}

static void at_exit(int status, void *unused) {
  (void)unused;
  if (may_finish()) streams_write_out();
  finish_once(UL_STATE_EXITED, status, true);
}

/* ---- the start ----------------------------------------------------------------- */

static void start_sampling(void) {
  struct module_unwind loader;
  if (!settings.sample) return;
  if (module_find(module_loader(), &loader)) sample_set_loader(loader.start, loader.end);
  sample_watches = settings.sample_later;
  if (sample_watches)
    share_begin(settings.sample_share);
  else
    begin_sampling();
}

static void start_recording(void) {
  recording->depth_limit = site_depth_limit = settings.depth;
  site_stacks_limit = settings.stacks;
  misuse_deadly = settings.abort_on;
  if (guard_on) recording->features |= UL_FEATURE_GUARDED;
  snapshot_begin(&(struct snapshot_wishes){
      .interval_ms = settings.snapshot_ms,
      .check = settings.check,
      .writes = settings.writes,
  });
  struct busy_before before = busy_enter(BUSY_LOADING);
  stack_start();
  start_sampling();
  busy_leave(before);
  if (file_is_main()) limits_note(); /* before they are met */
  on_exit(at_exit, NULL);
  take_snapshot(heap_mine()); /* where everything begins */
}

/* Other libraries' constructors run before ours and may allocate (C++ programs do, a
 * lot), so the first allocation made by anybody but the loader starts us. Before libc's
 * own initialization there is no environment. */
static bool may_start(struct entrance e) {
  struct dl_find_object caller;
  void *address = (void *)entrance_ip(e);
  if (!environ || thread_state.busy || _dl_find_object(address, &caller) != 0)
    return false;
  return (uint64_t)caller.dlfo_map_start != module_loader();
}

bool process_start_early(struct entrance e) {
  if (!process_started() && may_start(e)) start();
  return process_started();
}

__attribute__((constructor)) static void start(void) {
  if (!advance(PHASE_STARTING)) return;
  int saved = errno;
  process_begin();
  process_check_fork();
  if (begin_error) file_failed(begin_error);
  unwanted = !recording || os_confined();
  if (unwanted)
    do_not_record();
  else
    start_recording();
  pthread_atfork(fork_prepare, fork_parent, fork_child);
  advance(PHASE_STARTED);
  errno = saved;
}
