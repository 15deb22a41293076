/* registered.h - functions that a stripped file registers by calls, each with a text:
 *
 *     rb_define_method(class, "generate", generate, 1);
 *
 * as extensions of Ruby, Perl and Tcl, and users of SQL functions do. In the arguments of
 * one call, by the x86-64 ABI in registers, are the address of one function and of one
 * text. To be believed, the same callee has to get at least three in the same registers,
 * with different texts. */
#ifndef ULLAGE_REGISTERED_H
#define ULLAGE_REGISTERED_H

#include "names/code.h"

struct registered {
  uint64_t start; /* of the function */
  const char *text;
};
/* To be freed, in no order; NULL: none. */
struct registered *registered_in(const struct code *, size_t *count);
#endif
