/* A hash table that doubles and halves as things come and go. */
#include "../corpus.h"

static unsigned *slots;
static size_t room, used;

static void set_room(size_t n) {
  room = n;
  slots = realloc(slots, n * sizeof *slots);
}
static void add(unsigned key) {
  if (used == room) set_room(room * 2);
  slots[used++] = key;
}
static void take(void) {
  if (used) used--;
  if (room > 64 && used < room / 4) set_room(room / 2);
}

int main(void) {
  set_room(64);
  EACH_STEP(i) {
    unsigned up = i / 100 % 2 == 0 ? 70 : 30;
    for (int k = 0; k < 100; k++)
      if (corpus_chance(100) < up)
        add(i);
      else
        take();
  }
}
