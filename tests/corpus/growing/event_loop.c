/* kind: growth
 * culprit: timer_add
 * end: kill
 * A cancelled timer is only marked, and never leaves the list. */
#include "../corpus.h"
#include <signal.h>

struct timer {
  struct timer *next;
  int cancelled;
  void (*call)(void *);
  void *argument;
  char name[32];
};
static struct timer *timers;

static struct timer *timer_add(void (*call)(void *), void *argument) {
  struct timer *t = calloc(1, sizeof *t);
  t->call = call;
  t->argument = argument;
  t->next = timers;
  timers = t;
  return t;
}
static void timer_cancel(struct timer *t) {
  t->cancelled = 1;
  t->argument = NULL;
}
static void timed_out(void *connection) {
  free(connection);
}
static void on_connection(void) {
  char *connection = malloc(500);
  struct timer *t = timer_add(timed_out, connection);
  corpus_use(connection, 500);
  timer_cancel(t);
  free(connection);
}

int main(void) {
  EACH_STEP(i)
    for (int k = 0; k < 20; k++)
      on_connection();
  raise(SIGKILL);
}
