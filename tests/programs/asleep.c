/* asleep.c - threads that sleep, each in another call, when the process ends or an exec
 * fails.
 *   asleep end         main returns; a thread that runs on says so and ends the process
 *   asleep exec FILE   FILE is being written; what the threads slept in goes on */
#include "common.h"
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>

static long sleep_for; /* ms */
static atomic_int awake;
static sem_t nobody_posts;
static pthread_cond_t nobody_signals = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static struct timespec span(void) {
  return (struct timespec){sleep_for / 1000, sleep_for % 1000 * 1000000};
}
static struct timespec deadline(void) {
  struct timespec now, t = span();
  clock_gettime(CLOCK_REALTIME, &now);
  t.tv_sec += now.tv_sec;
  t.tv_nsec += now.tv_nsec;
  if (t.tv_nsec < 1000000000) return t;
  return (struct timespec){t.tv_sec + 1, t.tv_nsec - 1000000000};
}

/* Each returns 0 if it slept for as long as it was told to. */
static int by_nanosleep(void) {
  struct timespec t = span();
  return nanosleep(&t, NULL);
}
static int by_sleep(void) {
  return (int)sleep((unsigned)(sleep_for + 999) / 1000);
}
static int by_usleep(void) {
  return usleep((useconds_t)sleep_for * 1000);
}
static int until(void) {
  struct timespec t = deadline();
  return clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL);
}
static int by_poll(void) {
  return poll(NULL, 0, (int)sleep_for);
}
static int by_epoll(void) {
  struct epoll_event event;
  return epoll_wait(epoll_create1(EPOLL_CLOEXEC), &event, 1, (int)sleep_for);
}
static int by_select(void) {
  struct timeval t = {sleep_for / 1000, sleep_for % 1000 * 1000};
  return select(0, NULL, NULL, NULL, &t);
}
static int by_semaphore(void) {
  struct timespec t = deadline();
  return sem_timedwait(&nobody_posts, &t) == -1 && errno == ETIMEDOUT ? 0 : -1;
}
static int by_condition(void) {
  struct timespec t = deadline();
  pthread_mutex_lock(&mutex);
  int error = pthread_cond_timedwait(&nobody_signals, &mutex, &t);
  pthread_mutex_unlock(&mutex);
  return error == ETIMEDOUT ? 0 : -1;
}
static int by_pause(void) {
  return pause() == -1 && errno == EINTR && awake ? 0 : -1;
}

static int (*const ways[])(void) = {by_nanosleep, by_sleep,  by_usleep,    until,        by_poll,
                                    by_epoll,     by_select, by_semaphore, by_condition, by_pause};
enum { WAYS = sizeof ways / sizeof *ways };

static void *sleep_and_run_on(void *way) {
  (*(int (**)(void))way)();
  if (write(1, "ran on\n", 7)) _exit(7);
  return NULL;
}

static void *sleep_on(void *way) {
  int bad = (*(int (**)(void))way)();
  if (bad) printf("way %d was woken\n", (int)((int (**)(void))way - (int (**)(void))ways));
  return NULL;
}

static void start(pthread_t *threads, void *(*body)(void *)) {
  for (int i = 0; i < WAYS; i++)
    CHECK(pthread_create(&threads[i], NULL, body, (void *)(uintptr_t)&ways[i]) == 0);
  sleep_ms(50);
}

static void wake(int sig) {
  (void)sig;
}

int main(int argc, char **argv) {
  pthread_t threads[WAYS];
  CHECK(argc > 1);
  sem_init(&nobody_posts, 0, 0);
  if (!strcmp(argv[1], "end")) {
    sleep_for = 1000000;
    start(threads, sleep_and_run_on);
    return 0;
  }
  sleep_for = 1500;
  signal(SIGUSR1, wake);
  start(threads, sleep_on);
  for (int i = 0; i < 3; i++) {
    execl(argv[2], argv[2], (char *)NULL);
    CHECK(errno == ETXTBSY);
    sleep_ms(50);
  }
  awake = 1;
  pthread_kill(threads[WAYS - 1], SIGUSR1);
  for (int i = 0; i < WAYS; i++)
    pthread_join(threads[i], NULL);
  puts("slept");
  return 0;
}
