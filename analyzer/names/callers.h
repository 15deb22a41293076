/* callers.h - how many functions of an object file call another of its functions: one
 * that all the file calls serves them all, whoever of them runs.
 *
 * Calls and last calls (jmp) are counted that name their callee, also where that is by
 * way of the linkage table, as those of a library's exported functions are. Code is
 * looked through byte by byte, not decoded: what looks like a call and is none leads to
 * the beginning of a function by chance alone. */
#ifndef ULLAGE_CALLERS_H
#define ULLAGE_CALLERS_H

#include "names/code.h"

struct callers;

/* Looks through the whole file. The code must outlive it. NULL: no memory. */
struct callers *callers_of(Elf *elf, const struct code *code);
void callers_free(struct callers *);
/* Of the function that begins there: different ones, itself excluded. */
uint32_t callers_count(const struct callers *, uint64_t start);
#endif
