/* recursion.h - is a return address in the stack of its callers already? What is added up
 * by address counts such frames once. Under the snapshot lock. */
#ifndef ULLAGE_RECURSION_H
#define ULLAGE_RECURSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers below these may be asked for; false: no memory. */
bool recursion_begin(size_t site_count, size_t node_count, size_t code_count);
/* Has an ancestor the same code? What that takes the first time is taken off the steps.
 */
bool recursion_at_node(uint32_t node, int64_t *steps);
bool recursion_at_site(uint32_t site, int64_t *steps);
#endif
