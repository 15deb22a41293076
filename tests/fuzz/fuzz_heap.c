/* The heap from several threads, against a model: each byte pair of the input is an
 * operation on a slot, and the threads take the input in turn, so that every block may be
 * freed by another thread than the one that allocated it, and threads end in between.
 * A block holds a mark at its start and end that only it can have. */
#include "base/os.h"
#include "base/say.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "heap/large.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 64, THREADS = 3 };

static struct slot {
  char *p;
  size_t bytes;
} slots[SLOTS];

static const uint8_t *input;
static size_t left;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the slots and the input */

static void must(bool holds, const char *what) {
  if (!holds) say_invariant(what, __FILE__, __LINE__);
}

static void mark(struct slot *s) {
  s->p[0] = s->p[s->bytes - 1] = (char)(s - slots + 1);
}

static void take(struct slot *s, size_t bytes, size_t align) {
  struct spot at = {NULL, NULL};
  bool zeroed = false;
  char *p = heap_take_any(heap_mine(), bytes, align, &at, &zeroed);
  if (!p) return;
  must(!align || (uintptr_t)p % align == 0, "alignment");
  must(heap_usable(at) >= bytes, "size");
  must(!zeroed || (p[0] == 0 && p[bytes - 1] == 0 && p[bytes / 2] == 0), "zeros");
  *s = (struct slot){p, bytes};
  mark(s);
}

static void put(struct slot *s) {
  struct spot at = heap_spot(s->p, map_lookup(s->p));
  must(at.pool || at.large, "a live block is found");
  must(s->bytes == 1 || s->p[0] == s->p[s->bytes - 1], "content");
  heap_put_any(heap_mine(), at, s->p);
  s->p = NULL;
}

static void resize(struct slot *s, size_t bytes) {
  struct spot at = heap_spot(s->p, map_lookup(s->p));
  enum heap_resizing how = heap_resizing(at, bytes);
  char first = s->p[0];
  if (how == HEAP_MOVES) return;
  if (how == HEAP_RESIZES) {
    char *p = heap_resize(&at, bytes);
    if (!p) return;
    s->p = p;
  }
  must(s->p[0] == first && heap_usable(at) >= bytes, "a resized block");
  s->bytes = bytes;
  mark(s);
}

static void operate(uint8_t what, uint8_t how) {
  struct slot *s = &slots[what % SLOTS];
  size_t bytes = 1 + ((size_t)how * how * how >> (what >> 6) * 3);
  if (how == 0)
    heap_trim_all(heap_mine());
  else if (s->p && how % 3 == 0)
    resize(s, bytes);
  else if (s->p)
    put(s);
  else
    take(s, bytes, how % 5 ? 0 : (size_t)16 << how % 17);
}

static void *run(void *unused) {
  for (int n = 0; n < 200; n++) {
    pthread_mutex_lock(&lock);
    if (left < 2) n = 200;
    if (left >= 2) {
      operate(input[0], input[1]);
      input += 2;
      left -= 2;
    }
    pthread_mutex_unlock(&lock);
  }
  return unused;
}

static void check(void) {
  arena_lock();
  arena_check();
  heap_check(heap_mine());
  arena_unlock();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input = data;
  left = size;
  pthread_t threads[THREADS];
  int made = 0;
  while (made < THREADS && pthread_create(&threads[made], NULL, run, NULL) == 0)
    made++;
  run(NULL);
  for (int i = 0; i < made; i++)
    pthread_join(threads[i], NULL);
  for (int i = 0; i < SLOTS; i++)
    if (slots[i].p) put(&slots[i]);
  check();
  return 0;
}
