/* recursion.h - is a return address in the stack of its callers already? What is added up
 * by address counts such frames once. Under the snapshot lock. */
#ifndef ULLAGE_RECURSION_H
#define ULLAGE_RECURSION_H

#include <stdbool.h>
#include <stdint.h>

/* Look at the nodes and sites that are new since the last time; false: no memory. */
bool recursion_learn(void);
/* Of those looked at: has an ancestor the same code? */
bool recursion_at_node(uint32_t node);
bool recursion_at_site(uint32_t site);
#endif
