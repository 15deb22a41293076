#include "account/budget.h"

#include "base/os.h"
#include "recording/recording.h"

#include <stdatomic.h>

/* Parts of busy time; peaks take more than their part, if there is much to be seen
 * (peak.c). In the first second it is twice that, but for peaks: what grows in a
 * program that runs no longer is told by pictures, of which 8 are needed and one of
 * 15,000 call sites takes a millisecond; the peak is told by the last one. */
static const uint64_t parts[BUDGETS] = {[BUDGET_NONE] = 1,
                                        [BUDGET_TIMED] = 100,
                                        [BUDGET_TOTAL] = 100,
                                        [BUDGET_PEAK] = 300,
                                        [BUDGET_WASTE] = 200};
static const uint64_t first_ns = 1000000000;
enum { FIRST_TIMES = 2 };
enum { FREE_NS = 1000000, IDLE = 2, ASLEEP = 16 };

static bool forked; /* there may be thousands of it, and few that anybody looks at */

static _Atomic uint64_t spent[BUDGETS], paid[BUDGETS];
static _Atomic int64_t had_ns, busy_ns, read_ms; /* the process's time, as far as read */

/* Who sleeps may be measured meanwhile; who waits for a processor should not pay for
 * that, and gets a larger part of the time. With many threads the kernel adds up for a
 * while. */
static uint64_t base_ns(void) {
  enum { FRESH_MS = 10 };
  int64_t now = (int64_t)recording_ms();
  if (now - read_ms >= FRESH_MS) {
    int64_t wall = (now - atomic_exchange(&read_ms, now)) * 1000000;
    int64_t total = (int64_t)os_process_ns();
    int64_t busy = total - atomic_exchange(&busy_ns, total);
    int64_t more = busy > wall / ASLEEP ? busy : wall / IDLE;
    if (more > 0) had_ns += more;
  }
  return (uint64_t)had_ns;
}

void budget_spend(enum budget of, uint64_t since_ns) {
  spent[of] += os_thread_ns() - since_ns;
}

static uint64_t allowed_ns(enum budget of, uint64_t base) {
  uint64_t first = base < first_ns ? base : first_ns;
  if (of == BUDGET_PEAK) first = 0;
  return (base + (FIRST_TIMES - 1) * first) / parts[of] +
         (forked ? FREE_NS / 4 : FREE_NS);
}

double budget_excess(enum budget of) {
  return (double)spent[of] / (double)allowed_ns(of, base_ns());
}

static uint64_t earned_in_ms(enum budget of, uint64_t ns, uint64_t base) {
  return ns * parts[of] / (base < first_ns ? FIRST_TIMES : 1) / 1000000;
}

uint64_t budget_wait_ms(enum budget of) {
  uint64_t base = base_ns(), allowed = allowed_ns(of, base);
  return spent[of] > allowed ? earned_in_ms(of, spent[of] - allowed, base) + 1 : 0;
}

uint64_t budget_pause_ms(enum budget of) {
  uint64_t all = spent[of], last = all - atomic_exchange(&paid[of], all);
  return earned_in_ms(of, last, base_ns());
}

void budget_reset(void) {
  forked = true;
  for (unsigned i = 0; i < BUDGETS; i++)
    spent[i] = paid[i] = 0;
  had_ns = 0;
  busy_ns = (int64_t)os_process_ns();
  read_ms = (int64_t)recording_ms();
}
