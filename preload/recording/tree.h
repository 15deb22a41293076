/* tree.h - what the recordings of a tree of processes share: a page that all of them map.
 * It is the head of the main process's recording, or, where each process is a main one
 * (%p in ULLAGE_FILE), of a file beside them. A forked child has it from its parent;
 * without it a process counts for itself alone.
 *
 * The disk belongs to the program: together they may have a bound of bytes on it. */
#ifndef ULLAGE_TREE_H
#define ULLAGE_TREE_H

#include "base/os.h"
#include "format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern struct ul_header *tree; /* its first page; NULL: there is none */

/* What all may have together; 0: TREE_MOST, or a tenth of what the disk had free. */
#define TREE_MOST (UINT64_C(1) << 30)
void tree_wish(uint64_t bytes);
/* The same, of a disk with so much room. */
uint64_t tree_most(const struct os_room *room);

/* Ours is the main recording, in that file. */
void tree_found(struct ul_header *ours, const struct os_file *file);
/* Join the tree whose main recording is that file, of the process `pid` (0: whichever);
 * false: it is not. */
bool tree_join(const char *path, int pid);
/* Is that file the one of our tree? */
bool tree_is_at(const char *path);
/* Join one that has no main recording, but that file, which tree_found_beside makes;
 * false: there is none. */
bool tree_join_beside(const char *path);
void tree_found_beside(const char *path, unsigned mode);
/* Keep the page through a fork. */
void tree_fork_prepare(void);

/* So many more bytes for us. false: the bound is reached, for all and from now on. */
bool tree_charge(size_t bytes);
void tree_charge_back(size_t bytes);
bool tree_full(void);
/* One more process of the tree has no recording. */
void tree_count_unrecorded(void);
#endif
