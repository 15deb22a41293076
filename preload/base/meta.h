/* meta.h - ullage's own private memory: descriptors, hash tables, scratch. It
 * comes from the OS in growing chunks and is never mixed with the program's. */
#ifndef ULLAGE_META_H
#define ULLAGE_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed, 16-aligned; NULL when there is no memory. Any thread; takes the meta lock,
 * which is innermost: it may be called with any other lock held. */
void *meta_alloc(size_t bytes);
/* `bytes` as given to meta_alloc. Small pieces are kept for reuse. */
void meta_free(void *p, size_t bytes);
/* The i-th mapping of private memory; false past the last. Free slots have bytes 0. */
bool meta_range(unsigned i, uintptr_t *start, size_t *bytes);
void meta_fork_prepare(void);
void meta_fork_parent(void);
void meta_fork_child(void);
#endif
