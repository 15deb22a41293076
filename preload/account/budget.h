/* budget.h - what snapshots may cost: so much of the time that the process has had, and
 * some milliseconds for each kind, so that a short run has some.
 *
 * That is its processor time; while it sleeps, half of what goes by. */
#ifndef ULLAGE_BUDGET_H
#define ULLAGE_BUDGET_H

#include "format.h"

/* Of the kind of snapshot: what the calling thread has had since its clock
 * (os_thread_ns()) was there. Under the snapshot lock. */
void budget_spend(enum ul_snapshot_kind kind, uint64_t since_ns);
/* How many times those of a kind have taken what they may. */
double budget_excess(enum ul_snapshot_kind kind);
/* After so long they may take more, if the process is busy until then. */
uint64_t budget_wait_ms(enum ul_snapshot_kind kind);
/* In a forked child: nothing has been spent. */
void budget_reset(void);
#endif
