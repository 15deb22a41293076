/* streams.c - the streams of stdio when exit() calls the last of the handlers, ours.
 *
 * Then exit() writes out what waits in buffers, and is gone. The last words come before
 * that, and two things must not come of it:
 *
 *   - output that is lost, when somebody ends the process because it takes its time: so
 * it is written out first;
 *   - an exit() that waits for a lock whose owner was stopped: it takes that of the list
 * of streams and, from glibc 2.38 on, that of each stream. So they are ours while the
 *     others are stopped: who needs one then waits for it, and holds none.
 *
 * A stream whose lock cannot be had soon is left out: a thread waits for input in it, or
 * its reader is slow. Before 2.38 exit() does without that lock, too. Later it waits,
 * natively for that thread, and here as well: the stopped threads are then let go
 * (freeze_limit). */
#include "process/streams.h"

#include "base/os_thread.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>

/* Exported by glibc, where a stream is its own iterator. */
#define WEAK __attribute__((weak))
WEAK void _IO_list_lock(void);
WEAK void _IO_list_unlock(void);
WEAK FILE *_IO_iter_begin(void);
WEAK FILE *_IO_iter_end(void);
WEAK FILE *_IO_iter_next(FILE *);

enum { STREAMS = 256, TRIES = 10 };
static FILE *held[STREAMS];
static int held_count;
static bool list_held;

static bool can_list(void) {
  return _IO_list_lock && _IO_list_unlock && _IO_iter_begin && _IO_iter_end &&
         _IO_iter_next;
}

/* Both say whether they could have the lock. */
static bool write_out(FILE *f) {
  if (ftrylockfile(f) != 0) return false;
  if (__fpending(f) > 0) fflush_unlocked(f);
  funlockfile(f);
  return true;
}
static bool hold(FILE *f) {
  if (ftrylockfile(f) != 0) return false;
  if (held_count < STREAMS)
    held[held_count++] = f;
  else
    funlockfile(f);
  return true;
}

static bool each_stream(bool (*visit)(FILE *)) {
  bool all = true;
  for (FILE *f = _IO_iter_begin(); f != _IO_iter_end(); f = _IO_iter_next(f))
    all &= visit(f);
  return all;
}

void streams_write_out(void) {
  bool done = !can_list();
  for (int i = 0; i < TRIES && !done; i++) {
    if (i) os_sleep_ms(1);
    _IO_list_lock();
    done = each_stream(write_out);
    _IO_list_unlock();
  }
}

/* The list's lock is not waited for while any other is held. */
void streams_hold(void) {
  bool done = !can_list();
  for (int i = 0; i < TRIES && !done; i++) {
    if (i) streams_release();
    if (i) os_sleep_ms(1);
    _IO_list_lock();
    list_held = true;
    done = each_stream(hold);
  }
}

void streams_release(void) {
  while (held_count > 0)
    funlockfile(held[--held_count]);
  if (list_held) _IO_list_unlock();
  list_held = false;
}
