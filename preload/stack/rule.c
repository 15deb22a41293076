#include "stack/rule.h"
#include "base/lock.h"
#include "base/os.h"
#include "format.h"
#include "stack/module.h"
#include "stack/unwind.h"

#include <errno.h>
#include <string.h>

#define SLOTS_LOG_MIN 12u
#define SLOTS_LOG_MAX 28u
#define RETIRED_MS 1000u
/* Slots of the table before that are moved each time that a rule is learned: enough to be
 * done with it long before the table is full. */
#define MOVED_AT_ONCE 16u

static struct rule_slot first_slots[1u << SLOTS_LOG_MIN] __attribute__((aligned(64)));

/* One table of each size, and for each size one in waiting. */
struct sized {
  struct rule_table table[2];
  uint64_t retired_ms[2];
};
static struct sized sizes[SLOTS_LOG_MAX + 1] = {
    [SLOTS_LOG_MIN] = {.table[0] = {first_slots, (1u << SLOTS_LOG_MIN) - 1}}};
struct rule_table *_Atomic rule_table = &sizes[SLOTS_LOG_MIN].table[0];

/* Under the lock. */
static struct lock guard;
static uint64_t used;             /* keys in the table */
static uint64_t known;            /* rules, in it or in the one before */
static struct rule_table *before; /* of which not all is moved yet, or NULL ... */
static uint64_t moved;            /* ... so many slots are */

static unsigned log_slots(const struct rule_table *t) {
  return (unsigned)__builtin_popcountll(t->mask);
}

/* ---- a rule from what was learned ---------------------------------------------- */

static bool fits(const struct unwind_frame *f) {
  bool cfa = f->cfa == (int32_t)f->cfa;
  bool rbp = !f->rbp_saved || (f->rbp >= -(1 << 23) && f->rbp < 1 << 23);
  return cfa && rbp;
}

/* Do the words lie in the frame: RSP, saved RBP, return address, CFA? */
static bool in_order(const struct unwind_frame *f) {
  if (f->rbp_saved && f->rbp > -16) return false;
  if (f->cfa_from_rbp) return true;
  return f->cfa >= 8 && (!f->rbp_saved || f->rbp >= -f->cfa - RULE_RED_ZONE);
}

static rule encode(const struct unwind_frame *f) {
  uint32_t rbp = f->rbp_saved ? (uint32_t)f->rbp << 8 : 0;
  uint64_t offsets = (uint64_t)f->cfa << 32 | rbp;
  switch (f->kind) {
  case UNWIND_REGULAR:
    if (!fits(f) || !in_order(f)) return RULE_OTHER;
    return offsets | (f->cfa_from_rbp ? RULE_RBP : RULE_RSP) |
           (f->rbp_saved ? RULE_SAVED : 0);
  case UNWIND_REALIGNED:
    return fits(f) ? offsets | RULE_REALIGNED : RULE_OTHER;
  case UNWIND_SIGNAL:
    return RULE_SIGNAL;
  case UNWIND_END:
    return RULE_END;
  case UNWIND_BARE:
    return RULE_BARE;
  default:
    return RULE_OTHER;
  }
}

/* ---- the table ----------------------------------------------------------------- */

static struct rule_slot *slot_of(const struct rule_table *t, uint64_t ip) {
  for (uint64_t i = rule_home(t, ip);; i = (i + 1) & t->mask) {
    uint64_t key = atomic_load_explicit(&t->slots[i].ip, memory_order_relaxed);
    if (key == ip || key == 0) return &t->slots[i];
  }
}

/* All slots read as free at once, also to whoever still reads it. */
static bool empty(struct rule_table *t, size_t bytes) {
  if (t->slots != first_slots) return os_discard(t->slots, bytes) == 0;
  memset(t->slots, 0, bytes);
  return true;
}

/* An empty table that no walk reads; NULL: none can be had now. */
static struct rule_table *fresh_table(unsigned log) {
  struct rule_table *now = atomic_load(&rule_table);
  size_t bytes = sizeof(struct rule_slot) << log;
  for (unsigned which = 0; which < 2; which++) {
    struct rule_table *t = &sizes[log].table[which];
    if (t == now || t == before) continue;
    if (!t->slots) {
      t->slots = os_map(bytes, OS_PAGE, OS_TOOL);
      t->mask = ((uint64_t)1 << log) - 1;
      return t->slots ? t : NULL;
    }
    if (os_ms() - sizes[log].retired_ms[which] > RETIRED_MS && empty(t, bytes)) return t;
  }
  return NULL;
}

static void retire(struct rule_table *t) {
  struct sized *s = &sizes[log_slots(t)];
  s->retired_ms[t - s->table] = os_ms();
}

