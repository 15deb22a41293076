/* stale.c - blocks that are lost unwritten: their memory still holds the pointers of
 * other nodes, which were freed. Prints "name verdict bytes blocks".
 *
 *   stale SEED   the former nodes' pointers, and the order of their frees */
#include "common.h"

enum { FORMER = 60000, SURVIVOR = 50, LOST = 20000, LISTS = 500, LIST = 10 };

struct node {
  struct node *next, *other;
  char data[32];
};
static struct node *survivors[FORMER / SURVIVOR];
static uint64_t seed;

static NOINLINE void shuffle(struct node **all) {
  for (size_t i = FORMER - 1; i > 0; i--) {
    size_t k = next_random(&seed) % (i + 1);
    struct node *t = all[i];
    all[i] = all[k];
    all[k] = t;
  }
}

static NOINLINE void live_and_free(void) {
  struct node **all = malloc(FORMER * sizeof *all);
  for (size_t i = 0; i < FORMER; i++)
    CHECK(all[i] = malloc(sizeof *all[i]));
  for (size_t i = 0; i < FORMER; i++) {
    all[i]->next = all[next_random(&seed) % FORMER];
    all[i]->other = all[next_random(&seed) % FORMER];
  }
  shuffle(all);
  for (size_t i = 0; i < FORMER; i++) {
    if (i % SURVIVOR == 0) {
      survivors[i / SURVIVOR] = all[i];
      memset(all[i], 0, sizeof *all[i]);
    } else {
      free(all[i]);
    }
  }
  memset(all, 0, FORMER * sizeof *all);
  free(all);
}

static NOINLINE void leak_unwritten(void) {
  for (int i = 0; i < LOST; i++)
    keep(malloc(sizeof(struct node))); /* MARK leak_unwritten */
}

/* Of a size of its own: here every pointer is one. */
static NOINLINE void *list_node(void *next) {
  void **n = malloc(80); /* MARK list_node */
  memset(n, 0, 80);
  n[3] = next;
  return n;
}
static NOINLINE void leak_lists(void) {
  for (int i = 0; i < LISTS; i++) {
    void *list = NULL;
    for (int k = 0; k < LIST; k++)
      list = list_node(list);
    keep(list);
  }
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  seed = 88172645463325252u + (uint64_t)atoi(argv[1]) * 1000003u;
  live_and_free();
  leak_unwritten();
  leak_lists();
  printf("leak_unwritten definite %zu %d\n", LOST * sizeof(struct node), LOST);
  printf("list_node definite %d %d\n", LISTS * 80, LISTS);
  printf("list_node indirect %d %d\n", LISTS * (LIST - 1) * 80, LISTS * (LIST - 1));
  fflush(stdout);
  scrub_stack();
  return 0;
}
