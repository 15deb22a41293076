/* peak.c - see peak.h.
 *
 * Live bytes are known exactly only as a sum over the heaps, and a heap's own share says
 * nothing: one thread allocates, another frees. So each heap has a window around what it
 * has last *reported*, and reports the difference to one global sum when it leaves it.
 * That is one atomic addition a window, however many heaps there are.
 *
 * A peak is new if it is higher than the last picture by 1/RISE; that far is the mark. It
 * is taken on the way down, just before the free that begins it. With
 *
 *     wanted = max(1/STEP of live bytes, 1/NEAR of what is missing to the mark) / heaps
 *
 * and at least STEP_LEAST *
 * windows are as wide as wanted when they are set, and none is wider than `reach`. When
 * so much is reported that `reach` is more than twice what is wanted now, all windows
 * are set anew. Therefore what is not reported is never more than 2 x wanted x heaps:
 *
 *     far from the mark   half of what is missing, so the mark is not passed unseen
 *     near it             2/STEP of live bytes
 *
 * and all windows are set only after something was reported as often as there are heaps.
 * Together less than 1 %; or 2 KiB a thread (8 KiB in all, if there are few) if that is
 * more. Windows are anybody's to write, and hints: who is outrun by another in the same
 * moment reports once too often, or one step late. What is reported is exact: each
 * exchange of it adds the difference to what it was.
 *
 * The cost. Pictures may take a share of the time (budget.c). When they have taken
 * e times that, a peak has to be e^3 times as much above the last picture as before; and
 * the less it is above, the deeper must be the fall: the product of both, in parts of
 * 1/RISE, has to be e^7. Small falls on the way up are then no end of a peak, but what is
 * much higher is taken at once. So a program that climbs over hundreds of falls through
 * 10^5 call sites pays little more than the share, and its last picture is still near the
 * peak. The highest sum without a picture is in the header (missed_bytes).
 *
 * Who falls while another takes the picture waits for it: else the others had freed what
 * is to be seen before the walk comes to it. */
#include "account/peak.h"

#include "account/budget.h"
#include "account/snapshot.h"
#include "base/os.h"
#include "heap/heap.h"
#include "recording/recording.h"

enum { RISE = 125, STEP = 1024, STEP_MIN = 4096, STEP_LEAST = 1024, NEAR = 4 };

static _Atomic int64_t reported, reach, pictured, highest, heaps;

static int64_t get(const _Atomic int64_t *word) {
  return atomic_load_explicit(word, memory_order_relaxed);
}
static void set(_Atomic int64_t *word, int64_t value) {
  atomic_store_explicit(word, value, memory_order_relaxed);
}
static int64_t most(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* ---- windows ------------------------------------------------------------------- */

static int64_t mark(void) {
  int64_t bytes = get(&pictured);
  return bytes + most(bytes / RISE, STEP_MIN);
}

static int64_t wanted(int64_t total) {
  int64_t step = most(most(total, get(&pictured)) / STEP, STEP_MIN);
  return most(most(step, (mark() - total) / NEAR) / most(get(&heaps), 1), STEP_LEAST);
}

static void open_window(struct book *b, int64_t width) {
  int64_t center = get(&b->reported);
  set(&b->ceiling, center + width);
  set(&b->floor, center - width);
}

static bool is_new(const struct book *b) {
  return get(&b->floor) == INT64_MAX;
}

static void open_windows(struct book *b, int64_t total) {
  int64_t width = wanted(total), widest = get(&reach);
  if (width > widest || width < widest / 2) set(&reach, width);
  if (width < widest / 2)
    for (struct heap *h = heap_first(); h; h = h->next)
      if (!is_new(book_of(h))) open_window(book_of(h), width);
  open_window(b, width);
}

/* The sum over all heaps, as far as it is known now. */
static int64_t report(struct book *b, int64_t live) {
  if (UNLIKELY(is_new(b))) atomic_fetch_add(&heaps, 1);
  int64_t more =
      live - atomic_exchange_explicit(&b->reported, live, memory_order_relaxed);
  return atomic_fetch_add_explicit(&reported, more, memory_order_relaxed) + more;
}

/* ---- pictures ------------------------------------------------------------------ */

static bool is_worth_it(int64_t top, int64_t after) {
  double e = budget_excess(BUDGET_PEAK);
  if (e <= 1) return true;
  double above = (double)(top - get(&pictured)) * RISE / (double)get(&pictured);
  double below = (double)(top - after) * RISE / (double)top;
  return above > e * e * e && above * below > e * e * e * e * e * e * e;
}

static void note_missed(int64_t top) {
  if (top <= (int64_t)recording->missed_bytes) return;
  recording->missed_ms = recording_ms();
  recording->missed_bytes = (uint64_t)top;
}

bool peak_is_due(void) {
  return get(&reported) > mark();
}

static void rose_to(int64_t total) {
  if (total > get(&highest)) set(&highest, total);
}

/* A child that is over within a second, and never held much, leaves a line with numbers:
 * nobody would look at a picture. */
static bool may_leave_a_line, is_child;
enum { BRIEF_MS = 1000, LITTLE = 4 << 20 }; /* as in child.c */

void peak_begin(bool children_leave_lines, bool child) {
  may_leave_a_line = children_leave_lines;
  is_child = child;
}

static bool is_brief(int64_t top) {
  return is_child && may_leave_a_line &&
         recording_ms() < recording->forked_ms + BRIEF_MS &&
         top < (int64_t)recording->inherited.bytes + LITTLE;
}

static void look(struct heap *h, int64_t total, int64_t after) {
  rose_to(total);
  if (total <= mark()) return;
  if (!snapshot_marks_now() && !is_brief(get(&highest)) &&
      is_worth_it(get(&highest), after))
    snapshot_take(h, UL_SNAPSHOT_PEAK);
  else
    note_missed(get(&highest));
}

void peak_pictured(int64_t live_bytes) {
  note_missed(most(live_bytes, get(&highest)));
  set(&pictured, most(live_bytes, get(&pictured)));
  set(&highest, 0);
}

void peak_published(void) {
  if ((int64_t)recording->missed_bytes <= mark()) recording->missed_bytes = 0;
}

/* ---- reports ------------------------------------------------------------------- */

void peak_rising(struct heap *h) {
  struct book *b = book_of(h);
  int64_t total = report(b, book_live(b));
  rose_to(total);
  open_windows(b, total);
}

void peak_falling(struct heap *h, size_t bytes) {
  struct book *b = book_of(h);
  int64_t live = book_live(b), total = report(b, live);
  look(h, total, total - (int64_t)bytes);
  open_windows(b, report(b, live - (int64_t)bytes));
}

void peak_reset(void) {
  int64_t n = 0, total = 0;
  is_child = true;
  for (struct heap *h = heap_first(); h; h = h->next, n++) {
    struct book *b = book_of(h);
    int64_t live = book_live(b);
    set(&b->reported, live);
    set(&b->ceiling, INT64_MIN);
    set(&b->floor, INT64_MIN);
    total += live;
  }
  set(&heaps, n);
  set(&reported, total);
  set(&pictured, 0);
  set(&highest, 0);
  set(&reach, 0);
  recording->missed_bytes = recording->missed_ms = 0;
}
