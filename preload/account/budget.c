#include "account/budget.h"

#include "base/os.h"
#include "recording/recording.h"

/* Of busy time; peaks take more than their part, if there is much to be seen (peak.c).
 * What is free is some thirty pictures of 10,000 call sites, with which the growth of a
 * program that runs for a second or two can be told. */
static const uint64_t shares[] = {[UL_SNAPSHOT_TIMED] = 100, [UL_SNAPSHOT_PEAK] = 300};
static const uint64_t free_ns[] = {
    [UL_SNAPSHOT_TIMED] = 5000000, [UL_SNAPSHOT_PEAK] = 1000000};
enum { IDLE = 2 };

static _Atomic uint64_t spent[UL_SNAPSHOT_KINDS];

/* With many threads the kernel adds up for a while. */
static uint64_t busy_ns(uint64_t now_ms) {
  enum { FRESH_MS = 10 };
  static _Atomic uint64_t busy, read_ms;
  if (now_ms - read_ms >= FRESH_MS) {
    busy = os_process_ns();
    read_ms = now_ms;
  }
  return busy;
}

/* The process's time so far: who sleeps for some of it may be measured meanwhile, and who
 * waits for a processor should not pay for that. */
static uint64_t base_ns(void) {
  uint64_t now = recording_ms(), busy = busy_ns(now);
  uint64_t since = recording->forked ? now - recording->forked_ms : now;
  uint64_t idle = since * 1000000 / IDLE;
  return busy > idle ? busy : idle;
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
}
