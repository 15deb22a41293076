/* snapshot.c - see snapshot.h.
 *
 * When: at least wishes.interval_ms after the last one, and at least 1/256 of the run so
 * far, so that their number grows with the logarithm of the run; and if it is paid
 * (budget.c). Where that leaves FEW, others have no rows: to count is a third of the
 * work, and tells whether all together grows. Who allocates looks each LOOK_MS, for a
 * mark may be asked for from outside.
 *
 * How long: what was counted is of one moment; but where that would take more than two
 * milliseconds, of some 250,000 call sites on, it is only for peaks, marks and the last
 * one, and others are counted over the next ticks of the clock. The rows are made of that
 * in slices of SLICE steps, half a millisecond, by who allocates in these ticks. The last
 * snapshot is made at once, and so is a mark that the program itself asks for: it may be
 * killed the next moment. Nothing takes the place of a mark that is in work: a peak that
 * is met meanwhile is counted as missed (peak.c), and the next mark or the last snapshot
 * makes it first.
 *
 * Which are kept: UL_SNAPSHOT_SLOTS, of which the newest peak, the final one and that of
 * most waste, which says who keeps it (waste.c): a walk through the ledger, so it has to
 * be more by 1/WASTE_RISE each time.
 * When all slots are taken, the timed one goes whose neighbours are closest
 * together for its age: old times become sparse, recent ones stay dense; those without
 * rows go first. Marks, which the
 * program or a person asks for by name, stay: UL_MARKS, one of each name.
 *
 * The total is what the counters add up to, and the rows say: they are walked once, and
 * the heap's account is fitted to them. Nobody stops meanwhile; but who falls from a
 * peak waits until the picture of it has been taken (peak.c).
 *
 * The snapshot lock is outermost. Who is refused a timed one goes on without waiting. */
#include "account/snapshot.h"

#include "account/account.h"
#include "account/budget.h"
#include "account/peak.h"
#include "account/residency.h"
#include "account/rows.h"
#include "base/lock.h"
#include "base/os.h"
#include "base/page.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "ledger/ledger.h"
#include "recording/recording.h"
#include "recording/table.h"

#include <string.h>

enum { ELAPSED_SHARE = 256, TRIES = 3, LOOK_MS = 100 };
enum { SLICE = 32768, COUNTED_AT_ONCE = 16 * SLICE /* steps */ };
enum { FEW = 16 /* to each doubling of the run */ };
enum { WASTE_RISE = 8, WASTE_LEAST = 1 << 20 };

_Atomic uint64_t snapshot_look_ms = UINT64_MAX;
static _Atomic uint64_t due_ms = UINT64_MAX; /* the next timed one, or a slice */
static struct snapshot_wishes wishes = {.interval_ms = 10};

static struct lock lock;

/* ---- slots --------------------------------------------------------------------- */

static struct ul_snapshot *slot_at(uint32_t i) {
  return table_at(UL_SNAPSHOTS, i);
}

/* So far: their number grows to UL_SNAPSHOT_SLOTS. */
static uint32_t slots(void) {
  return (uint32_t)table_count(UL_SNAPSHOTS);
}

static bool older(uint32_t a, uint32_t b) {
  return slot_at(a)->ms < slot_at(b)->ms;
}

/* Which of the timed ones. */
enum choice { ANY, BARE, WITH_ROWS };

static bool is_chosen(const struct ul_snapshot *s, enum choice of) {
  return s->kind == UL_SNAPSHOT_TIMED && (of == ANY || (of == BARE) == !s->row_bytes);
}

/* By time; how many. */
static unsigned timed_in_order(uint32_t *order, enum choice of) {
  unsigned n = 0;
  for (uint32_t i = 0; i < slots(); i++) {
    if (!is_chosen(slot_at(i), of)) continue;
    unsigned at = n++;
    for (; at > 0 && older(i, order[at - 1]); at--)
      order[at] = order[at - 1];
    order[at] = i;
  }
  return n;
}

