/* rule.h - how to find the caller's frame, for each return address met so far.
 *
 * One hash table for all threads, 16 bytes a slot, read without locks:
 *
 *     ip     the key; 0: free. Claimed by compare-and-swap, and never changed.
 *     rule   one word, replaced as a whole; 0: nothing known, yet or any more
 *
 * Rules are learned from the unwind tables (unwind.h), and kept, by any number of threads
 * at once, without a lock and without a system call: a backend of a server learns
 * hundreds for a few milliseconds' work. Two of the same address store the same rule; a
 * handler that interrupts this finds what is there, and one that leaves by longjmp leaves
 * a key of which nothing is known. Only a table that grows needs the rule lock (order of
 * locks: rule, module, table). When a module goes, the rules in its range become 0; their
 * keys wait for the same addresses to come back or for the next table. A table that is
 * half full is followed by an empty one, to which the rules move some at a time, and each
 * when it is asked for (for a walk that misses it, it is as if it were not known yet):
 * nobody waits for all of them. A table that was replaced may still be read by a walk
 * under way: its memory is never given back, but becomes a table again after RETIRED_MS,
 * when no walk, and nobody who keeps a rule, can be that late; and should one be, a wrong
 * rule is read, not wrong memory, since every load of a walk is checked against the
 * stack's bounds. */
#ifndef ULLAGE_RULE_H
#define ULLAGE_RULE_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*  63..32 CFA offset   31..8 offset of saved RBP from CFA   7..0 kind
 *
 * Offsets are checked when they are learned, so that with CFA = RSP + offset a walk need
 * only know that the stack reaches up to the CFA: the return address lies above RSP, and
 * the saved RBP below that and not further below RSP than RULE_RED_ZONE. With CFA = RBP +
 * offset the latter holds only of what is above the saved RBP. */
typedef uint64_t rule;
#define RULE_RSP 0x01u     /* CFA = RSP + offset */
#define RULE_RBP 0x02u     /* CFA = RBP + offset */
#define RULE_SAVED 0x04u   /* with these: RBP is saved, else it is the caller's already */
#define RULE_SPECIAL 0x80u /* neither, but one of: */
#define RULE_REALIGNED 0x80u /* CFA = *(RBP + offset), RBP saved from RBP */
#define RULE_SIGNAL 0x90u    /* a struct ucontext is at RSP */
#define RULE_END 0xa0u
#define RULE_BARE 0xb0u  /* no unwind information: follow the frame pointer */
#define RULE_OTHER 0xc0u /* walk by the tables */

/* Below RSP, where an interrupted epilogue has just popped RBP from. */
#define RULE_RED_ZONE 128

static inline unsigned rule_kind(rule r) {
  return (uint8_t)r;
}
static inline int64_t rule_cfa(rule r) {
  return (int64_t)r >> 32;
}
static inline int64_t rule_rbp(rule r) {
  return (int32_t)(uint32_t)r >> 8;
}

/* Key of an address at which a signal came in: what holds there is another row
 * than what holds before it, at the call that returns to it. */
#define RULE_EXACT ((uint64_t)1 << 63)
static inline uint64_t rule_address(uint64_t key) {
  return key & ~RULE_EXACT;
}

struct rule_slot {
  _Atomic uint64_t ip;
  _Atomic rule rule;
};
struct rule_table {
  struct rule_slot *slots;
  uint64_t mask; /* the number of slots, a power of two, minus one */
};
extern struct rule_table *_Atomic rule_table;

static inline const struct rule_table *rule_current(void) {
  return atomic_load_explicit(&rule_table, memory_order_acquire);
}

/* Return addresses are as good as random in their low bits (1.4 probes in a half
 * full table, with cc1's calls as with a multiplicative hash), and the hash is
 * on the chain of dependent loads that a walk consists of. */
static inline uint64_t rule_home(const struct rule_table *t, uint64_t ip) {
  return ip & t->mask;
}

/* 0: not known. */
static inline rule rule_find(const struct rule_table *t, uint64_t ip) {
  for (uint64_t i = rule_home(t, ip);; i = (i + 1) & t->mask) {
    uint64_t key = atomic_load_explicit(&t->slots[i].ip, memory_order_acquire);
    if (__builtin_expect(key == ip, 1))
      return atomic_load_explicit(&t->slots[i].rule, memory_order_relaxed);
    if (key == 0) return 0;
  }
}

/* Learn and keep; never 0. May take the rule lock. */
rule rule_learn(uint64_t ip);
/* Forget what is known about [start, end). Takes the rule lock. */
void rule_forget(uint64_t start, uint64_t end);
uint64_t rule_count(void);

/* The lock is also that of unwind.h's conversations. */
void rule_lock(uint64_t *signals);
void rule_unlock(uint64_t signals);

void rule_fork_prepare(void);
void rule_fork_parent(void);
void rule_fork_child(void);
#endif
