/* allow.h - does a filter of system calls (seccomp) let us do all that we do? */
#ifndef ULLAGE_ALLOW_H
#define ULLAGE_ALLOW_H

#include <linux/filter.h>
#include <stdbool.h>

/* True only if it certainly lets pass every call that base/ may make, whatever its
 * arguments. The program is the caller's: it need not be readable. */
bool allow_all(const struct sock_fprog *filter);
#endif
