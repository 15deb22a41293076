#include "base/count.h"

static uint64_t own[UL_FB_COUNT];
static uint64_t *slots = own; /* of the recording, once there is one */

static void add(enum ul_fallback which, uint64_t n) {
  uint64_t *here = __atomic_load_n(&slots, __ATOMIC_ACQUIRE);
  __atomic_fetch_add(&here[which], n, __ATOMIC_RELAXED);
}

void fallback(enum ul_fallback which) {
  add(which, 1);
}

void fallback_take_back(enum ul_fallback which) {
  add(which, UINT64_MAX); /* -1 */
}

void count_adopt(uint64_t *to) {
  __atomic_store_n(&slots, to, __ATOMIC_RELEASE);
  for (unsigned i = 0; i < UL_FB_COUNT; i++) {
    uint64_t n = __atomic_exchange_n(&own[i], 0, __ATOMIC_RELAXED);
    if (n) __atomic_fetch_add(&to[i], n, __ATOMIC_RELAXED);
  }
}

void count_disown(void) {
  __atomic_store_n(&slots, own, __ATOMIC_RELEASE);
}
