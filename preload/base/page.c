#include "base/page.h"

#include "base/os.h"

static struct process_guard none; /* before page_begin: nothing is recorded */
struct process_guard *process_guard = &none;

bool page_begin(void) {
  struct process_guard *page = os_map_wiped_in_children(sizeof *page);
  if (!page) return false;
  page->epoch = EPOCH_IDLE;
  process_guard = page;
  return true;
}

bool page_begun(void) {
  return process_guard != &none;
}

bool page_wiped(void) {
  return process_epoch() == EPOCH_UNKNOWN && page_begun();
}

void page_renew(void) {
  if (page_wiped()) process_guard->epoch = EPOCH_IDLE;
}

static uint32_t kind; /* EPOCH_WATCHED, or 0 */

static uint32_t another(void) {
  static uint32_t last = EPOCH_IDLE;
  return kind | __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

void page_watch_frees(void) {
  kind = EPOCH_WATCHED;
}

void page_set_recording(bool on) {
  if (!page_begun()) return;
  __atomic_store_n(&process_guard->epoch, on ? another() : EPOCH_IDLE, __ATOMIC_RELAXED);
}

void page_next_epoch(void) {
  uint32_t now = process_epoch(), next = another();
  while (now >= EPOCH_FIRST &&
         !__atomic_compare_exchange_n(&process_guard->epoch, &now, next, true,
                                      __ATOMIC_RELEASE, __ATOMIC_RELAXED))
    ;
}
