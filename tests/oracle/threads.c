/* threads.c - what threads hold, held and lost. */
#include "cases.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/stat.h>
#include <threads.h>
#include <unistd.h>

NOINLINE static char *block(void) {
  return calloc(1, 100);
}
static sem_t ready;

static pthread_t start(void *(*body)(void *), void *argument) {
  pthread_t t;
  MUST(pthread_create(&t, NULL, body, argument) == 0);
  return t;
}
/* ... and waits until it says so; then it has some time to fall asleep. */
static pthread_t start_and_wait(void *(*body)(void *), void *argument) {
  MUST(sem_init(&ready, 0, 0) == 0);
  pthread_t t = start(body, argument);
  while (sem_wait(&ready))
    continue;
  usleep(100000);
  return t;
}
/* Until the kernel has no other thread. */
static void wait_till_alone(void) {
  struct stat tasks;
  for (int i = 0; i < 5000; i++) {
    if (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink <= 3) return;
    usleep(2000);
  }
}
static void sleep_on(void) {
  sem_post(&ready);
  for (;;)
    pause();
}

static void *forgets(void *unused) {
  keep(block());
  return unused;
}
CASE(lost_by_a_thread) {
  pthread_join(start(forgets, NULL), NULL);
}
CASE(lost_by_ten_threads) {
  for (int i = 0; i < 10; i++)
    pthread_join(start(forgets, NULL), NULL);
}
static void *gives(void *unused) {
  keep(unused);
  return block();
}
CASE(result_of_a_thread_dropped) {
  void *result;
  pthread_join(start(gives, NULL), &result);
}
CASE(result_of_a_thread_nobody_joined) {
  start(gives, NULL);
  wait_till_alone();
}
CASE(thread_that_nobody_joined) { /* what libc has for it */
  start(forgets, NULL);
  wait_till_alone();
}
static void *frees(void *p) {
  free(p);
  return NULL;
}
CASE(freed_by_another_thread) {
  pthread_join(start(frees, block()), NULL);
}
static void *ignores(void *p) {
  keep(p);
  return NULL;
}
CASE(argument_of_a_thread_that_ended) {
  pthread_join(start(ignores, block()), NULL);
}
static void *sleeps(void *p) {
  keep(p);
  sleep_on();
  return NULL;
}
CASE(argument_of_a_thread_that_sleeps) {
  start_and_wait(sleeps, block());
}
static void *holds_on_its_stack(void *unused) {
  void *volatile mine = block();
  sleep_on();
  keep(mine);
  return unused;
}
CASE(held_by_the_stack_of_a_thread) {
  start_and_wait(holds_on_its_stack, NULL);
}
static void *held_on_its_stack(void *unused) {
  void *volatile mine = block();
  keep(mine);
  return unused;
}
CASE(held_by_the_stack_of_a_thread_that_ended) {
  pthread_join(start(held_on_its_stack, NULL), NULL);
}
NOINLINE static void deeper(int depth) {
  void *volatile mine = depth ? NULL : block();
  if (depth) deeper(depth - 1);
  keep(mine);
}
static void *went_deep(void *unused) {
  deeper(100);
  sleep_on();
  return unused;
}
CASE(held_below_the_stack_pointer) {
  start_and_wait(went_deep, NULL);
}
static void *holds_a_middle(void *unused) {
  char *volatile mine = block() + 50;
  sleep_on();
  keep(mine);
  return unused;
}
CASE(middle_held_by_the_stack_of_a_thread) {
  start_and_wait(holds_a_middle, NULL);
}
static __thread void *of_thread;
static void *holds_in_its_tls(void *unused) {
  of_thread = block();
  sleep_on();
  return unused;
}
CASE(held_by_the_tls_of_a_thread) {
  start_and_wait(holds_in_its_tls, NULL);
}
static void *held_in_its_tls(void *unused) {
  of_thread = block();
  return unused;
}
CASE(held_by_the_tls_of_a_thread_that_ended) {
  pthread_join(start(held_in_its_tls, NULL), NULL);
}
static void *holds_in_a_register(void *unused) {
  uintptr_t hidden = ~(uintptr_t)block();
  sem_post(&ready);
  __asm__ volatile("notq %%rbx\n"
                   "1: movl $34, %%eax\n" /* pause() */
                   "syscall\n"
                   "jmp 1b"
                   :
                   : "b"(hidden)
                   : "rax", "rcx", "r11", "memory");
  return unused;
}
CASE(held_by_a_register_of_a_thread) {
  start_and_wait(holds_in_a_register, NULL);
}

