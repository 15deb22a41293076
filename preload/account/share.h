/* share.h - does it take too much of the program's time to know its call stacks? Then a
 * recording may go on with samples (sample.h). */
#ifndef ULLAGE_SHARE_H
#define ULLAGE_SHARE_H

#include <stdbool.h>

/* More than `percent` of the processor time is too much. */
void share_begin(unsigned percent);
/* Asked now and then. Under the snapshot lock. */
bool share_is_exceeded(void);
#endif
