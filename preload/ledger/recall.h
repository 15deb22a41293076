/* recall.h - sites that are known by a hash of their stacks: for stacks that come in turn,
 * one look in place of one for each new frame. Of all threads. */
#ifndef ULLAGE_RECALL_H
#define ULLAGE_RECALL_H

#include <stdbool.h>
#include <stdint.h>

/* 0: it is not remembered. */
uint32_t recall(uint64_t hash);
/* `known`: the site had been there before, and it would have been better to remember it.
 * Calls meta_alloc, now and then. */
void remember(uint64_t hash, uint32_t site, bool known);
#endif
