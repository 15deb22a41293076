#include "base/page.h"

#include "base/os.h"

static struct process_guard none; /* before page_begin: nothing is recorded */
struct process_guard *process_guard = &none;

bool page_begin(void) {
  struct process_guard *page = os_map_wiped_in_children(sizeof *page);
  if (!page) return false;
  page->alive = 1;
  process_guard = page;
  return true;
}

bool page_begun(void) {
  return process_guard != &none;
}

bool page_wiped(void) {
  return !process_guard->alive && page_begun();
}

void page_renew(void) {
  process_guard->alive = 1;
}

void page_set_recording(bool on) {
  if (page_begun()) __atomic_store_n(&process_guard->recording, on, __ATOMIC_RELAXED);
}