static pthread_key_t key;
CASE(held_by_a_key) {
  MUST(pthread_key_create(&key, NULL) == 0);
  pthread_setspecific(key, block());
}
CASE(held_by_a_late_key) { /* in a table of the second level, which libc allocates */
  for (int i = 0; i < 60; i++)
    MUST(pthread_key_create(&key, NULL) == 0);
  pthread_setspecific(key, block());
}
static void *sets_a_key(void *unused) {
  pthread_setspecific(key, block());
  return unused;
}
CASE(key_with_destructor) {
  MUST(pthread_key_create(&key, free) == 0);
  pthread_join(start(sets_a_key, NULL), NULL);
}
CASE(key_without_destructor) {
  MUST(pthread_key_create(&key, NULL) == 0);
  pthread_join(start(sets_a_key, NULL), NULL);
}
CASE(key_with_destructor_of_main) { /* exit calls none */
  MUST(pthread_key_create(&key, free) == 0);
  pthread_setspecific(key, block());
}
CASE(key_deleted) {
  MUST(pthread_key_create(&key, free) == 0);
  pthread_setspecific(key, block());
  pthread_key_delete(key);
}
static void *is_cancelled(void *unused) {
  void *volatile mine = block();
  sleep_on();
  keep(mine);
  return unused;
}
CASE(lost_by_cancellation) {
  pthread_t t = start_and_wait(is_cancelled, NULL);
  pthread_cancel(t);
  pthread_join(t, NULL);
}
static void *cleans_up(void *unused) {
  pthread_cleanup_push(free, block());
  sleep_on();
  pthread_cleanup_pop(1);
  return unused;
}
CASE(cleaned_up_at_cancellation) {
  pthread_t t = start_and_wait(cleans_up, NULL);
  pthread_cancel(t);
  pthread_join(t, NULL);
}
CASE(stack_of_a_thread_in_a_block) {
  pthread_attr_t a;
  pthread_attr_init(&a);
  pthread_t t;
  void *stack = aligned_alloc(4096, 65536);
  MUST(pthread_attr_setstack(&a, stack, 65536) == 0);
  MUST(sem_init(&ready, 0, 0) == 0);
  MUST(pthread_create(&t, &a, holds_on_its_stack, NULL) == 0);
  pthread_attr_destroy(&a);
  while (sem_wait(&ready))
    continue;
  usleep(100000);
}
static void *ends_the_process(void *unused) {
  void *volatile mine = block();
  exit(0);
  keep(mine);
  return unused;
}
CASE(exit_by_a_thread) {
  void *volatile of_main = block();
  start(ends_the_process, NULL);
  for (;;)
    pause();
  keep(of_main);
}
static int of_c11(void *p) {
  keep(p);
  keep(block());
  return 0;
}
CASE(lost_by_a_thread_of_c11) {
  thrd_t t;
  MUST(thrd_create(&t, of_c11, block()) == thrd_success);
  thrd_join(t, NULL);
}
CASE(semaphore_in_a_block) {
  sem_t *s = calloc(1, sizeof *s);
  sem_init(s, 0, 1);
}
CASE(mutex_in_a_block_held) {
  held[0] = calloc(1, sizeof(pthread_mutex_t));
  pthread_mutex_init(held[0], NULL);
  pthread_mutex_lock(held[0]);
}
