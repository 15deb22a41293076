/* leaks.c - blocks of each verdict, each from a function of its own. The
 * expected bytes and blocks are printed: "name verdict bytes blocks". */
#include "common.h"
#include <pthread.h>
#include <sys/mman.h>

struct node {
  struct node *next;
  char data[56];
};

static void expect(const char *name, const char *verdict, size_t bytes, size_t blocks) {
  printf("%s %s %zu %zu\n", name, verdict, bytes, blocks);
}

static NOINLINE void leak_definite(void) {
  for (int i = 0; i < 100; i++)
    keep(malloc(72)); /* MARK leak_definite */
}

static NOINLINE void *chain_block(struct node *next) {
  struct node *n = malloc(sizeof *n); /* MARK chain_block */
  n->next = next;
  return n;
}
static NOINLINE void leak_chain(void) { /* 20 chains of 10: 20 heads, 180 indirect */
  for (int i = 0; i < 20; i++) {
    struct node *head = NULL;
    for (int k = 0; k < 10; k++)
      head = chain_block(head);
    keep(head);
  }
}

static NOINLINE void leak_cycle(void) { /* 10 rings of 5: 10 leaders, 40 indirect */
  for (int i = 0; i < 10; i++) {
    struct node *ring[5];
    for (int k = 0; k < 5; k++)
      ring[k] = malloc(200); /* MARK leak_cycle */
    for (int k = 0; k < 5; k++)
      ring[k]->next = ring[(k + 1) % 5];
    memset(ring, 0, sizeof ring);
  }
}

static char *middles[30];
static NOINLINE void hold_middle(void) {
  for (int i = 0; i < 30; i++) {
    char *p = malloc(300); /* MARK hold_middle */
    memset(p, 'x', 300);
    middles[i] = p + 100 + i; /* (at a constant offset they would count as reachable) */
  }
}

static void *starts[40];
static NOINLINE void hold_start(void) {
  for (int i = 0; i < 40; i++)
    starts[i] = malloc(150); /* MARK hold_start */
}

static NOINLINE void hold_by_mapping(void) {
  void **page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  for (int i = 0; i < 25; i++)
    page[i * 7] = malloc(90); /* MARK hold_by_mapping */
  page = NULL;
  keep(page);
}

static __thread void *thread_local_pointer;
static NOINLINE void hold_by_tls(void) {
  thread_local_pointer = malloc(111); /* MARK hold_by_tls */
}

static pthread_key_t key;
static NOINLINE void hold_by_key(void) {
  CHECK(pthread_key_create(&key, NULL) == 0);
  pthread_setspecific(key, malloc(222)); /* MARK hold_by_key */
}

/* Threads that wait for ever, each with one block: on its stack, or only in a
 * register (the asm leaves no copy on the stack). */
static pthread_barrier_t barrier;
static NOINLINE void *allocate_for_thread(void) {
  return malloc(333); /* MARK allocate_for_thread */
}
static void *hold_on_stack(void *unused) {
  void *volatile p = allocate_for_thread();
  pthread_barrier_wait(&barrier);
  for (;;)
    pause();
  keep(p);
  return unused;
}
static NOINLINE void *allocate_for_register(void) {
  return malloc(444); /* MARK allocate_for_register */
}
static void *hold_in_register(void *unused) {
  uintptr_t hidden = hide(allocate_for_register());
  scrub_stack();
  pthread_barrier_wait(&barrier);
  /* pause() is system call 34; rbx survives it. */
  __asm__ volatile("xorq %1, %%rbx\n"
                   "1: movl $34, %%eax\n"
                   "syscall\n"
                   "jmp 1b"
                   :
                   : "b"(hidden), "r"(HIDDEN)
                   : "rax", "rcx", "r11", "memory");
  return unused;
}
static __thread void *of_thread;
static void *hold_in_thread_tls(void *unused) {
  of_thread = malloc(555); /* MARK hold_in_thread_tls */
  scrub_stack();
  pthread_barrier_wait(&barrier);
  for (;;)
    pause();
  return unused;
}

static void start_thread(void *(*body)(void *)) {
  pthread_t t;
  CHECK(pthread_create(&t, NULL, body, NULL) == 0);
}

/* A large block, in a mapping of its own, and a span. */
static NOINLINE void leak_large(void) {
  keep(malloc(3 << 20)); /* MARK leak_large */
}
static NOINLINE void leak_span(void) {
  keep(malloc(100000)); /* MARK leak_span */
}

int main(void) {
  leak_definite();
  leak_chain();
  leak_cycle();
  hold_middle();
  hold_start();
  hold_by_mapping();
  hold_by_tls();
  hold_by_key();
  leak_large();
  leak_span();
  CHECK(pthread_barrier_init(&barrier, NULL, 4) == 0);
  start_thread(hold_on_stack);
  start_thread(hold_in_register);
  start_thread(hold_in_thread_tls);
  pthread_barrier_wait(&barrier);
  sleep_ms(50); /* let them reach pause() */

  expect("leak_definite", "definite", 100 * 72, 100);
  expect("chain_block", "definite", 20 * 64, 20);
  expect("chain_block", "indirect", 180 * 64, 180);
  expect("leak_cycle", "definite", 10 * 200, 10);
  expect("leak_cycle", "indirect", 40 * 200, 40);
  expect("hold_middle", "possible", 30 * 300, 30);
  expect("hold_start", "reachable", 40 * 150, 40);
  expect("hold_by_mapping", "reachable", 25 * 90, 25);
  expect("hold_by_tls", "reachable", 111, 1);
  expect("hold_by_key", "reachable", 222, 1);
  expect("allocate_for_thread", "reachable", 333, 1);
  expect("allocate_for_register", "reachable", 444, 1);
  expect("hold_in_thread_tls", "reachable", 555, 1);
  expect("leak_large", "definite", 3 << 20, 1);
  expect("leak_span", "definite", 100000, 1);
  fflush(stdout);
  scrub_stack();
  return 0;
}
