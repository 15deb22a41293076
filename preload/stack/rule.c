#include "stack/rule.h"
#include "base/lock.h"
#include "base/os.h"
#include "format.h"
#include "stack/module.h"
#include "stack/unwind.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define SLOTS_LOG_MIN 12u
#define SLOTS_LOG_MAX 28u
#define RETIRED_MS 1000u
/* Slots of the table before that are moved each time that a rule is learned: some 10 us.
 */
#define MOVED_AT_ONCE 256u

static struct rule_slot first_slots[1u << SLOTS_LOG_MIN] __attribute__((aligned(64)));

/* For each size one table, and one in waiting. */
struct sized {
  struct rule_table table;
  _Atomic uint64_t used; /* keys in it, or about to be */
  uint64_t retired_ms;
};
static struct sized sizes[SLOTS_LOG_MAX + 1][2] = {
    [SLOTS_LOG_MIN] = {{.table = {first_slots, (1u << SLOTS_LOG_MIN) - 1}}}};
struct rule_table *_Atomic rule_table = &sizes[SLOTS_LOG_MIN][0].table;

static _Atomic uint64_t known;            /* rules, in the table or in the one before */
static struct rule_table *_Atomic before; /* of which not all is moved yet, or NULL ... */

/* Under the lock. */
static struct lock guard;
static uint64_t moved; /* ... so many slots are */

static struct sized *sized(struct rule_table *t) {
  return (struct sized *)((char *)t - offsetof(struct sized, table));
}

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

/* ---- a slot -------------------------------------------------------------------- */

/* Who leaves it by longjmp has counted one too many, and never one too few. */
static void set(struct rule_slot *slot, rule r) {
  if (r) atomic_fetch_add(&known, 1);
  if (atomic_exchange(&slot->rule, r)) atomic_fetch_sub(&known, 1);
}

/* That of an address, or the free one in which it would be. */
static struct rule_slot *slot_of(const struct rule_table *t, uint64_t ip) {
  for (uint64_t i = rule_home(t, ip);; i = (i + 1) & t->mask) {
    uint64_t key = atomic_load_explicit(&t->slots[i].ip, memory_order_relaxed);
    if (key == ip || key == 0) return &t->slots[i];
  }
}

/* The slot is its own from now on, in which nothing is known yet. */
static struct rule_slot *claim(const struct rule_table *t, uint64_t ip, bool *fresh) {
  for (;;) {
    struct rule_slot *slot = slot_of(t, ip);
    uint64_t key = 0;
    *fresh = atomic_compare_exchange_strong(&slot->ip, &key, ip);
    if (*fresh || key == ip) return slot;
  }
}

/* Who leaves it by longjmp leaves the table one key fuller than it is. false: it has as
 * many as it may. */
static bool put(struct rule_table *t, uint64_t ip, rule r, uint64_t limit) {
  bool fresh;
  _Atomic uint64_t *used = &sized(t)->used;
  if (atomic_fetch_add(used, 1) >= limit) {
    atomic_fetch_sub(used, 1);
    return false;
  }
  set(claim(t, ip, &fresh), r);
  if (!fresh) atomic_fetch_sub(used, 1);
  return true;
}

/* At most half full, so that a probe seldom needs a second slot; where there is no memory
 * for another table, three quarters. */
static uint64_t half(const struct rule_table *t) {
  return (t->mask + 1) / 2;
}

/* ---- tables, under the lock ---------------------------------------------------- */

/* All slots read as free at once, also to whoever still reads it. */
static bool empty(struct rule_table *t, size_t bytes) {
  sized(t)->used = 0;
  if (t->slots != first_slots) return os_discard(t->slots, bytes) == 0;
  memset(t->slots, 0, bytes);
  return true;
}

/* An empty table that no walk reads; NULL: none can be had now. */
static struct rule_table *fresh_table(unsigned log) {
  size_t bytes = sizeof(struct rule_slot) << log;
  for (unsigned which = 0; which < 2; which++) {
    struct rule_table *t = &sizes[log][which].table;
    if (t == atomic_load(&rule_table) || t == before) continue;
    if (!t->slots) {
      t->slots = os_map(bytes, OS_PAGE, OS_TOOL);
      t->mask = ((uint64_t)1 << log) - 1;
      return t->slots ? t : NULL;
    }
    if (os_ms() - sizes[log][which].retired_ms > RETIRED_MS && empty(t, bytes)) return t;
  }
  return NULL;
}

/* What is there is found there until it is moved (recall). */
static void move(uint64_t slots) {
  struct rule_table *from = before;
  if (!from) return;
  for (; slots > 0 && moved <= from->mask; slots--, moved++) {
    struct rule_slot *old = &from->slots[moved];
    rule r = atomic_load(&old->rule);
    if (!r) continue;
    put(atomic_load(&rule_table), atomic_load(&old->ip), r, UINT64_MAX);
    set(old, 0);
  }
  if (moved <= from->mask) return;
  sized(from)->retired_ms = os_ms();
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
  moved = 0;
  atomic_store(&rule_table, t);
  return true;
}

static bool put_in_more(uint64_t ip, rule r) {
  struct rule_table *t = atomic_load(&rule_table);
  if (put(t, ip, r, half(t))) return true;
  move(UINT64_MAX);
  if (begin_table()) t = atomic_load(&rule_table);
  return put(t, ip, r, half(t) + half(t) / 2);
}

/* It has come to the table by itself. */
static void forget_before(uint64_t ip) {
  struct rule_slot *old = before ? slot_of(before, ip) : NULL;
  if (old && atomic_load(&old->ip) == ip) set(old, 0);
}

/* ---- learning ------------------------------------------------------------------ */

static void keep(uint64_t ip, rule r) {
  struct rule_table *t = atomic_load(&rule_table);
  uint64_t signals;
  if (!before && put(t, ip, r, half(t))) return;
  lock_take_masked(&guard, &signals);
  move(MOVED_AT_ONCE);
  if (put_in_more(ip, r))
    forget_before(ip);
  else
    fallback(UL_FB_RULES_FULL);
  lock_give_masked(&guard, signals);
}

/* 0: not known. */
static rule recall(uint64_t ip) {
  struct rule_table *old = before;
  rule r = rule_find(atomic_load(&rule_table), ip);
  return r || !old ? r : rule_find(old, ip);
}

static rule learn(uint64_t ip, uint64_t code) {
  struct unwind_frame f = {.kind = UNWIND_END};
  if (ip != unwind_coroutine_end) f = unwind_learn(code);
  return encode(&f);
}

static bool is_there(uint64_t code, const struct module_unwind *m) {
  struct module_unwind now;
  return module_find(code, &now) && now.start == m->start && now.end == m->end &&
         now.eh_frame_hdr == m->eh_frame_hdr;
}

rule rule_learn(uint64_t ip) {
  int saved_errno = errno;
  uint64_t code = ip & RULE_EXACT ? rule_address(ip) : ip - 1;
  struct module_unwind at;
  rule r = RULE_BARE;
  /* Code of no module comes and goes unnoticed: nothing is kept about it. */
  if (module_find(code, &at)) {
    r = recall(ip);
    if (!r) r = learn(ip, code);
    keep(ip, r);
    /* A guess has led to a module that goes: who has forgotten it may not have met this.
     */
    if (!is_there(code, &at)) rule_forget(rule_address(ip), rule_address(ip) + 1);
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
    if (rule_address(key) - start < end - start) set(slot, 0);
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
  return known;
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
