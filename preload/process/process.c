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
 * A forked child goes on from `started` with a recording of its own (fork.h), or as an
 * allocator that records nothing. */
#include "process/process.h"

#include "account/limits.h"
#include "account/peak.h"
#include "account/share.h"
#include "account/snapshot.h"
#include "base/lock.h"
#include "base/os_thread.h"
#include "base/page.h"
#include "base/say.h"
#include "heap/class.h"
#include "heap/heap.h"
#include "ledger/guard.h"
#include "ledger/ledger.h"
#include "ledger/misuse.h"
#include "ledger/sample.h"
#include "ledger/site.h"
#include "ledger/strip.h"
#include "pattern.h"
#include "process/child.h"
#include "process/end.h"
#include "process/file.h"
#include "process/fork.h"
#include "process/locks.h"
#include "process/parts.h"
#include "process/settings.h"
#include "recording/recording.h"
#include "recording/table.h"
#include "stack/module.h"
#include "stack/stack.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

_Atomic enum process_phase process_phase;

int process_pid;
bool process_unwanted;
static int begin_error; /* why nothing is recorded */

static void start(void);

bool process_advance(enum process_phase to) {
  enum process_phase from = atomic_load(&process_phase);
  while (from < to)
    if (atomic_compare_exchange_weak(&process_phase, &from, to)) return true;
  return false;
}

bool process_unsettled(void) {
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
  if (settings.main_pid == process_pid) return true;
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
  process_pid = os_pid();
  page_begin();
  if (settings.frees) page_watch_frees();
  if (settings.guard) guard_begin();
  bool recorded = begin_recording();
  if (recorded) strip_watch();
  page_set_recording(recorded);
  process_advance(PHASE_BEGUN);
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

void process_become_unrecorded(void) {
  strip_unwatch();
  table_abandon();
}

static void do_not_record(void) {
  page_set_recording(false);
  strip_unwatch();
}

/* ---- the file ------------------------------------------------------------------ */

void process_settle_now(bool alone, bool for_good) {
  if (!process_unsettled() || os_pid() != process_pid) return;
  int error = alone ? file_open() : -EBUSY;
  bool may_pass = error == -EMFILE || error == -ENFILE;
  if (!error || (may_pass && !for_good)) return;
  file_failed(error);
  recording_stop(UL_STOP_NO_SPACE, -error);
}

bool process_has_one_thread(void) {
  return os_threads() <= 1;
}

void process_settle(void) {
  if (process_unsettled()) process_settle_now(process_has_one_thread(), false);
}

void process_hurry(uint64_t ms) {
  if (process_unsettled()) snapshot_set_due(ms);
}

void process_give_up(void) {
  process_settle();
  if (recording && recording_in_file() && os_pid() == process_pid)
    recording_lengthen_fully();
}

void process_become(unsigned user) {
  process_give_up();
  bool gives_up = user != 0 && user != UINT32_MAX && os_user() == 0;
  if (gives_up && recording && recording_in_file() && os_pid() == process_pid)
    file_make_heir(user);
}

/* ---- now and then -------------------------------------------------------------- */

/* The mark that somebody has asked for, while it is made. */
static struct {
  _Atomic bool in_work;
  uint64_t ms;
  char name[UL_MARK_BYTES];
} asked;

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

void process_answer_if_made(void) {
  if (LIKELY(!asked.in_work) || snapshot_marks_now()) return;
  if (!atomic_exchange(&asked.in_work, false)) return;
  answer(snapshot_is_marked(asked.name, asked.ms) ? UL_ASK_DONE : UL_ASK_REFUSED);
}

void process_forget_asked(void) {
  if (asked.in_work) asked.in_work = false;
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

uint32_t process_make_sample_site(void) {
  uint32_t site =
      table_count(UL_SITES) < UL_SITES_MAX ? table_append(UL_SITES, 1) : TABLE_NONE;
  return recording->sample_site = site == TABLE_NONE ? UL_SITE_OVERFLOW : site;
}

static void begin_sampling(void) {
  uint32_t site = process_make_sample_site();
  recording->sample_bytes = settings.sample;
  recording->features |= UL_FEATURE_SAMPLED;
  sample_begin(settings.sample, settings.sample_seed, site);
}

static bool is_ours(uint32_t site) {
  return site != UL_SITE_ULLAGE && !ul_is_inherited(recording, site);
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
  if (os_pid() == process_pid && snapshot_try_hold()) {
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
  process_answer_if_made();
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
  if (!process_unsettled()) return;
  if (child_may_keep()) {
    process_settle_now(process_has_one_thread(), true);
  } else {
    recording->end_ms = recording_end_ms();
    child_fold();
    page_set_recording(false);
    process_become_unrecorded();
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
  fork_check();
  if (os_confined() || (process_pid && os_pid() != process_pid)) return false;
  int saved = errno;
  if (process_recording()) prepare_confinement();
  locks_take(); /* nobody is in the middle of anything else */
  os_confine(true);
  locks_give();
  errno = saved;
  return true;
}

void process_unconfine(void) {
  os_confine(false);
  struct ul_header *h = recording ? table_header_rest() : NULL;
  if (h) h->confined_ms = 0;
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
  peak_begin(settings.keep == KEEP_TELLING, !file_is_main());
  struct busy_before before = busy_enter(BUSY_LOADING);
  stack_start();
  start_sampling();
  busy_leave(before);
  if (file_is_main()) limits_note(); /* before they are met */
  end_begin();
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
  if (!process_advance(PHASE_STARTING)) return;
  int saved = errno;
  process_begin();
  fork_check();
  if (begin_error) file_failed(begin_error);
  process_unwanted = !recording || os_confined();
  if (process_unwanted)
    do_not_record();
  else
    start_recording();
  fork_begin();
  process_advance(PHASE_STARTED);
  errno = saved;
}
