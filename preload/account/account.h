/* account.h - where the bytes of the heap are at a moment (format.h has the identity). */
#ifndef ULLAGE_ACCOUNT_H
#define ULLAGE_ACCOUNT_H

#include "format.h"

#include <stdbool.h>

/* Fills what the heap knows of s; s->live_bytes is there, from the counters. false: more
 * than there is room for was live, because other threads went on between one and the
 * other; s->live_bytes has been cut. Takes the arena lock. */
bool account_take(struct ul_snapshot *s);
#endif
