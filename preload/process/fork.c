/* fork.c - see fork.h. */
#include "process/fork.h"

#include "account/share.h"
#include "account/snapshot.h"
#include "base/lock.h"
#include "base/meta.h"
#include "base/os_thread.h"
#include "base/page.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "ledger/guard.h"
#include "ledger/intern.h"
#include "ledger/ledger.h"
#include "ledger/misuse.h"
#include "ledger/sample.h"
#include "ledger/site.h"
#include "ledger/strip.h"
#include "process/file.h"
#include "process/locks.h"
#include "process/parts.h"
#include "process/settings.h"
#include "recording/recording.h"
#include "recording/table.h"
#include "stack/stack.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { FORK_SETTLE_MS = 20 };

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
static void prepare(void) {
  os_hold_signals(&forking.signals);
  fork_check();
  forking.prepared = thread_state.locks == 0;
  if (!forking.prepared) return;
  lock_take(&fork_lock);
  file_will_fork();
  locks_take();
  prepare_copy();
  forking.passed = lock_fork_begin();
  locks_give();
}

static void parent(void) {
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

/* What is live was allocated by the parent, on sites that are its own. */
static void inherit(void) {
  recording->inherited_sites = (uint32_t)table_count(UL_SITES);
  recording->features |= UL_FEATURE_INHERITED;
  ledger_forget_history();
  recording->inherited = ledger_allocated(is_inherited);
  recording->sampled_ms = recording->sampled_work = 0;
  if (sample_bytes) sample_renew(process_make_sample_site());
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

void fork_check(void) {
  if (LIKELY(!page_wiped())) return;
  page_renew();
  fallback(UL_FB_CHILD_UNRECORDED); /* in the parent's recording, still shared */
  process_become_unrecorded();
  lock_fork_end();
  renew_locks(false);
  heap_fork_child();
}

/* Tables that are private memory stay: what was interrupted may go on to write there. */
static void stay_unrecorded(int error) {
  if (error && error != -ENODATA) {
    process_become_unrecorded();
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
  process_pid = os_pid();
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
  process_forget_asked();
  snapshot_set_due(recording->forked_ms + FORK_SETTLE_MS);
  if (file_is_heir()) process_settle();
  file_has_forked();
}

static void child(void) {
  if (page_begun()) become_child();
  os_release_signals(forking.signals);
}

void fork_begin(void) {
  pthread_atfork(prepare, parent, child);
}
