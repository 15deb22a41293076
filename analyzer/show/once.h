/* once.h - each stack is shown once on a page, later by where it was.
 *
 * A page has sections, and a section has numbered entries. Stacks are the same if their
 * lines are: those of a fork's two sides are, whatever their numbers. */
#ifndef ULLAGE_ONCE_H
#define ULLAGE_ONCE_H

#include "show/text.h"

/* NULL: no memory, and then each is shown each time. */
struct once *once_new(void);
void once_free(struct once *);
/* What comes is of that section; of that entry. */
void once_section(struct once *, const char *title);
void once_entry(struct once *, size_t number);
/* "3 above", "3 of LIVE AT THE PEAK": where these lines were; NULL: nowhere, and now they
 * are here. */
const char *once_where_in(struct text_long *to, struct once *, const char *lines);
#endif
