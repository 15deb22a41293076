#include "base/page.h"

struct process_guard process_guard;
static bool begun;

void page_begin(void) {
  os_wipe_in_children(&process_guard, sizeof process_guard);
  process_guard.epoch = EPOCH_IDLE;
  begun = true;
}

bool page_begun(void) {
  return begun;
}

bool page_wiped(void) {
  return process_epoch() == EPOCH_UNKNOWN && page_begun();
}

void page_renew(void) {
  if (page_wiped()) process_guard.epoch = EPOCH_IDLE;
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
  __atomic_store_n(&process_guard.epoch, on ? another() : EPOCH_IDLE, __ATOMIC_RELAXED);
}

void page_next_epoch(void) {
  uint32_t now = process_epoch(), next = another();
  while (now >= EPOCH_FIRST &&
         !__atomic_compare_exchange_n(&process_guard.epoch, &now, next, true,
                                      __ATOMIC_RELEASE, __ATOMIC_RELAXED))
    ;
}
