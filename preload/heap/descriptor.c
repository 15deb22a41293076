#include "heap/descriptor.h"

#include "base/meta.h"
#include "base/os.h"

/* Arenas a group describes: the first, and each later one twice as many up to the most.
 * A few descriptors are kept rather than fetched again for each arena. */
enum { GROUP_FIRST = 64, GROUP_MOST = 256, FEW = 8 };

/* Taken: used; given back: on `free`, by next; never taken: from `virgin` on. */
struct arena_group {
  struct arena *arenas, *free;
  unsigned size, virgin, used;
  struct arena_group *next; /* among those that have room */
};

static struct arena *in_use;
static struct arena_group *with_room;
static unsigned next_size = GROUP_FIRST;

static struct arena_group *make(void) {
  struct arena_group *g = meta_alloc(sizeof *g);
  if (!g) return NULL;
  g->arenas = meta_alloc(next_size * sizeof *g->arenas);
  if (!g->arenas) {
    meta_free(g, sizeof *g);
    return NULL;
  }
  g->size = next_size;
  if (next_size < GROUP_MOST) next_size *= 2;
  with_room = g;
  return g;
}

static struct arena *take_from(struct arena_group *g) {
  struct arena *a = g->free;
  if (a)
    g->free = a->next;
  else
    a = &g->arenas[g->virgin++];
  if (++g->used == g->size) with_room = g->next;
  a->group = g;
  return a;
}

struct arena *descriptor_take(void) {
  struct arena_group *g = with_room ? with_room : make();
  if (!g) return NULL;
  struct arena *a = take_from(g);
  a->back = NULL;
  a->link = in_use;
  if (in_use) in_use->back = a;
  in_use = a;
  return a;
}

static void give_to(struct arena_group *g, struct arena *a) {
  if (g->used == g->size) {
    g->next = with_room;
    with_room = g;
  }
  a->next = g->free;
  g->free = a;
  if (--g->used > 0 || g->virgin <= FEW) return;
  if (os_discard(g->arenas, os_whole_pages(g->size * sizeof *a)) == 0) {
    g->free = NULL;
    g->virgin = 0;
  }
}

void descriptor_give(struct arena *a) {
  if (a->link) a->link->back = a->back;
  if (a->back)
    a->back->link = a->link;
  else
    in_use = a->link;
  a->base = NULL;
  give_to(a->group, a);
}

struct arena *descriptor_first(void) {
  return in_use;
}

void descriptor_raw_fork_child(void) {
  with_room = NULL;
}
