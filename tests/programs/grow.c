/* grow.c - a request loop with one site of each habit:
 *   keep_session   keeps 1000 bytes of every request: growing
 *   fill_cache     keeps every request's 1000 bytes until it has 60: a plateau
 *   saw_tooth      collects 20 blocks of 2000 bytes, then frees them all
 *   start_up       2 MB once, at the start
 * usage: grow REQUESTS MS-PER-REQUEST */
#include "common.h"

#define SESSION_BYTES 1000
#define CACHE_ENTRIES 60
#define TEETH 20

struct session {
  struct session *next;
  char data[SESSION_BYTES - sizeof(void *)];
};
static struct session *sessions;
static void *cache[CACHE_ENTRIES];
static void *teeth[TEETH];
static void *configuration;

static NOINLINE void keep_session(int request) {
  struct session *s = malloc(sizeof *s); /* MARK keep_session */
  memset(s->data, request, sizeof s->data);
  s->next = sessions;
  sessions = s;
}

static NOINLINE void fill_cache(int request) {
  void **slot = &cache[request % CACHE_ENTRIES];
  if (!*slot) *slot = calloc(1, 1000); /* MARK fill_cache */
}

static NOINLINE void saw_tooth(int request) {
  int i = request % TEETH;
  if (i == 0)
    for (int k = 0; k < TEETH; k++) {
      free(teeth[k]);
      teeth[k] = NULL;
    }
  teeth[i] = malloc(2000); /* MARK saw_tooth */
}

static NOINLINE void start_up(void) {
  configuration = malloc(2000000); /* MARK start_up */
  memset(configuration, 1, 2000000);
}

static void serve(int request) {
  keep_session(request);
  fill_cache(request);
  saw_tooth(request);
}

int main(int argc, char **argv) {
  int requests = argc > 1 ? atoi(argv[1]) : 1000;
  int ms = argc > 2 ? atoi(argv[2]) : 1;
  start_up();
  for (int i = 0; i < requests; i++) {
    serve(i);
    if (ms) sleep_ms(ms);
  }
  printf("served %d requests\n", requests);
  return 0;
}
