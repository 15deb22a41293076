/* count.h - what did not go the ordinary way is counted (enum ul_fallback). */
#ifndef ULLAGE_COUNT_H
#define ULLAGE_COUNT_H

#include "format.h"

/* Count one; any thread, any moment, also before there is a recording. */
void fallback(enum ul_fallback which);
/* It did after all. */
void fallback_take_back(enum ul_fallback which);
/* From now on count in slots[UL_FB_COUNT], to which what was counted so far is added. */
void count_adopt(uint64_t *slots);
/* Leave the adopted slots as they are: what is counted from now on is nobody's. */
void count_disown(void);
#endif
