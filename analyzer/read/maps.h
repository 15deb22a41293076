/* maps.h - what a process has mapped (/proc/PID/maps). */
#ifndef ULLAGE_MAPS_H
#define ULLAGE_MAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct maps_line {
  char access[5]; /* "rw-s" */
  dev_t device;
  ino_t inode;
  const char *path; /* "": of no file */
};
/* true: that was enough. */
typedef bool maps_take(void *to, const struct maps_line *);
/* Line by line. An errno; 0: all that were wanted could be read. */
int maps_each(const char *pid, maps_take *, void *to);
#endif
