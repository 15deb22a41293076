/* share.c - what stacks cost is told by some that are timed (site.c), so that one of
 * them, after which the thread had to wait for its processor, may say that it was an age.
 * No window of time counts as more than itself, and one is not enough: it has to be too
 * much in more windows than not, for some in a row. So start-up, in which everything is
 * new, does not count for long. */
#include "account/share.h"

#include "base/os.h"
#include "ledger/book.h"

enum { WINDOW_NS = 50000000, WINDOWS = 4 };

static unsigned percent;
static struct {
  uint64_t process_ns, stacks_ns; /* when the last window ended */
  unsigned over; /* windows that were too much, less those that were not */
} seen;

static uint64_t stacks_ns(void) {
  return book_totals().timed_ns;
}

void share_begin(unsigned most) {
  percent = most;
  seen.process_ns = os_process_ns();
  seen.stacks_ns = stacks_ns();
  seen.over = 0;
}

bool share_is_exceeded(void) {
  uint64_t now = os_process_ns(), had = now - seen.process_ns;
  if (had < WINDOW_NS) return false;
  uint64_t all = stacks_ns(), stacks = all - seen.stacks_ns;
  if (stacks > had) stacks = had;
  if (stacks * 100 > had * percent)
    seen.over++;
  else if (seen.over)
    seen.over--;
  seen.process_ns = now;
  seen.stacks_ns = all;
  return seen.over >= WINDOWS;
}
