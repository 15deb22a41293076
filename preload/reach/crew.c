/* crew.c - see crew.h.
 *
 * A member is a raw clone in the memory of the scan's process, and its thread: it is seen
 * by nobody but as one process more, dies with the process, and has nothing of its own
 * but a stack, and one for the handler of faults. In particular its FS base is the
 * chief's, so nothing here, and nothing that members call, may use what a thread has of
 * its own, errno and our locks (lock.h) among it.
 *
 * The pool is under a lock that is held for some instructions only: who finds it taken
 * looks again, and lets others run now and then, for its holder may have lost its
 * processor. Who finds nothing looks again for a while, too, before it goes to sleep: to
 * wake somebody takes longer than to read most of what is given. */
#include "reach/crew.h"

#include "base/os_thread.h"
#include "reach/scratch.h"

enum { STACK_BYTES = 128 << 10, SIGNAL_BYTES = 64 << 10 };
enum { LOOKS = 2000, LOOKS_AT_LOCK = 200, PACKETS = 64 };

SCAN_STATE _Atomic uint32_t crew_wanting;
SCAN_STATE static struct crew {
  _Atomic uint32_t lock;
  _Atomic uint32_t news; /* a futex: something was given, or nobody has anything */
  uint32_t size, busy;   /* members but the chief; all that have something in hand */
  uint32_t sleepers;
  uint32_t packets[CREW_KINDS];
  struct crew_packet *given[CREW_KINDS], *empty;
  _Atomic bool rests;
  char *signals[CREW_MOST]; /* stacks for them, by number */
  void (*work)(unsigned number);
  _Atomic uint32_t numbers;
} crew = {.busy = 1};

static void lock(void) {
  for (unsigned i = 0; atomic_exchange_explicit(&crew.lock, 1, memory_order_acquire); i++)
    if (i % LOOKS_AT_LOCK < LOOKS_AT_LOCK - 1)
      __builtin_ia32_pause();
    else
      os_sleep_ms(0);
}

static void unlock(void) {
  atomic_store_explicit(&crew.lock, 0, memory_order_release);
}

bool crew_takes_rests(void) {
  return atomic_load_explicit(&crew.rests, memory_order_relaxed);
}

/* Under the lock: what has changed, and unlock. */
static void unlock_and_tell(bool news) {
  uint32_t there = crew.packets[CREW_BLOCKS], idle = crew.size + 1 - crew.busy;
  if (crew_takes_rests()) there += crew.packets[CREW_RESTS];
  atomic_store_explicit(&crew_wanting, idle > there, memory_order_relaxed);
  if (news) atomic_fetch_add_explicit(&crew.news, 1, memory_order_release);
  bool wake = news && crew.sleepers;
  unlock();
  if (wake) os_futex_wake_all(&crew.news, false);
}

/* ---- packets ------------------------------------------------------------------- */

static struct crew_packet *more_packets(void) {
  char *run = os_map((size_t)PACKETS * CREW_PACKET_BYTES, OS_PAGE, OS_TOOL);
  if (!run) return NULL;
  for (unsigned i = 1; i < PACKETS; i++)
    crew_empty((struct crew_packet *)(run + (size_t)i * CREW_PACKET_BYTES));
  return (struct crew_packet *)run;
}

struct crew_packet *crew_packet(void) {
  lock();
  struct crew_packet *p = crew.empty;
  if (p) crew.empty = p->next;
  unlock();
  if (!p) p = more_packets();
  if (p) p->used = 0;
  return p;
}

void crew_empty(struct crew_packet *p) {
  lock();
  p->next = crew.empty;
  crew.empty = p;
  unlock();
}

void crew_give(struct crew_packet *p) {
  lock();
  p->next = crew.given[p->kind];
  crew.given[p->kind] = p;
  crew.packets[p->kind]++;
  unlock_and_tell(p->kind == CREW_BLOCKS || crew_takes_rests());
}

/* ---- taking -------------------------------------------------------------------- */

void crew_take_rests(bool rests) {
  lock();
  atomic_store_explicit(&crew.rests, rests, memory_order_relaxed);
  unlock_and_tell(rests && crew.packets[CREW_RESTS]);
}

/* Under the lock. */
static struct crew_packet *pop(void) {
  enum crew_kind kind = crew.given[CREW_BLOCKS] ? CREW_BLOCKS : CREW_RESTS;
  if (kind == CREW_RESTS && !crew_takes_rests()) return NULL;
  struct crew_packet *p = crew.given[kind];
  if (!p) return NULL;
  crew.given[kind] = p->next;
  crew.packets[kind]--;
  return p;
}

/* Until there are news. */
static void wait_for_news(uint32_t old) {
  for (unsigned i = 0; i < LOOKS; i++) {
    if (atomic_load_explicit(&crew.news, memory_order_acquire) != old) return;
    __builtin_ia32_pause();
  }
  lock();
  crew.sleepers++;
  unlock();
  os_futex_wait(&crew.news, old, NULL, false);
  lock();
  crew.sleepers--;
  unlock();
}

struct crew_packet *crew_take(unsigned number) {
  bool busy = true;
  if (!crew.size) return NULL;
  for (;;) {
    lock();
    struct crew_packet *p = pop();
    bool over = !p && crew.busy - busy == 0;
    bool stays = p || (over && number == CREW_CHIEF), last = over && busy && !stays;
    if (busy != stays) crew.busy += stays ? 1 : -1u;
    busy = stays;
    uint32_t news = atomic_load_explicit(&crew.news, memory_order_relaxed) + last;
    unlock_and_tell(last);
    if (stays) return p;
    wait_for_news(news);
  }
}

/* ---- members ------------------------------------------------------------------- */

static void begin(void) {
  unsigned number = atomic_fetch_add(&crew.numbers, 1) + 1;
  os_signal_stack(crew.signals[number], SIGNAL_BYTES);
  crew.work(number);
}

bool crew_hire(void (*work)(unsigned number)) {
  char *stacks = os_map(SIGNAL_BYTES + STACK_BYTES, OS_PAGE, OS_TOOL);
  if (!stacks) return false;
  crew.work = work;
  lock();
  crew.signals[++crew.size] = stacks;
  crew.busy++; /* until it looks for something */
  unlock();
  if (os_start_thread(stacks + SIGNAL_BYTES + STACK_BYTES, begin) > 0) return true;
  lock();
  crew.size--;
  crew.busy--;
  unlock();
  return false;
}