static void put(uint64_t ip, rule r) {
  struct rule_slot *slot = slot_of(atomic_load(&rule_table), ip);
  bool here = atomic_load(&slot->ip) == ip;
  atomic_store_explicit(&slot->rule, r, memory_order_relaxed);
  if (here) return;
  atomic_store_explicit(&slot->ip, ip, memory_order_release);
  used++;
}

/* Some of the table before. What is there is found there as long (rule_learn). */
static void move(uint64_t slots) {
  if (!before) return;
  for (; slots > 0 && moved <= before->mask; slots--, moved++) {
    struct rule_slot *old = &before->slots[moved];
    rule r = atomic_load_explicit(&old->rule, memory_order_relaxed);
    if (!r) continue;
    put(atomic_load_explicit(&old->ip, memory_order_relaxed), r);
    atomic_store_explicit(&old->rule, 0, memory_order_relaxed);
  }
  if (moved <= before->mask) return;
  retire(before);
  before = NULL;
}

/* From now on rules are kept in an empty table of the size that they need. */
static bool begin_table(void) {
  struct rule_table *old = atomic_load(&rule_table);
  unsigned log = log_slots(old) + (known * 4 > old->mask);
  struct rule_table *t = log > SLOTS_LOG_MAX ? NULL : fresh_table(log);
  if (!t && log < SLOTS_LOG_MAX) t = fresh_table(log + 1);
  if (!t) return false;
  before = old;
  moved = used = 0;
  atomic_store_explicit(&rule_table, t, memory_order_release);
  return true;
}

/* At most half full, so that a probe seldom needs a second slot. */
static bool room_for_one(void) {
  const struct rule_table *t = atomic_load(&rule_table);
  uint64_t limit = (t->mask + 1) / 2;
  if (used < limit) return true;
  move(UINT64_MAX);
  return begin_table() || used < limit + limit / 2;
}

static void keep(uint64_t ip, rule r) {
  move(MOVED_AT_ONCE);
  if (!room_for_one()) {
    fallback(UL_FB_RULES_FULL);
    return;
  }
  put(ip, r);
  known++;
}

/* 0: not known. */
static rule recall(uint64_t ip) {
  rule r = rule_find(atomic_load(&rule_table), ip);
  if (r || !before) return r;
  struct rule_slot *old = slot_of(before, ip);
  r = atomic_load(&old->rule);
  if (!r || !room_for_one()) return r;
  put(ip, r);
  atomic_store(&old->rule, 0);
  return r;
}

rule rule_learn(uint64_t ip) {
  int saved_errno = errno;
  uint64_t code = ip & RULE_EXACT ? rule_address(ip) : ip - 1;
  struct module_unwind at;
  rule r = RULE_BARE;
  /* Code of no module comes and goes unnoticed: nothing is kept about it. */
  if (module_find(code, &at)) {
    uint64_t signals;
    rule_lock(&signals);
    r = recall(ip);
    if (!r) {
      struct unwind_frame f = {.kind = UNWIND_END};
      if (ip != unwind_coroutine_end) f = unwind_learn(code);
      r = encode(&f);
      keep(ip, r);
    }
    rule_unlock(signals);
  }
  errno = saved_errno;
  return r;
}

/* Rules lie in the order of their addresses, modulo the size, but for a probe or two:
 * those of a range are in as many slots, and what of these is taken without a gap. */
static void forget_in(struct rule_table *t, uint64_t start, uint64_t end) {
  for (uint64_t n = 0; n <= t->mask; n++) {
    struct rule_slot *slot = &t->slots[(rule_home(t, start) + n) & t->mask];
    uint64_t key = atomic_load_explicit(&slot->ip, memory_order_relaxed);
    if (key == 0 && n >= end - start) return;
    if (rule_address(key) - start >= end - start || !atomic_load(&slot->rule)) continue;
    atomic_store_explicit(&slot->rule, 0, memory_order_relaxed);
    known--;
  }
}

void rule_forget(uint64_t start, uint64_t end) {
  uint64_t signals;
  lock_take_masked(&guard, &signals);
  forget_in(atomic_load(&rule_table), start, end);
  if (before) forget_in(before, start, end);
  lock_give_masked(&guard, signals);
}

uint64_t rule_count(void) {
  uint64_t signals;
  lock_take_masked(&guard, &signals);
  uint64_t n = known;
  lock_give_masked(&guard, signals);
  return n;
}

void rule_lock(uint64_t *signals) {
  lock_take_masked(&guard, signals);
  thread_state.busy |= BUSY_UNWIND;
}

void rule_unlock(uint64_t signals) {
  thread_state.busy &= ~(unsigned)BUSY_UNWIND;
  lock_give_masked(&guard, signals);
}

void rule_fork_prepare(void) {
  lock_take(&guard);
}

void rule_fork_parent(void) {
  lock_give(&guard);
}

void rule_fork_child(void) {
  lock_renew(&guard);
}
