/* stacks.c - see stacks.h.
 *
 * Below a stack pointer there is only what returned functions left, old pointers that
 * would hide leaks; in the stack of a thread that has ended, all is old. But what is a
 * stack? Its mapping does not tell: the kernel joins neighbours, and since glibc 2.42
 * there need be no guard between them that shows. So we ask glibc. The thread control
 * block (struct pthread) of each thread lies at the top of its stack and says where that
 * is, and all of them are in three lists, side by side in the loader's data:
 *
 *   used    threads on stacks that glibc has made; until they are joined
 *   user    threads on stacks of the program's own, and the main thread
 *   cache   stacks that wait for another thread: nobody can ask for anything of these
 *
 * A thread with a tid lives. One without has ended and waits to be joined: only its
 * control block counts, for its result (or it is about to begin, and it counts for its
 * argument).
 *
 * None of this is an interface, so nothing of it is believed that does not show the right
 * shape: our own thread's block has our tid where it should be; a list leads back to its
 * head, which lies in the loader's data, and all its nodes are in control blocks, which
 * contain their own address twice; a stack spans its control block. Else no stack but the
 * main thread's is known, and all are scanned whole: a pointer too many hides a leak, one
 * too few invents one. */
#include "reach/stacks.h"

#include "reach/census.h"
#include "reach/roots.h"
#include "reach/scratch.h"

#include <ucontext.h>

/* In struct pthread, glibc 2.34 and later. */
enum { LIST_AT = 0x2c0, TID_AT = 0x2d0, BLOCK_MAX = 0x1000 };
enum { HEAD_BYTES = 16, MOST_NODES = 1 << 22, RED_ZONE = 128 };
enum { ABOVE_MAX = 64 * 1024 }; /* from a control block to the end of its stack */

SCAN_STATE static struct {
  const struct roots_self *self;
  struct range_list *dead;
} here;

/* ---- words of glibc's ---------------------------------------------------------- */

static bool readable(uintptr_t start, size_t bytes) {
  const struct region *r = roots_region(start);
  return r && r->read && start % sizeof(uintptr_t) == 0 && bytes <= r->end - start;
}

static READS_ANYTHING uintptr_t word(uintptr_t at) {
  return *(const uintptr_t *)at;
}

static READS_ANYTHING int tid_of(uintptr_t tcb) {
  return *(const int *)(tcb + TID_AT);
}

/* tcbhead_t: tcb and self. */
static bool is_control_block(uintptr_t p) {
  return readable(p, TID_AT + 8) && word(p) == p && word(p + 16) == p;
}

/* ---- lists --------------------------------------------------------------------- */

static uintptr_t next(uintptr_t node) {
  return word(node);
}

static bool is_node(uintptr_t node) {
  return readable(node, HEAD_BYTES) && readable(next(node), HEAD_BYTES) &&
         word(next(node) + 8) == node;
}

/* 0: the list does not lead to a head. */
static uintptr_t head_of(uintptr_t tcb) {
  uintptr_t node = tcb + LIST_AT;
  for (unsigned i = 0; i < MOST_NODES && is_node(node); i++, node = next(node))
    if (roots_in_loader(node)) return node;
  return 0;
}

typedef bool visit_block(uintptr_t tcb);

/* false: it is no list of control blocks, or `visit` said so. */
static bool each_block(uintptr_t head, visit_block *visit) {
  if (!roots_in_loader(head) || !is_node(head)) return false;
  unsigned i = 0;
  for (uintptr_t node = next(head); node != head; node = next(node)) {
    uintptr_t tcb = node - LIST_AT;
    if (++i > MOST_NODES || !is_node(node) || !is_control_block(tcb)) return false;
    if (visit && !visit(tcb)) return false;
  }
  return true;
}

/* ---- stacks -------------------------------------------------------------------- */

/* stackblock and stackblock_size, wherever they are: the one pair of words in the block
 * that spans it. */
static READS_ANYTHING bool find_extent(uintptr_t tcb, uintptr_t *start, uintptr_t *end) {
  uintptr_t at = tcb + TID_AT + 8, stop = tcb + BLOCK_MAX;
  for (; at < stop && readable(at, 16); at += 8) {
    uintptr_t from = word(at), bytes = word(at + 8), to = from + bytes;
    if (from >= tcb || bytes >= from || to <= tcb || to - tcb > ABOVE_MAX) continue;
    *start = from;
    *end = to;
    return true;
  }
  return false;
}

static void lower(uintptr_t *lowest, uintptr_t sp, uintptr_t start, uintptr_t end) {
  if (start <= sp && sp < end && sp < *lowest) *lowest = sp;
}