/* TABLE_NONE: there are too few. */
static uint32_t least_missed(uint64_t now, enum choice of) {
  uint32_t order[UL_SNAPSHOT_SLOTS], best = TABLE_NONE;
  unsigned n = timed_in_order(order, of);
  double least = 1e300;
  for (unsigned i = 1; i + 1 < n; i++) {
    if (order[i] == recording->waste_slot) continue;
    double gap = (double)(slot_at(order[i + 1])->ms - slot_at(order[i - 1])->ms);
    double age = (double)(now - slot_at(order[i])->ms) + (double)now / 8 + 1;
    if (gap / age >= least) continue;
    least = gap / age;
    best = order[i];
  }
  return best;
}

/* TABLE_NONE: the recording has no room for one. */
static uint32_t slot_for(enum ul_snapshot_kind kind, uint64_t now) {
  uint32_t unused = TABLE_NONE;
  for (uint32_t i = 0; i < slots(); i++) {
    uint32_t is = slot_at(i)->kind;
    if (is == UL_SNAPSHOT_FINAL && kind == UL_SNAPSHOT_FINAL) return i;
    if (is == UL_SNAPSHOT_FREE) unused = i;
  }
  if (unused != TABLE_NONE) return unused;
  if (slots() < UL_SNAPSHOT_SLOTS) return table_append(UL_SNAPSHOTS, 1);
  uint32_t bare = least_missed(now, BARE);
  return bare != TABLE_NONE ? bare : least_missed(now, ANY);
}

/* Around each change of a slot. */
static void sequence(struct ul_snapshot *s) {
  __atomic_store_n(&s->sequence, s->sequence + 1, __ATOMIC_SEQ_CST);
}

static void drop(struct ul_snapshot *slot) {
  sequence(slot);
  slot->kind = UL_SNAPSHOT_FREE;
  sequence(slot);
}

/* Where there is no room for the rows, timed snapshots go; without them, more is taken.
 */
static bool place_rows(struct ul_snapshot *s) {
  uint64_t room = rows_room(s);
  while (!rows_place(s, room)) {
    uint32_t i = least_missed(s->ms, WITH_ROWS);
    if (i != TABLE_NONE)
      drop(slot_at(i));
    else if (room != UINT64_MAX)
      room = UINT64_MAX;
    else
      return false;
  }
  return true;
}

static void say_bare(struct ul_snapshot *s) {
  s->row_bytes = 0;
  memset(s->rows, 0, sizeof s->rows);
  fallback(UL_FB_SNAPSHOT_BARE);
}

/* What is the heap's and resident, but not live; of the process as a whole the system
 * says how much is resident. */
static uint64_t waste_in(const struct ul_snapshot *s) {
  uint64_t held = s->mapped_bytes;
  if (s->rss_bytes && s->rss_bytes < held) held = s->rss_bytes;
  return held > s->live_bytes ? held - s->live_bytes : 0;
}

static bool is_of_most_waste(const struct ul_snapshot *s) {
  uint32_t last = recording->waste_slot;
  uint64_t most = last == UINT32_MAX ? 0 : slot_at(last)->waste_bytes;
  return s->kind == UL_SNAPSHOT_TIMED && s->waste_bytes >= WASTE_LEAST &&
         s->waste_bytes > most + most / WASTE_RISE;
}

static bool wants_waste(const struct ul_snapshot *s) {
  uint64_t unused = s->free_bytes + s->small_slack + s->large_slack;
  if (s->kind == UL_SNAPSHOT_PEAK) return unused >= s->live_bytes / WASTE_RISE;
  bool is_paid = s->kind != UL_SNAPSHOT_TIMED || !budget_wait_ms(BUDGET_WASTE);
  return is_paid && is_of_most_waste(s);
}

/* One with its rows is paid in so long; one without, if that would leave few. */
static uint64_t or_without_rows(uint64_t wait) {
  if (wait < recording_ms() / FEW) return wait;
  uint64_t total = budget_wait_ms(BUDGET_TOTAL);
  return total < wait ? total : wait;
}

/* ---- the one in work ----------------------------------------------------------- */

static struct {
  struct ul_snapshot s;
  enum budget pays;
  enum rows_state counted, made; /* so far */
  _Atomic bool open;             /* not all is done */
} work;

static uint64_t timed_due_ms; /* due_ms, but for what is in work */

static void look_before(uint64_t due) {
  uint64_t look = recording_ms() + LOOK_MS;
  atomic_store_explicit(&snapshot_look_ms, due < look ? due : look, memory_order_relaxed);
}

