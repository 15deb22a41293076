/* arguments.h - the calls in a file's code, and the addresses of the file that are put in
 * the registers of arguments shortly before, by the x86-64 ABI.
 *
 * Code is looked through byte by byte, not decoded: what looks like an instruction may be
 * a part of another. Who makes something of a call asks for more than one. */
#ifndef ULLAGE_ARGUMENTS_H
#define ULLAGE_ARGUMENTS_H

#include "names/code.h"

#define ARGUMENTS 6u

struct arguments {
  uint64_t from;          /* the call's own address */
  uint64_t callee;        /* or the word of the global offset table that leads to it */
  uint64_t at[ARGUMENTS]; /* 0: not known */
};
typedef void arguments_visit(void *to, const struct arguments *);
void arguments_each(const struct code *, arguments_visit *visit, void *to);
#endif
