/* peak.h - when were the most live bytes, and time to take a picture of them.
 *
 * A heap whose live bytes have left its window reports; nobody else is looked at. */
#ifndef ULLAGE_PEAK_H
#define ULLAGE_PEAK_H

#include "ledger/book.h"

/* Of which process: `child` is not the main one, and children may leave no more than a
 * line. */
void peak_begin(bool children_leave_lines, bool child);

/* h's thread has allocated, and its live bytes are above the ceiling; is about to free
 * `bytes`, and they will be below the floor. */
void peak_rising(struct heap *h);
void peak_falling(struct heap *h, size_t bytes);

/* A snapshot of that many live bytes is being taken for the peak's sake; it is whole. */
void peak_pictured(int64_t live_bytes);
void peak_published(void);
/* Is there still something to take a picture of? (Another thread has taken one.) */
bool peak_is_due(void);
/* In a forked child: there was none. */
void peak_reset(void);
#endif
