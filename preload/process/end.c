/* end.c - see end.h. */
#include "process/end.h"

#include "account/limits.h"
#include "account/mapping.h"
#include "account/residency.h"
#include "account/snapshot.h"
#include "base/lock.h"
#include "base/meta.h"
#include "base/os_thread.h"
#include "base/page.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "ledger/guard.h"
#include "process/child.h"
#include "process/file.h"
#include "process/locks.h"
#include "process/parts.h"
#include "process/settings.h"
#include "process/streams.h"
#include "reach/freeze.h"
#include "reach/reach.h"
#include "recording/recording.h"
#include "recording/table.h"
#include "stack/caller.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

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
    if (snapshot_try_hold()) return locks_take_rest();
    streams_release();
    os_sleep_ms(1);
  }
}

static void lock_for_stop(bool by_exit) {
  if (by_exit)
    lock_all_and_streams();
  else
    locks_take();
}
static void unlock_after_stop(bool by_exit) {
  locks_give();
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
  locks_take();
  int child = reach_begin(&others, &ending, &own);
  locks_give();
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
  mapping_forget();
}

/* A child that is not the main process: is a recording of it worth its file? Decided as
 * cheaply as can be, for a build has thousands of them. Nor is what it lost unknown when
 * there are recordings enough. `bare`: it has no last snapshot yet, and needs one only if
 * somebody will look at it. */
static void finish_child(bool scans, bool bare) {
  bool tell = child_has_something_to_tell(), keep = tell && child_may_keep();
  bool scanned = scans && !keep && child_might_have_leaks_to_tell();
  if (scanned) scan(true);
  if (scanned && !tell) keep = child_has_something_to_tell() && child_may_keep();
  if (keep) {
    /* For the scan the others are stopped. */
    process_settle_now(scans || process_has_one_thread(), true);
    limits_note();
    if (bare) snapshot_take(heap_mine(), UL_SNAPSHOT_FINAL);
    if (!recording_stopped()) tell_all(scans && !scanned);
  } else if (child_fold()) {
    recording_discard();
  } else if (bare) {
    snapshot_take(heap_mine(), UL_SNAPSHOT_FINAL);
  }
}

static bool is_main(void) {
  return recording_in_file() && file_is_main();
}

static bool is_idle_child(enum ul_state state) {
  return !is_main() && state != UL_STATE_ABORTED && child_has_nothing_to_tell() &&
         process_has_one_thread();
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
  bool passes_on = end->state == UL_STATE_EXECED && process_unsettled();
  if (guard_on && !passes_on) guard_look_at_all(end->state != UL_STATE_EXECED);
  bool idle = passes_on || is_idle_child(end->state);
  bool scans = settings.scan && !idle;
  if (scans) {
    if (!find_caller(end)) fallback(UL_FB_CALLER_UNKNOWN);
    stop_others(end->by_exit);
  }
  /* As long as nobody else runs, it may be taken after the scan as well. */
  bool bare = idle || (scans && !is_main() && !others.unstopped);
  if (!bare || snapshot_marks_now()) snapshot_take(heap_mine(), UL_SNAPSHOT_FINAL);
  process_answer_if_made();
  struct busy_before before = busy_enter(BUSY_LAST_WORDS);
  recording->status = end->state == UL_STATE_EXITED ? end->status & 0xff : end->status;
  recording->end_ms = recording_end_ms();
  recording->state = end->state;
  bool has_file = recording_in_file() && !recording_stopped();
  if (has_file && file_is_main())
    tell_all(scans);
  else if ((has_file || process_unsettled()) && !passes_on)
    finish_child(scans, bare);
  stop_recording(end->state);
  if (recording_in_file()) recording_close();
  file_say_bound();
  freeze_limit(REST_OF_THE_END_MS);
  busy_leave(before);
}

/* Called from a handler that interrupted us (a signal, then _exit), waiting for a lock
 * could be for ever. The ledger is right without last words. */
static bool may_finish(void) {
  if (process_unwanted || os_confined() || !process_started() || !recording ||
      page_wiped())
    return false;
  if (thread_state.locks || thread_state.busy) return false;
  return os_pid() == process_pid; /* else: a vfork child in our memory */
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
  if (process_advance(PHASE_FINISHED)) finish_on_own_stack(&end);
  if (state != UL_STATE_EXECED) os_take_signals(os_pending_signals() & ~pending_before);
  os_release_signals(signals);
  errno = saved;
}

void end_finish(enum ul_state state, int status) {
  finish_once(state, status, false);
}

void end_before_exec(const char *program) {
  if (!may_finish()) return;
  if (!recording->exec || strcmp(table_at(UL_TEXT, recording->exec), program) != 0)
    recording->exec = table_text(program, strlen(program));
  end_finish(UL_STATE_EXECED, 0);
}

void end_take_back(void) {
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

void end_begin(void) {
  on_exit(at_exit, NULL);
}
