/* misuse.c - frees and reallocs of what is no live block, one kind each:
 *
 *   small     a block in a pool that stays
 *   drained   blocks whose pool, and whose arena, have been given back
 *   large N   a block of N MiB, a mapping of its own: kept for reuse, or given back
 *   inside    free and realloc of an address inside a block
 *   realloc   of a freed block; what it gives must be nobody else's
 *   child     a block freed twice by a forked child
 *   static    free of what is in the program itself
 *   stack     free of what is on main's stack
 *   many      twenty places that free twice what two have allocated, one of them often */
#include "common.h"
#include <sys/wait.h>

static NOINLINE void free_again(void *p) {
  free(p); /* MARK free_again */
}

static void small(void) {
  void *p = keep(malloc(100)), *other = keep(malloc(100));
  free(p);
  free_again(p);
  CHECK(keep(malloc(100)) != keep(malloc(100)));
  free(other);
}

enum { CROWD = 20000 };
static void *crowd[CROWD];

static void drained(void) {
  for (int i = 0; i < CROWD; i++)
    CHECK(crowd[i] = malloc(2000));
  for (int i = 0; i < CROWD; i++)
    free(crowd[i]);
  for (int i = 0; i < CROWD; i += 1000)
    free_again(crowd[i]);
}

static void large(size_t mib) {
  char *p = keep(malloc(mib << 20));
  CHECK(p);
  p[0] = 1;
  free(p);
  free_again(p);
}

static NOINLINE void free_inside(char *p) {
  free(p); /* MARK free_inside */
}
static NOINLINE void *realloc_inside(char *p) {
  return realloc(p, 500); /* MARK realloc_inside */
}

static void inside(void) {
  char *p = keep(malloc(300));
  free_inside(p + 16);
  errno = 0;
  CHECK(!realloc_inside(p + 32) && errno == ENOMEM);
  free(p);
}

static NOINLINE void *realloc_again(void *p, size_t n) {
  return realloc(p, n); /* MARK realloc_again */
}

static void reallocated(void) {
  static const size_t sizes[] = {100, 90, 5000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char *p = keep(malloc(100));
    free(p);
    char *q = realloc_again(p, sizes[i]), *r = keep(malloc(100));
    CHECK(q && r && q != r);
    memset(q, 'q', sizes[i]);
    memset(r, 'r', 100);
    CHECK(q[0] == 'q' && q[sizes[i] - 1] == 'q');
    free(q);
    free(r);
  }
}

#define PLACE(n)                                                                         \
  case n:                                                                                \
    free(p);                                                                             \
    break;
static NOINLINE void free_at(int place, void *p) {
  switch (place) {
    PLACE(0)
    PLACE(1)
    PLACE(2)
    PLACE(3)
    PLACE(4)
    PLACE(5) PLACE(6) PLACE(7) PLACE(8) PLACE(9) PLACE(10) PLACE(11) PLACE(12) PLACE(13)
        PLACE(14) PLACE(15) PLACE(16) PLACE(17) PLACE(18) PLACE(19)
  }
  keep(p);
}

static void many(void) {
  for (int i = 0; i < 40; i++) {
    void *p = i % 2 ? keep(malloc(64)) : keep(malloc(80));
    free(p);
    for (int k = 0; k < (i == 3 ? 100 : 1); k++)
      free_at(i / 2, p);
  }
}

static char in_program[64];

static NOINLINE void free_static(char *p) {
  free(p); /* MARK free_static */
}

static void in_itself(void) {
  free_static(keep(in_program + 16));
  errno = 0;
  CHECK(!realloc(keep(in_program), 100) && errno == ENOMEM);
}

static void on_stack(void) {
  char room[64];
  free_static(keep(room + 16));
}

static void in_child(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    small();
    exit(0);
  }
  CHECK(waitpid(child, NULL, 0) == child);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  if (!strcmp(mode, "small")) small();
  if (!strcmp(mode, "drained")) drained();
  if (!strcmp(mode, "large")) large((size_t)atoi(argv[2]));
  if (!strcmp(mode, "inside")) inside();
  if (!strcmp(mode, "realloc")) reallocated();
  if (!strcmp(mode, "child")) in_child();
  if (!strcmp(mode, "static")) in_itself();
  if (!strcmp(mode, "stack")) on_stack();
  if (!strcmp(mode, "many")) many();
  puts("done");
  return 0;
}
