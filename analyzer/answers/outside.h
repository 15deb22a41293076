/* outside.h - what a process had resident that is neither malloc's nor code: what it has
 * mapped by itself, as the heaps of JavaScript, Java, PHP and Go are. Nothing is known of
 * what lies there, so who looks at the heap alone should know how much it is.
 *
 * By the snapshots, of which each knows what was resident, and what the heap and ullage
 * had mapped; so it is this much at least. Of code and constants what was resident at the
 * end is taken off each. The most that was ever resident is known at the end, too, but
 * not when that was. */
#ifndef ULLAGE_OUTSIDE_H
#define ULLAGE_OUTSIDE_H

#include "read/recording.h"

struct outside {
  uint64_t bytes, rss_bytes; /* when it was most */
  uint64_t ms;               /* UINT64_MAX: not known */
  const char *owner; /* whose that is, by the libraries of the process; NULL: not known */
  bool matters;      /* more than malloc had, and not nothing */
};
struct outside outside_of(const struct recording *);
#endif