static uint64_t due(void) {
  return atomic_load_explicit(&due_ms, memory_order_relaxed);
}

void snapshot_set_due(uint64_t ms) {
  atomic_store_explicit(&due_ms, ms, memory_order_relaxed);
  look_before(ms);
}

bool snapshot_is_due(void) {
  uint64_t ms = due();
  if (recording_ms() >= ms) return true;
  look_before(ms);
  return false;
}

static void write_slot(struct ul_snapshot *slot, struct ul_snapshot *s) {
  sequence(slot);
  s->sequence = slot->sequence;
  *slot = *s;
  sequence(slot);
}

/* The name is that of the newest one. */
static void drop_marks_before(uint32_t newest) {
  const struct ul_snapshot *s = slot_at(newest);
  for (uint32_t i = 0; i < slots(); i++)
    if (i != newest && slot_at(i)->kind == UL_SNAPSHOT_MARK &&
        slot_at(i)->mark == s->mark)
      drop(slot_at(i));
}

static bool publish(struct ul_snapshot *s, bool with_rows) {
  uint32_t i = slot_for(s->kind, s->ms);
  if (i == TABLE_NONE) return false;
  bool most_waste = is_of_most_waste(s) && s->rows[UL_ROW_WASTE];
  drop(slot_at(i));
  if (work.pays != BUDGET_TOTAL && (!with_rows || !place_rows(s))) say_bare(s);
  write_slot(slot_at(i), s);
  if (most_waste && s->row_bytes) recording->waste_slot = i;
  if (s->kind == UL_SNAPSHOT_MARK) drop_marks_before(i);
  if (s->kind != UL_SNAPSHOT_PEAK) return true;
  if (recording->peak_slot != UINT32_MAX) drop(slot_at(recording->peak_slot));
  recording->peak_slot = i;
  peak_published();
  return true;
}

/* Without memory there are no rows, and nobody has counted blocks. */
static void count_bytes(void) {
  struct book_totals t = book_totals();
  work.s.live_bytes = t.live_bytes > 0 ? (uint64_t)t.live_bytes : 0;
}

/* Without rows a timed one is where one with rows is too dear. */
static enum budget payer(enum ul_snapshot_kind kind) {
  if (kind == UL_SNAPSHOT_PEAK) return BUDGET_PEAK;
  if (kind != UL_SNAPSHOT_TIMED) return BUDGET_NONE;
  return budget_wait_ms(BUDGET_TIMED) ? BUDGET_TOTAL : BUDGET_TIMED;
}

/* Where more is live than there is room for, a second look may be luckier. */
static void begin(enum ul_snapshot_kind kind, uint32_t mark, int64_t *steps) {
  bool ended = kind == UL_SNAPSHOT_FINAL && recording->end_ms;
  uint64_t now = ended ? recording->end_ms : recording_ms();
  bool fits = false;
  rows_done();
  work.made = ROWS_NOT_YET;
  work.pays = payer(kind);
  for (int try = 0; !fits && try < TRIES; try++) {
    work.s = (struct ul_snapshot){.ms = now, .kind = kind, .mark = mark};
    work.counted = rows_begin() ? rows_count(&work.s, steps) : ROWS_FAILED;
    if (work.counted == ROWS_NOT_YET) return;
    if (work.counted == ROWS_FAILED) count_bytes();
    fits = account_take(&work.s);
  }
}

/* All is counted, and there is an account of it. */
static void prepare(void) {
  work.s.rss_bytes = residency_rss();
  work.s.waste_bytes = waste_in(&work.s);
  bool rows = work.counted == ROWS_MADE && work.pays != BUDGET_TOTAL;
  bool wastes = rows && wants_waste(&work.s), can = rows && rows_prepare(wastes);
  if (wastes && work.pays == BUDGET_TIMED) work.pays = BUDGET_WASTE;
  work.made = can ? ROWS_NOT_YET : ROWS_FAILED;
  if (work.s.kind == UL_SNAPSHOT_PEAK) peak_pictured((int64_t)work.s.live_bytes);
}

static void go_on_counting(int64_t *steps) {
  work.counted = rows_count(&work.s, steps);
  if (work.counted == ROWS_NOT_YET) return;
  account_take(&work.s);
  prepare();
}