/* Of all threads that are known to be on it, the lowest stack pointer; `end`: nobody. A
 * leaf function that was interrupted may keep things below it, but not one that calls. */
static uintptr_t lowest_sp(uintptr_t start, uintptr_t end) {
  uintptr_t lowest = end;
  const struct caller *caller = here.self->caller;
  lower(&lowest, caller->sp[0], start, end);
  for (unsigned i = 1; i < caller->stacks; i++)
    lower(&lowest, caller->sp[i] - RED_ZONE, start, end);
  const struct thread_set *threads = here.self->threads;
  for (unsigned i = 0; i < threads->count; i++) {
    const struct frozen_thread *t = &threads->threads[i];
    bool known = t->state == FROZEN_STOPPED || t->state == FROZEN_UNSTOPPED;
    if (known && t->sp > RED_ZONE) lower(&lowest, t->sp - RED_ZONE, start, end);
  }
  return lowest & ~(uintptr_t)7;
}

static bool add_dead(uintptr_t start, uintptr_t end) {
  struct range_list *dead = here.dead;
  if (start >= end) return true;
  if (dead->count == dead->capacity) return false;
  dead->ranges[dead->count++] = (struct range){start, end, RANGE_TOOL};
  return true;
}

/* Above the lowest stack pointer all counts: there may be several stacks on it. */
static bool add_below_sp(uintptr_t start, uintptr_t end) {
  uintptr_t sp = lowest_sp(start, end);
  return sp >= end || add_dead(start, sp);
}

static bool add_thread(uintptr_t tcb) {
  uintptr_t start, end;
  if (!find_extent(tcb, &start, &end)) return true; /* the main thread */
  if (tid_of(tcb)) return add_below_sp(start, end);
  return add_dead(start, tcb);
}

static bool add_cached(uintptr_t tcb) {
  uintptr_t start, end;
  return !find_extent(tcb, &start, &end) || add_dead(start, end);
}

/* ---- stacks for signals -------------------------------------------------------- */

/* Who was not on it is now, for the one signal that has stopped it; and no farther down
 * than that signal's frame nothing is in use, which is full of what vector registers
 * were left with. */
struct range stacks_signal(const struct frozen_thread *t) {
  struct range dead = {.owner = RANGE_TOOL};
  if (t->state != FROZEN_STOPPED) return dead;
  const stack_t *s = &((const ucontext_t *)t->context)->uc_stack;
  uintptr_t start = (uintptr_t)s->ss_sp, end = start + s->ss_size;
  if (t->context < start || t->context >= end) return dead;
  dead.start = start;
  dead.end = start <= t->sp && t->sp < end ? t->sp - RED_ZONE : end;
  return dead;
}

static bool add_signal_stacks(const struct thread_set *threads) {
  for (unsigned i = 0; i < threads->count; i++) {
    struct range dead = stacks_signal(&threads->threads[i]);
    if (!add_dead(dead.start, dead.end)) return false;
  }
  return true;
}

/* ---- all of them --------------------------------------------------------------- */

SCAN_STATE static size_t count;
static bool count_block(uintptr_t tcb) {
  (void)tcb;
  count++;
  return true;
}

/* The three lists, by the head of one: ours is `used` or `user`. Behind `user` and
 * `cache` there is a size, which is no list. */
static bool find_lists(uintptr_t *used) {
  if (!is_control_block(here.self->tcb) || tid_of(here.self->tcb) != here.self->tid)
    return false;
  uintptr_t head = head_of(here.self->tcb);
  if (!head) return false;
  *used = each_block(head + 2 * HEAD_BYTES, NULL) ? head : head - HEAD_BYTES;
  count = 0;
  for (int i = 0; i < 3; i++)
    if (!each_block(*used + (uintptr_t)i * HEAD_BYTES, count_block)) return false;
  return true;
}

static bool take_room(size_t most) {
  size_t bytes = os_whole_pages(most * sizeof(struct range));
  struct range *ranges = scratch(bytes);
  if (!ranges) return false;
  *here.dead = (struct range_list){.ranges = ranges, .capacity = most};
  return true;
}

bool stacks_dead(const struct roots_self *self, struct range_list *dead, bool *known) {
  uintptr_t used = 0, user, cache;
  here.self = self;
  here.dead = dead;
  count = 0;
  *known = find_lists(&used);
  if (!take_room(count + 1 + self->threads->count)) return false;
  if (!add_signal_stacks(self->threads)) return false;
  const struct region *main_stack = roots_main_stack();
  if (main_stack && !add_below_sp(main_stack->start, main_stack->end)) return false;
  user = used + HEAD_BYTES;
  cache = user + HEAD_BYTES;
  return !*known || (each_block(used, add_thread) && each_block(user, add_thread) &&
                     each_block(cache, add_cached));
}
