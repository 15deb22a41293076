/* limits.h - what memory the process may have. */
#ifndef ULLAGE_LIMITS_H
#define ULLAGE_LIMITS_H

/* Note in the recording's header what the process, its control group and the machine are
 * limited to now. */
void limits_note(void);
#endif
