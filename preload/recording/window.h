/* window.h - the recording's bytes in memory, in the order of the file. A window is a run
 * of them, mapped somewhere; what was given out of one never moves. First the memory is
 * private, then windows of a file are put in its place (window_stage, window_switch).
 *
 * The file is sparse, and longer than what it holds. To grow is to map more of it (mremap
 * makes another mapping of what is mapped) and to let it have blocks for that (by way of
 * the mapping): no descriptor, no name and no right to the file is needed, whatever the
 * process gives up, fills up, leaves or removes; and a full disk is an error code, never
 * a SIGBUS. */
#ifndef ULLAGE_WINDOW_H
#define ULLAGE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum window_answer {
  WINDOW_FINE,
  WINDOW_NO_MEMORY, /* no address space, or no memory */
  WINDOW_NO_ROOM,   /* none on the disk */
  WINDOW_TOO_LONG,  /* the file may not become longer (RLIMIT_FSIZE) */
  WINDOW_BOUND,     /* nor may what the tree of processes has on the disk (tree.h) */
};

/* The windows of the header and, `reserve` bytes long, of what grows with time and not
 * with the heap: it has its place in the file from the start, so that the file's length
 * is the heap's alone. NULL: no memory; or the header, of which only the first page may
 * be written before window_back_header(). */
void *window_begin(size_t header_bytes, size_t reserve);
/* `bytes` of zeros behind all that was given out of the same window, with room in the
 * file if there is one; where in the file, in *offset. A multiple of WINDOW_GRAIN.
 *
 * What is taken at once has to be found by the kernel at once, and the program waits. So
 * what is large has windows of its own, each `ahead` bytes long, of which it takes a
 * little at a time, and what it takes goes on where the last left off. The reserve, when
 * it is used up, is continued out of the common windows. */
enum { WINDOW_GRAIN = 512 };
enum { WINDOW_RESERVE, WINDOW_COMMON, WINDOW_OWN /* and whose, added to it */ };
enum window_answer window_take(size_t bytes, unsigned whose, size_t ahead, char **at,
                               uint64_t *offset);
/* Where the last one ends in the file, or a little later. */
uint64_t window_end(void);
/* The header is about to be written there. */
enum window_answer window_back_header(size_t offset, size_t bytes);
/* So much of what will be taken next needs no system call then. */
void window_back_ahead(size_t bytes);
/* The i-th window; false past the last. */
bool window_range(unsigned i, uintptr_t *start, size_t *bytes);

size_t window_backed(void); /* bytes that have room in the file */

/* Map all windows from the file once more, elsewhere, with room for and a copy of what
 * they hold. 0, or -errno and nothing is left of it. `length`: of the file. */
int window_stage(int fd, uint64_t length);
/* What was staged takes the windows' place. Nothing may have written into them since.
 * false: some could not; nothing may be written into any of them. */
bool window_switch(void);
void window_unstage(void);

/* Around fork: a copy of everything in private memory, ... */
bool window_copy(void);
size_t window_used(void); /* bytes that it would have */
void window_drop_copy(void);
/* ... and in the child that copy, or (-ENODATA) nothing, in place of the parent's file.
 * Another error: what is there may be the parent's, and must not be written. */
int window_become_copy(void);
#endif