static void schedule(void) {
  uint64_t now = work.s.ms;
  uint64_t wait = or_without_rows(budget_pause_ms(BUDGET_TIMED));
  if (wishes.interval_ms > wait) wait = wishes.interval_ms;
  if (now / ELAPSED_SHARE > wait) wait = now / ELAPSED_SHARE;
  timed_due_ms = now + wait;
}

/* Go on with it until it is done, or so many steps are. true: it is in its slot. */
static bool go_on(int64_t steps, uint64_t since_ns) {
  if (work.counted == ROWS_NOT_YET) go_on_counting(&steps);
  if (work.counted != ROWS_NOT_YET && work.made == ROWS_NOT_YET)
    work.made = rows_make(&work.s, &steps);
  work.open = work.made == ROWS_NOT_YET;
  bool published = !work.open && publish(&work.s, work.made == ROWS_MADE);
  if (!work.open) rows_done();
  budget_spend(work.pays, since_ns);
  if (work.s.kind == UL_SNAPSHOT_TIMED && !work.open) schedule();
  snapshot_set_due(work.open ? recording_ms() + 1 : timed_due_ms);
  return published;
}

/* The same, of one that was begun before: who asked for a mark is not here any more. */
static void go_on_later(int64_t steps) {
  bool of_mark = work.s.kind == UL_SNAPSHOT_MARK;
  bool published = go_on(steps, os_thread_ns());
  if (of_mark && !work.open && !published) fallback(UL_FB_MARK_LOST);
}

bool snapshot_marks_now(void) {
  return work.open && work.s.kind == UL_SNAPSHOT_MARK;
}

/* ---- taking one ---------------------------------------------------------------- */

/* Which pages are written is watched from 1 s on, and anew each time the run has become
 * twice as long: what was not written since then was idle for at least half the run. */
static void watch_writes(uint64_t now) {
  static uint64_t next = 1000;
  if (now < next) return;
  next = now * 2;
  if (!residency_mark_writes()) next = UINT64_MAX;
}

/* Inside, so that nobody takes the heap over meanwhile; before the arena lock, which who
 * has taken it over may want. At the end of the process a thread that could not be
 * stopped may come here late: what others freed of its heap since is still in the ledger.
 */
static void check(struct heap *h) {
  uint32_t was = heap_enter(h);
  arena_lock();
  arena_check();
  if (!was) { /* else a handler, in the middle of the thread's work on its pools */
    heap_check(h);
    if (process_recording()) ledger_check(h);
  }
  arena_unlock();
  heap_leave(h, was);
}

/* What is now takes the place of a timed one that is in work, which is taken afterwards,
 * and a peak that of the peak before. The last one and marks wait for a peak that is in
 * work, and all for a mark; `at_once` also for its own rows. false: it cannot be. */
static bool take_locked(struct heap *h, enum ul_snapshot_kind kind, uint32_t mark,
                        bool at_once) {
  bool waits = kind == UL_SNAPSHOT_FINAL || kind == UL_SNAPSHOT_MARK;
  bool peaks = work.open && work.s.kind == UL_SNAPSHOT_PEAK;
  if (snapshot_marks_now() || (peaks && waits)) go_on_later(INT64_MAX);
  uint64_t since_ns = os_thread_ns();
  if (!work.open)
    timed_due_ms = due();
  else if (work.s.kind == UL_SNAPSHOT_TIMED)
    timed_due_ms = work.s.ms;
  int64_t steps = kind == UL_SNAPSHOT_TIMED ? COUNTED_AT_ONCE : INT64_MAX;
  begin(kind, mark, &steps);
  if (work.counted != ROWS_NOT_YET) prepare();
  steps = at_once ? INT64_MAX : SLICE - (int64_t)table_count(UL_SITES);
  bool made = go_on(steps, since_ns) || work.open;
  if (wishes.check) check(h);
  if (wishes.writes && kind == UL_SNAPSHOT_TIMED) watch_writes(work.s.ms);
  return made;
}

void snapshot_begin(const struct snapshot_wishes *wanted) {
  wishes = *wanted;
}

/* Somebody else may be taking one. For the final one there is no later moment. A peak and
 * what is to be marked would be gone, too: who is there waits, if he can. */
