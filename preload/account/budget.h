/* budget.h - what snapshots may cost: so much of the time that the process has had, and
 * a millisecond for each budget, so that a short run has some; a forked child a quarter.
 *
 * That is its processor time; while it sleeps, half of what goes by. */
#ifndef ULLAGE_BUDGET_H
#define ULLAGE_BUDGET_H

#include <stdint.h>

enum budget {
  BUDGET_NONE, /* of the last one, and those that somebody asked for */
  BUDGET_TIMED,
  BUDGET_TOTAL, /* of timed ones without rows, when one with rows is too dear */
  BUDGET_PEAK,
  BUDGET_WASTE, /* of timed ones with a walk through the ledger: who keeps it */
  BUDGETS
};

/* What the calling thread has had since its clock (os_thread_ns()) was there. Under the
 * snapshot lock. */
void budget_spend(enum budget, uint64_t since_ns);
/* How many times it has given what it may. */
double budget_excess(enum budget);
/* After so long it has something to give, if the process is busy until then. */
uint64_t budget_wait_ms(enum budget);
/* What was spent since this was last asked is earned in so long. Who waits for that comes
 * in steps, and not in bursts when there is something left. */
uint64_t budget_pause_ms(enum budget);
/* In a forked child: nothing has been spent. */
void budget_reset(void);
#endif
