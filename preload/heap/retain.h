/* retain.h - how much free memory may stay resident in the process.
 *
 * Free memory that has been written is kept for reuse as long as it is not more than
 *
 *     RETAIN_BASE + used / 8 + extra
 *
 * where `used` is what pools of small blocks hold. So the heap's resident size after any
 * number of frees is at most 1.125 x what is in use + RETAIN_BASE + extra.
 *
 * `extra` is what the program's own rhythm asks for. A program that frees in batches (a
 * garbage collector) needs soon what it has just given back: when a good part of what
 * may stay (a quarter) was given back and fetched again, then the next time that
 * something is to go extra is doubled instead, from RETAIN_BASE up to RETAIN_MOST
 * (raised by all of it, and a quarter, at once if that is no more than a quarter of
 * RETAIN_MOST); what lay unused over a whole window of work is taken off it again, by
 * halves. A window is long, or what a program has free by chance, more and less in turn,
 * would be given back whenever it is more. Work, not time, is the clock: the heap asks
 * for no time, and an idle program keeps what its last rounds needed.
 *
 * All in bytes, all under the arena lock. */
#ifndef ULLAGE_RETAIN_H
#define ULLAGE_RETAIN_H

#include <stdbool.h>
#include <stdint.h>

#define RETAIN_BASE (UINT64_C(5) << 20)
#define RETAIN_MOST (UINT64_C(64) << 20)

uint64_t retain_limit(uint64_t used);
/* Free memory was added: must some go back to the OS? */
bool retain_too_much(uint64_t used);
/* The same of address space: `mapped` bytes of which nothing is in use. */
bool retain_too_many(uint64_t mapped, uint64_t used);
void retain_add(uint64_t bytes);     /* became free, and is resident */
void retain_take(uint64_t bytes);    /* of that: used again */
void retain_gave(uint64_t bytes);    /* of that: given back to the OS */
void retain_fetched(uint64_t bytes); /* new memory from the OS comes into use */
uint64_t retain_bytes(void);         /* kept now */
void retain_reset(void);
#endif
