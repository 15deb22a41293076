/* kind: leak
 * culprit: render_footer
 * All allocate by way of two wrappers that nobody knows; one of them forgets to free. */
#include "../corpus.h"

__attribute__((noinline)) static void *zone_take(size_t bytes) {
  void *p = malloc(bytes);
  if (!p) abort();
  return p;
}
__attribute__((noinline)) static char *zone_text(size_t bytes) {
  char *p = zone_take(bytes + 1);
  memset(p, ' ', bytes);
  p[bytes] = 0;
  return p;
}

static void render_header(void) {
  char *t = zone_text(400);
  corpus_use(t, 100);
  free(t);
}
static void render_body(void) {
  for (int i = 0; i < 20; i++) {
    char *t = zone_text(200);
    corpus_use(t, 100);
    free(t);
  }
}
static void render_footer(void) {
  char *t = zone_text(150);
  corpus_use(t, 100);
}
static void render_menu(void) {
  char *t = zone_take(90), *u = zone_text(60);
  corpus_use(t, 10);
  free(t);
  free(u);
}

int main(void) {
  EACH_STEP(i) {
    render_header();
    render_menu();
    for (int k = 0; k < 4; k++)
      render_body();
    if (i % 2) render_footer();
  }
}
