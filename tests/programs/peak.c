/* peak.c - a peak that is known, and what stays.
 *   peak spike     24 MB held steadily, a spike of 64 MB in the middle
 *   peak never     50 MB, nothing is ever freed
 *   peak churn     100,000 temporary blocks
 *   peak large     a few blocks of many MB, grown by realloc
 *   peak across    bursts of 40 MB, allocated by one thread and freed by another
 *   peak many      eight threads hold 5 MB each in turn, and 20 MB at once
 *   peak crowd     64 threads hold 500 KB each at once, and free it all at once
 *   peak fork      a burst of 80 MB; then a child has one of 40 MB
 * Prints "peak BYTES live BYTES". stdout is unbuffered: its buffer is not to count. */
#include "common.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>

static void *base[24000], *spikes[64000];

static NOINLINE void hold_base(void) {
  for (int i = 0; i < 24000; i++)
    base[i] = malloc(1000); /* MARK hold_base */
}
static NOINLINE void spike(void) {
  for (int i = 0; i < 64000; i++)
    spikes[i] = malloc(1000); /* MARK spike */
  for (int i = 0; i < 64000; i++)
    free(spikes[i]);
}
static NOINLINE void never_free(void) {
  for (int i = 0; i < 50000; i++)
    keep(malloc(1000)); /* MARK never_free */
}
static NOINLINE void churn(void) {
  for (int i = 0; i < 100000; i++)
    free(keep(malloc(48))); /* MARK churn */
}
static NOINLINE void grow_large(void) {
  char *p = NULL;
  for (int mb = 1; mb <= 60; mb++)
    p = realloc(p, (size_t)mb * 1000000); /* MARK grow_large */
  p = realloc(p, 7000000);                /* MARK shrink_large */
  base[0] = p;
}

enum { BURST = 40000, THREADS = 8, SHARE = 5000 };
static sem_t full, empty;

static void *free_bursts(void *unused) {
  for (;;) {
    CHECK(sem_wait(&full) == 0);
    if (!spikes[0]) return unused;
    for (int i = 0; i < BURST; i++)
      free(spikes[i]);
    CHECK(sem_post(&empty) == 0);
  }
}

static NOINLINE void across(void) {
  pthread_t t;
  CHECK(sem_init(&full, 0, 0) == 0 && sem_init(&empty, 0, 0) == 0);
  CHECK(pthread_create(&t, NULL, free_bursts, NULL) == 0);
  for (int burst = 0; burst < 5; burst++) {
    for (int i = 0; i < BURST; i++)
      spikes[i] = malloc(1000); /* MARK across */
    CHECK(sem_post(&full) == 0 && sem_wait(&empty) == 0);
  }
  spikes[0] = NULL;
  CHECK(sem_post(&full) == 0 && pthread_join(t, NULL) == 0);
}

static pthread_barrier_t together;
static pthread_mutex_t in_turn = PTHREAD_MUTEX_INITIALIZER;

static NOINLINE void hold_share(int shares) {
  void **mine = calloc((size_t)shares * SHARE, sizeof *mine);
  for (int i = 0; i < shares * SHARE; i++)
    mine[i] = malloc(1000); /* MARK hold_share */
  if (shares > 1) pthread_barrier_wait(&together);
  for (int i = 0; i < shares * SHARE; i++)
    free(mine[i]);
  free(mine);
}

static void *take_part(void *unused) {
  pthread_mutex_lock(&in_turn);
  hold_share(1);
  pthread_mutex_unlock(&in_turn);
  pthread_barrier_wait(&together);
  hold_share(4);
  return unused;
}

static NOINLINE void many(void) {
  pthread_t threads[THREADS];
  CHECK(pthread_barrier_init(&together, NULL, THREADS) == 0);
  for (int i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, take_part, NULL) == 0);
  for (int i = 0; i < THREADS; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
}

enum { CROWD = 64, EACH = 500 };

static NOINLINE void hold_in_crowd(void **mine) {
  for (int i = 0; i < EACH; i++)
    mine[i] = malloc(1000); /* MARK hold_in_crowd */
}

static void *join_crowd(void *box) {
  void **mine = (void **)box;
  hold_in_crowd(mine);
  pthread_barrier_wait(&together);
  for (int i = 0; i < EACH; i++)
    free(mine[i]);
  pthread_barrier_wait(&together);
  return NULL;
}

static NOINLINE void crowd(void) {
  static void *boxes[CROWD][EACH];
  pthread_t threads[CROWD];
  CHECK(pthread_barrier_init(&together, NULL, CROWD) == 0);
  for (int i = 0; i < CROWD; i++)
    CHECK(pthread_create(&threads[i], NULL, join_crowd, boxes[i]) == 0);
  for (int i = 0; i < CROWD; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
}

static NOINLINE void burst(void **box, int blocks) {
  for (int i = 0; i < blocks; i++)
    box[i] = malloc(1000);
  for (int i = 0; i < blocks; i++)
    free(box[i]);
}

static NOINLINE void in_a_child(void) {
  static void *box[80000];
  burst(box, 80000);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    burst(box, 40000);
    sleep_ms(50);
    exit(0);
  }
  CHECK(waitpid(child, NULL, 0) == child);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  setvbuf(stdout, NULL, _IONBF, 0);
  if (!strcmp(mode, "spike")) {
    hold_base();
    spike();
    sleep_ms(100);
    printf("peak 88000000 live 24000000\n");
  } else if (!strcmp(mode, "never")) {
    never_free();
    printf("peak 50000000 live 50000000\n");
  } else if (!strcmp(mode, "churn")) {
    churn();
    printf("peak 48 live 0\n");
  } else if (!strcmp(mode, "large")) {
    grow_large();
    printf("peak 60000000 live 7000000\n");
  } else if (!strcmp(mode, "across")) {
    across();
    printf("peak %d live 0\n", BURST * 1000);
  } else if (!strcmp(mode, "many")) {
    many();
    printf("peak %d live 0\n", THREADS * 4 * SHARE * 1008);
  } else if (!strcmp(mode, "crowd")) {
    crowd();
    printf("peak %d live 0\n", CROWD * EACH * 1000);
  } else if (!strcmp(mode, "fork")) {
    in_a_child();
    printf("peak 80000000 live 0\n");
  } else {
    return 2;
  }
  return 0;
}
