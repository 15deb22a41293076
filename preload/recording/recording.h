/* recording.h - the life of the recording's file: private memory first, then a shared
 * mapping of a file, until the end or until it has to stop. format.h has the layout,
 * table.h the tables in it, window.h the memory of the tables. */
#ifndef ULLAGE_RECORDING_H
#define ULLAGE_RECORDING_H

#include "base/os.h"
#include "recording/table.h"

/* Begin in private memory. class_bytes: a class's block size, for the header. false: no
 * memory, nothing will be recorded. */
bool recording_begin(uint32_t (*class_bytes)(unsigned class));
/* Give it the file `path`, which must not exist: -EEXIST. Nothing else may write into
 * the recording meanwhile. 0, or -errno: the recording stays in private memory. */
int recording_open(const char *path, unsigned mode);
/* The same in a file that is there, whose contents are given up. It must be ours. */
int recording_inherit(const char *path);
bool recording_in_file(void);
/* Who we are: pid, program, command line, directory. */
void recording_identify(void);
/* In a forked child, of the same program; and when a file, or a child of its own, needs
 * to tell this process from others of its number. */
void recording_forked(void);
void recording_identify_process(void);
/* The file, as the system knows it. */
const struct os_file *recording_identity(void);
/* The file keeps what it has and gets no more; the program goes on. `error` is an errno
 * or 0. */
void recording_stop(enum ul_stop why, int error);
bool recording_stopped(void);
/* System calls may soon be deadly: for the next `bytes` there will be none. */
void recording_reserve(size_t bytes);
/* Its file is made at least so long, by name, if it still has it and may be; how long it
 * is now. Under the table lock. */
uint64_t recording_lengthen(uint64_t least);
/* As long as it may ever become: who gives up a right may not do it later. */
void recording_lengthen_fully(void);
/* Delete the file (a child that has nothing to tell). */
void recording_discard(void);
/* Nothing is added from now on: the file is made as long as what is in it; or, if the end
 * was none, something may be. */
void recording_close(void);
void recording_reopen(void);
bool recording_may_grow(void);

/* Milliseconds since the start of the recording. */
extern uint64_t recording_start_ms /* by os_ms */
    __attribute__((visibility("hidden")));
static inline uint64_t recording_ms(void) {
  return os_ms() - recording_start_ms;
}
/* The same for the end: 0 is of a process that runs. */
static inline uint64_t recording_end_ms(void) {
  uint64_t ms = recording_ms();
  return ms ? ms : 1;
}

/* Heaps. */
uint32_t
recording_heap_new(int tid); /* its index in UL_HEAPS; 0 also when there is no room */
void recording_heap_owner(uint32_t index, int tid);
void recording_heap_quarantined(uint32_t index);
/* A chunk that is there counts for these from now on. */
void recording_chunk(uint32_t chunk, uint32_t heap, uint32_t first_site);

/* Around fork, under the table lock. Copy what a child that records will need, if it is
 * not too much (COPY_MAX in recording.c; else it is counted, CHILD_UNRECORDED): the
 * parent goes on writing into the shared file. */
void recording_copy(void);
/* In the parent. */
void recording_drop_copy(void);
/* In the child: put the copy in place of the shared file. -ENODATA: there is none, and
 * the tables are empty. Another error: nothing may be written into the tables. */
int recording_become_copy(void);
#endif