static bool take_lock(enum ul_snapshot_kind kind) {
  if (lock_try(&lock)) return true;
  if (kind == UL_SNAPSHOT_TIMED) return false;
  if (kind != UL_SNAPSHOT_FINAL && thread_state.locks) {
    fallback(UL_FB_SNAPSHOT_SKIPPED);
    return false;
  }
  lock_take(&lock);
  return true;
}

static bool is_paid(void) {
  uint64_t wait = or_without_rows(budget_wait_ms(BUDGET_TIMED));
  if (wait) snapshot_set_due(recording_ms() + wait);
  return !wait;
}

/* The same peak may have been taken meanwhile. */
static bool take_turn(enum ul_snapshot_kind kind) {
  if (!take_lock(kind)) return false;
  if (kind == UL_SNAPSHOT_PEAK ? peak_is_due() : kind == UL_SNAPSHOT_FINAL || is_paid())
    return true;
  lock_give(&lock);
  return false;
}

static bool may_take(enum ul_snapshot_kind kind) {
  unsigned busy = thread_state.busy;
  if (kind == UL_SNAPSHOT_FINAL) busy &= ~(unsigned)BUSY_LAST_WORDS;
  return !busy && !thread_state.in_arena && !recording_stopped();
}

void snapshot_take(struct heap *h, enum ul_snapshot_kind kind) {
  if (!may_take(kind)) return;
  struct busy_before before = busy_enter(BUSY_SNAPSHOT);
  if (take_turn(kind)) {
    take_locked(h, kind, 0, kind == UL_SNAPSHOT_FINAL);
    lock_give(&lock);
  }
  busy_leave(before);
}

bool snapshot_go_on(void) {
  if (!work.open) return false;
  struct busy_before before = busy_enter(BUSY_SNAPSHOT);
  if (lock_try(&lock)) {
    if (work.open) go_on_later(SLICE);
    lock_give(&lock);
  }
  busy_leave(before);
  return true;
}

/* ---- marks --------------------------------------------------------------------- */

/* NULL: there is none of that name. */
static struct ul_snapshot *mark_called(const char *name) {
  for (uint32_t i = 0; i < slots(); i++) {
    struct ul_snapshot *s = slot_at(i);
    if (s->kind == UL_SNAPSHOT_MARK && strcmp(table_at(UL_TEXT, s->mark), name) == 0)
      return s;
  }
  return NULL;
}

bool snapshot_is_marked(const char *name, uint64_t since_ms) {
  const struct ul_snapshot *s = mark_called(name);
  return s && s->ms >= since_ms;
}

unsigned snapshot_marks(void) {
  unsigned n = 0;
  for (uint32_t i = 0; i < slots(); i++)
    n += slot_at(i)->kind == UL_SNAPSHOT_MARK;
  return n;
}

static bool mark_locked(struct heap *h, const char *name, bool at_once) {
  if (snapshot_marks_now()) go_on_later(INT64_MAX);
  struct ul_snapshot *before = mark_called(name);
  if (!ul_mark_is_name(name) || (!before && snapshot_marks() >= UL_MARKS)) return false;
  uint32_t text = before ? before->mark : table_text(name, strlen(name));
  return text && take_locked(h, UL_SNAPSHOT_MARK, text, at_once);
}

bool snapshot_mark(struct heap *h, const char *name, bool at_once) {
  if (thread_state.busy || thread_state.in_arena || recording_stopped()) return false;
  struct busy_before before = busy_enter(BUSY_SNAPSHOT);
  bool made = false;
  if (take_lock(UL_SNAPSHOT_MARK)) {
    made = mark_locked(h, name, at_once);
    if (!made) fallback(UL_FB_MARK_LOST);
    lock_give(&lock);
  }
  busy_leave(before);
  return made;
}

/* ---- fork ---------------------------------------------------------------------- */

void snapshot_reset(void) {
  for (uint32_t i = 0; i < slots(); i++)
    memset(slot_at(i), 0, sizeof(struct ul_snapshot));
  recording->peak_slot = recording->waste_slot = UINT32_MAX;
  work.open = false;
  budget_reset();
  rows_reset();
  peak_reset();
}

bool snapshot_try_hold(void) {
  return lock_try(&lock);
}
void snapshot_hold(void) {
  lock_take(&lock);
}
void snapshot_release(void) {
  lock_give(&lock);
}
void snapshot_fork_child(void) {
  lock_renew(&lock);
}
