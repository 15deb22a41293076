#include "account/budget.h"

#include "base/os.h"
#include "recording/recording.h"

#include <stdatomic.h>

/* Of busy time; peaks take more than their part, if there is much to be seen (peak.c).
 * What is free is some thirty pictures of 10,000 call sites, with which the growth of a
 * program that runs for a second or two can be told. */
static const uint64_t shares[] = {[UL_SNAPSHOT_TIMED] = 100, [UL_SNAPSHOT_PEAK] = 300};
static const uint64_t free_ns[] = {
    [UL_SNAPSHOT_TIMED] = 5000000, [UL_SNAPSHOT_PEAK] = 1000000};
enum { IDLE = 2, ASLEEP = 16 };

static _Atomic uint64_t spent[UL_SNAPSHOT_KINDS];
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

void budget_spend(enum ul_snapshot_kind kind, uint64_t since_ns) {
  spent[kind] += os_thread_ns() - since_ns;
}

double budget_excess(enum ul_snapshot_kind kind) {
  return (double)spent[kind] / (double)(base_ns() / shares[kind] + free_ns[kind]);
}

uint64_t budget_wait_ms(enum ul_snapshot_kind kind) {
  if (spent[kind] <= free_ns[kind]) return 0;
  uint64_t wanted = (spent[kind] - free_ns[kind]) * shares[kind], have = base_ns();
  return wanted > have ? (wanted - have) / 1000000 + 1 : 0;
}

void budget_reset(void) {
  for (unsigned i = 0; i < UL_SNAPSHOT_KINDS; i++)
    spent[i] = 0;
  had_ns = 0;
  busy_ns = (int64_t)os_process_ns();
  read_ms = (int64_t)recording_ms();
}
