/* joined.c - what threads were given and have given back, and what they left on their
 * stacks. Prints "name verdict bytes blocks". */
#include "common.h"
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

enum { STACK = 256 * 1024, MERGED = 4 };

static void *wait_for_ever(void *unused) {
  for (;;)
    pause();
  return unused;
}
static void *ignore(void *unused) {
  (void)unused;
  return NULL;
}

/* Without a copy of the block in the frame of whoever waits. */
static NOINLINE void *lost_argument(void) {
  return malloc(101); /* MARK lost_argument */
}
static NOINLINE void *lost_result(void *unused) {
  (void)unused;
  return malloc(102); /* MARK lost_result */
}
static NOINLINE void *kept_result(void *unused) {
  (void)unused;
  return malloc(103); /* MARK kept_result */
}
static NOINLINE void *kept_argument(void) {
  return malloc(104); /* MARK kept_argument */
}
static NOINLINE void *detached_argument(void) {
  return malloc(105); /* MARK detached_argument */
}
static NOINLINE void *below_the_stack(void) {
  return malloc(106); /* MARK below_the_stack */
}
static NOINLINE void *on_the_stack(void) {
  return malloc(107); /* MARK on_the_stack */
}

static pthread_t start(void *(*body)(void *), void *argument,
                       pthread_attr_t *attributes) {
  pthread_t t;
  CHECK(pthread_create(&t, attributes, body, argument) == 0);
  return t;
}

/* So many at once that their stacks are not used again. */
static NOINLINE void joined(void) {
  pthread_t threads[6];
  for (int i = 0; i < 6; i += 2) {
    threads[i] = start(ignore, lost_argument(), NULL);
    threads[i + 1] = start(lost_result, NULL, NULL);
  }
  for (int i = 0; i < 6; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
}

static NOINLINE void not_joined(void) {
  start(kept_result, NULL, NULL);
  start(wait_for_ever, kept_argument(), NULL);
}

static NOINLINE void detached(void) {
  CHECK(pthread_detach(start(ignore, detached_argument(), NULL)) == 0);
}

/* Stacks side by side in one mapping, without a guard between them. */
static NOINLINE void leave_below(void) {
  void *volatile deep[2048];
  uintptr_t hidden = hide(below_the_stack());
  for (int i = 0; i < 1024; i++)
    deep[i] = unhide(hidden);
  keep((void *)deep[7]);
}
static NOINLINE void *hold_and_wait(void *unused) {
  void *volatile held = on_the_stack();
  leave_below();
  wait_for_ever(unused);
  return held;
}
static NOINLINE void merged(void) {
  char *all = mmap(NULL, MERGED * STACK, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(all != MAP_FAILED);
  for (int i = 0; i < MERGED; i++) {
    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstack(&attributes, all + i * STACK, STACK) == 0);
    start(hold_and_wait, NULL, &attributes);
  }
}

/* Only the kernel knows of them. */
static NOINLINE void *alternate_stack(void) {
  return malloc(16384); /* MARK alternate_stack */
}
static NOINLINE void use_alternate(void) {
  stack_t s = {.ss_sp = alternate_stack(), .ss_size = 16384};
  CHECK(sigaltstack(&s, NULL) == 0);
  memset(&s, 0, sizeof s);
}
static void *alternate_and_wait(void *unused) {
  use_alternate();
  scrub_stack();
  return wait_for_ever(unused);
}

int main(void) {
  use_alternate();
  start(alternate_and_wait, NULL, NULL);
  not_joined();
  detached();
  merged();
  joined();
  sleep_ms(200); /* let them end, or come to rest */
  printf("lost_argument definite %d 3\n", 3 * 101);
  printf("lost_result definite %d 3\n", 3 * 102);
  printf("kept_result reachable 103 1\n");
  printf("kept_argument reachable 104 1\n");
  printf("detached_argument definite 105 1\n");
  printf("below_the_stack definite %d %d\n", MERGED * 106, MERGED);
  printf("on_the_stack reachable %d %d\n", MERGED * 107, MERGED);
  printf("alternate_stack reachable %d 2\n", 2 * 16384);
  fflush(stdout);
  scrub_stack();
  return 0;
}
