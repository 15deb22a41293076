/* mark.c - what a program says about itself (ullage.h). */
#include "entry.h"
#include "ullage.h"

EXPORT int ullage_mark_here(const char *name) {
  int saved = errno;
  struct heap *h = name ? entry_heap() : NULL;
  bool made = h && process_recording() && process_started() && process_mark(h, name);
  errno = saved;
  return made;
}
