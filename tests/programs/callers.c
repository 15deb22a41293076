/* callers.c - stacks that agree in their inner frames, word for word where one would
 * look, and differ further out.
 *   rbp      the frame of `compensate` is found by its RBP, which `spoil` saved: the same
 *            return addresses at the same places, but for one place that the RBP tells
 *   address  the same frames, but for the return address into `first` or `second`
 * Each of first, second and third allocates 2 x ROUNDS blocks through the same functions,
 * from two places by turns: one after the other, or so many times each (callers WAY N)
 * that what is known of their stacks is kept. */
#include "common.h"

#include <alloca.h>

enum { ROUNDS = 20000, PAD = 256 };
#define USE(p) __asm__ volatile("" ::"r"(p) : "memory")

static void *volatile block;

static NOINLINE void allocate(void) {
  block = malloc(40);
  USE(block);
  free(block);
  block = malloc(40);
  USE(block);
  free(block);
}

/* RBP as any register: saved, used, given back. */
static NOINLINE void spoil(void) {
  register long any __asm__("rbp") = 7;
  __asm__ volatile("" : "+r"(any));
  allocate();
  __asm__ volatile("" : "+r"(any));
}

static NOINLINE void compensate(size_t bytes) {
  char *p = alloca(bytes);
  USE(p);
  spoil();
  USE(p);
}

static NOINLINE void first_by_rbp(void) {
  char pad[16];
  USE(pad);
  compensate(PAD);
  USE(pad);
}
static NOINLINE void second_by_rbp(void) {
  char pad[16 + PAD];
  USE(pad);
  compensate(0);
  USE(pad);
}
static NOINLINE void third_by_rbp(void) {
  char pad[16];
  USE(pad);
  compensate(PAD);
  USE(pad);
}

static NOINLINE void inner(void) {
  allocate();
  USE(block);
}
static NOINLINE void middle(void) {
  inner();
  USE(block);
}
static NOINLINE void first_by_address(void) {
  middle();
  USE(block);
}
static NOINLINE void second_by_address(void) {
  middle();
  USE(block);
}
static NOINLINE void third_by_address(void) {
  middle();
  USE(block);
}

typedef void function(void);

int main(int argc, char **argv) {
  static function *const by_rbp[] = {first_by_rbp, second_by_rbp, third_by_rbp};
  static function *const by_address[] = {first_by_address, second_by_address,
                                         third_by_address};
  function *const *call = argc > 1 && strcmp(argv[1], "rbp") == 0 ? by_rbp : by_address;
  int times = argc > 2 ? atoi(argv[2]) : 1;
  for (volatile int i = 0; i < 3 * ROUNDS; i++)
    call[i / times % 3]();
  return 0;
}
