/* rows.c - memory that no single stack holds much of.
 *   scatter   16,384 stacks with a block of 64 bytes each
 *   nest      50 calls deep in itself, a block of 1 MB
 *   rows renew N   100,000 blocks from 14,000 stacks, N of them renewed at random; no more
 * Prints for each "NAME OFFSET BYTES": OFFSET is the return address, in the program's own
 * file, of the call that leads there: in scatter(), and within nest(). */
#include "common.h"
#include <link.h>

enum { DEPTH = 14, STACKS = 1 << DEPTH, NESTED = 50 };

static void *boxes[STACKS], *big;
static uintptr_t base, in_scatter, in_nest;

static NOINLINE void *left(unsigned way, int depth);
static NOINLINE void *right(unsigned way, int depth);

static void *on(unsigned way, int depth) {
  if (depth == DEPTH) return malloc(64);
  return way & 1 ? right(way >> 1, depth + 1) : left(way >> 1, depth + 1);
}
static NOINLINE void *left(unsigned way, int depth) {
  return keep(on(way, depth));
}
static NOINLINE void *right(unsigned way, int depth) {
  return keep(on(way, depth));
}
static NOINLINE void *enter(unsigned way) {
  in_scatter = (uintptr_t)__builtin_return_address(0);
  return keep(on(way, 0));
}
static NOINLINE void scatter(void) {
  for (unsigned i = 0; i < STACKS; i++)
    boxes[i] = enter(i);
}

static NOINLINE void *nest(int depth) {
  if (depth < NESTED) return keep(nest(depth + 1));
  in_nest = (uintptr_t)__builtin_return_address(0);
  return malloc(1000000);
}

enum { KEPT = 100000, FEWER = 14000 };
static NOINLINE void renew(long times) {
  static void *kept[KEPT];
  unsigned random = 1;
  for (long i = 0; i < times; i++) {
    random = random * 1103515245 + 12345;
    unsigned which = i < KEPT ? (unsigned)i : (random >> 8) % KEPT;
    free(kept[which]);
    kept[which] = enter((random >> 4) % FEWER);
  }
}

static int find_base(struct dl_phdr_info *info, size_t bytes, void *unused) {
  (void)bytes, (void)unused;
  base = info->dlpi_addr;
  return 1; /* the program is the first */
}

int main(int argc, char **argv) {
  if (argc > 2 && !strcmp(argv[1], "renew")) {
    renew(atol(argv[2]));
    return 0;
  }
  setvbuf(stdout, NULL, _IONBF, 0);
  dl_iterate_phdr(find_base, NULL);
  scatter();
  big = nest(0);
  printf("scatter %zu %d\n", in_scatter - base, STACKS * 64);
  printf("nest %zu %d\n", in_nest - base, 1000000);
  return 0;
}
