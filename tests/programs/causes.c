/* causes.c MODE - one function is to blame, and its call sites do not show it at once:
 *
 *   cache      an insert that keeps what it gets is reached over 4,096 stacks; all
 *              functions allocate by os_alloc, nearly all of which is freed
 *   wrapper    of twenty handlers that allocate by os_alloc one keeps it
 *   callers    one function with 500 callers
 *   recursion  two functions call each other, to any depth, and one of them keeps
 *   counts     what is made of four blocks, by three functions, is lost whole
 *   inlined    the same, but the compiler has put both into their caller
 *   children   three children lose, each by the same function
 *   small      three children too small for a recording keep 20 KiB, and lose a little of
 *              what one handler of twenty asks os_alloc for
 *   ways       three children lose by one function, each by two ways of its callers
 *   two        two functions lose, each its own
 *   growing    the insert again, but what it keeps can be reached: growth, of 4,096
 *              stacks
 *   filled     it keeps no more after a fifth of the work
 *   pointer    called by way of a table of functions, which is all its dispatcher does
 *   dominated  nearly all that goes through os_alloc is what one function loses; twenty
 *              others lose a little of what they ask for
 *   hooks      makes one block by a hook and one itself, loses both; called by a table
 *   events     one handler of an event loop opens a request, the next fills it; the last
 *              forgets it
 *   reload     each reload of a configuration registers three things of it once more, and
 *              frees most of what it makes on the way: growth
 *   tree       a tree is kept, made by helpers that have many callers: growth
 *   burst      a function's jobs are all made at once, done, and freed
 *   copies     a text is read, decoded, changed, each into a block of its own; freed
 *   endless    keeps what it makes until there is no more memory, and aborts
 *
 * Names are the program's own: nobody knows os_alloc. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define KEEP_FRAME __asm__ volatile("")

static volatile uintptr_t sink;
static void lose(void *p) {
  sink += (uintptr_t)p >> 60;
}

NOINLINE static void *os_alloc(size_t bytes) {
  void *p = malloc(bytes);
  KEEP_FRAME;
  return p;
}

NOINLINE static void work(void) {
  for (int i = 0; i < 8; i++) {
    void *p = os_alloc(200);
    lose(p);
    free(p);
  }
  KEEP_FRAME;
}

/* ---- many stacks --------------------------------------------------------------- */

static bool keeps; /* within reach */
static struct entry { struct entry *next; } * entries;

NOINLINE static void cache_insert(size_t n) {
  struct entry *e = os_alloc(64 + n % 2);
  if (keeps) {
    e->next = entries;
    entries = e;
  }
  lose(e);
  KEEP_FRAME;
}

typedef void step(unsigned depth, unsigned path);
static step *const steps[16];

static void next(unsigned depth, unsigned path) {
  if (depth == 0)
    cache_insert(path);
  else
    steps[path >> (4 * (depth - 1)) & 15](depth - 1, path);
}

#define STEP(n)                                                                          \
  NOINLINE static void step_##n(unsigned depth, unsigned path) {                         \
    work();                                                                              \
    next(depth, path);                                                                   \
    KEEP_FRAME;                                                                          \
  }
STEP(0)
STEP(1)
STEP(2)
STEP(3)
STEP(4)
STEP(5)
STEP(6)
STEP(7)
STEP(8)
STEP(9)
STEP(10)
STEP(11)
STEP(12) STEP(13) STEP(14) STEP(15) static step *const steps[16] = {
    step_0, step_1, step_2,  step_3,  step_4,  step_5,  step_6,  step_7,
    step_8, step_9, step_10, step_11, step_12, step_13, step_14, step_15};

static void cache(void) {
  for (unsigned path = 0; path < 4096; path++)
    next(3, path);
}

static void growing(void) {
  keeps = true;
  for (int round = 0; round < 4; round++) {
    cache();
    usleep(100000); /* time goes on without work, too */
  }
}

static void filled(void) {
  keeps = true;
  cache();
  for (int i = 0; i < 40000; i++)
    work();
}

/* ---- one of twenty ------------------------------------------------------------- */

#define HANDLER(n)                                                                       \
  NOINLINE static void handler_##n(void) {                                               \
    void *p = os_alloc(300);                                                             \
    lose(p);                                                                             \
    if (n != 7) free(p);                                                                 \
    KEEP_FRAME;                                                                          \
  }
#define TWENTY(X)                                                                        \
  X(0)                                                                                   \
  X(1)                                                                                   \
  X(2)                                                                                   \
  X(3)                                                                                   \
  X(4)                                                                                   \
  X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19)
TWENTY(HANDLER)

static void handle(int times) {
#define CALL(n) handler_##n();
  for (int i = 0; i < times; i++) {
    TWENTY(CALL)
  }
}

static void wrapper(void) {
  handle(500);
}

/* ---- five hundred callers ------------------------------------------------------ */

NOINLINE static void session_new(void) {
  lose(malloc(300));
  KEEP_FRAME;
}
#define HUNDREDS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)
#define TEN(h, t)                                                                        \
  ONE(h, t, 0)                                                                           \
  ONE(h, t, 1)                                                                           \
  ONE(h, t, 2)                                                                           \
  ONE(h, t, 3)                                                                           \
  ONE(h, t, 4) ONE(h, t, 5) ONE(h, t, 6) ONE(h, t, 7) ONE(h, t, 8) ONE(h, t, 9)
#define HUNDRED(h)                                                                       \
  TEN(h, 0)                                                                              \
  TEN(h, 1)                                                                              \
  TEN(h, 2) TEN(h, 3) TEN(h, 4) TEN(h, 5) TEN(h, 6) TEN(h, 7) TEN(h, 8) TEN(h, 9)
#define ONE(h, t, o)                                                                     \
  NOINLINE static void caller_##h##t##o(void) {                                          \
    work();                                                                              \
    session_new();                                                                       \
    KEEP_FRAME;                                                                          \
  }
HUNDRED(0)
HUNDRED(1)
HUNDRED(2)
HUNDRED(3)
HUNDRED(4)
#undef ONE

static void callers(void) {
#define ONE(h, t, o) caller_##h##t##o();
  for (int i = 0; i < 10; i++) {
    HUNDRED(0) HUNDRED(1) HUNDRED(2) HUNDRED(3) HUNDRED(4)
  }
}

static void children(void) {
  for (int child = 0; child < 3; child++)
    if (fork() == 0) {
      for (int i = 0; i < 2000; i++)
        session_new();
      exit(0);
    }
  while (wait(NULL) > 0)
    ;
}

static void small(void) {
  static void *kept;
  for (int child = 0; child < 3; child++)
    if (fork() == 0) {
      memset(kept = malloc(20 << 10), 1, 20 << 10);
      handle(5);
      exit(0);
    }
  while (wait(NULL) > 0)
    ;
}

/* ---- recursion ----------------------------------------------------------------- */

NOINLINE static void parse_list(int depth);
NOINLINE static void parse_item(int depth) {
  work();
  if (depth > 0) parse_list(depth - 1);
  KEEP_FRAME;
}
NOINLINE static void parse_list(int depth) {
  lose(os_alloc(80));
  if (depth > 0) parse_item(depth - 1);
  KEEP_FRAME;
}

static void recursion(void) {
  for (int i = 0; i < 200; i++)
    parse_item(i % 40);
}

/* ---- four blocks each ---------------------------------------------------------- */

struct program {
  void *code, *names[2];
};
NOINLINE static void *make_code(void) {
  void *p = malloc(700);
  KEEP_FRAME;
  return p;
}
NOINLINE static void *make_name(int which) {
  void *p = malloc(20 + (size_t)which);
  KEEP_FRAME;
  return p;
}
NOINLINE static struct program *compile(void) {
  struct program *p = malloc(sizeof *p);
  p->code = make_code();
  p->names[0] = make_name(0);
  p->names[1] = make_name(1);
  return p;
}

static void counts(void) {
  for (int i = 0; i < 300; i++) {
    work();
    lose(compile());
  }
}

/* ---- two ----------------------------------------------------------------------- */

NOINLINE static void lose_texts(void) {
  lose(malloc(1000));
  KEEP_FRAME;
}
NOINLINE static void lose_numbers(void) {
  lose(malloc(100));
  KEEP_FRAME;
}

static void two(void) {
  for (int i = 0; i < 300; i++) {
    lose_texts();
    if (i % 11 == 0) lose_numbers();
  }
}

#define INLINE static inline __attribute__((always_inline))
INLINE void inlined_texts(void) {
  lose(malloc(1000));
}
INLINE void inlined_numbers(void) {
  lose(malloc(100));
}
NOINLINE static void inlined(void) {
  for (int i = 0; i < 300; i++) {
    inlined_texts();
    if (i % 11 == 0) inlined_numbers();
  }
}

/* ---- by pointer ---------------------------------------------------------------- */

NOINLINE static void importer(void) {
  lose(os_alloc(900));
  KEEP_FRAME;
}
NOINLINE static void exporter(void) {
  free(os_alloc(900));
  KEEP_FRAME;
}
static void (*volatile table[])(void) = {importer, exporter};
NOINLINE static void dispatch(int i) {
  table[i]();
  KEEP_FRAME;
}

static void pointer(void) {
  for (int i = 0; i < 400; i++)
    dispatch(i % 2);
}

/* ---- nearly all through one wrapper -------------------------------------------- */

NOINLINE static void session_open(void) {
  lose(os_alloc(350));
  KEEP_FRAME;
}
#define LOADER(n)                                                                        \
  NOINLINE static void loader_##n(void) {                                                \
    for (int i = 0; i < 10; i++) {                                                       \
      void *p = os_alloc(200 + n);                                                       \
      lose(p);                                                                           \
      if (i) free(p);                                                                    \
    }                                                                                    \
    KEEP_FRAME;                                                                          \
  }
TWENTY(LOADER)

static void dominated(void) {
#define LOAD(n) loader_##n();
  TWENTY(LOAD)
  for (int i = 0; i < 5000; i++)
    session_open();
}

/* ---- by a hook ----------------------------------------------------------------- */

static void *(*volatile allocate)(size_t) = malloc;
struct parser {
  void *state, *names;
};
NOINLINE static struct parser parser_init(void) {
  struct parser p = {allocate(2000), malloc(60)};
  KEEP_FRAME;
  return p;
}
NOINLINE static struct parser no_parser(void) {
  return (struct parser){NULL, NULL};
}
static struct parser (*volatile types[])(void) = {parser_init, no_parser};
NOINLINE static struct parser make(int type) {
  struct parser p = types[type]();
  KEEP_FRAME;
  return p;
}
NOINLINE static void evaluate(bool again) {
  struct parser p = make(0);
  if (!again) {
    free(p.state);
    free(p.names);
  }
  lose(p.state);
  lose(p.names);
  KEEP_FRAME;
}

static void hooks(void) {
  work();
  for (int i = 0; i < 800; i++)
    evaluate(i % 2);
}

/* ---- by an event loop ---------------------------------------------------------- */

static struct request {
  void *body;
} *request;

NOINLINE static void request_open(void) {
  request = malloc(sizeof *request);
  KEEP_FRAME;
}
NOINLINE static void request_fill(void) {
  request->body = malloc(3000);
  KEEP_FRAME;
}
NOINLINE static void request_end(void) {
  request = NULL;
  KEEP_FRAME;
}
static void (*volatile handlers[])(void) = {request_open, request_fill, request_end};
NOINLINE static void handle_events(int events) {
  for (int i = 0; i < events; i++)
    handlers[i % 3]();
  KEEP_FRAME;
}

static void by_events(void) {
  work();
  handle_events(1200);
}

/* ---- by each reload ------------------------------------------------------------ */

static struct registered { struct registered *next; } * sources, *filters, *outputs;

#define READ(what, bytes)                                                                \
  NOINLINE static void read_##what(void) {                                               \
    struct registered *r = malloc(bytes);                                                \
    if (!r) abort();                                                                     \
    r->next = what##s;                                                                   \
    what##s = r;                                                                         \
    KEEP_FRAME;                                                                          \
  }
READ(source, 120)
READ(filter, 90)
READ(output, 80)
NOINLINE static void read_configuration(void) {
  char *text = malloc(4000);
  read_source();
  read_filter();
  read_filter();
  read_output();
  free(text);
  KEEP_FRAME;
}

static void reload(void) {
  for (int i = 0; i < 600; i++) {
    read_configuration();
    work();
    if (i % 10 == 0) usleep(20000);
  }
}

/* ---- a tree -------------------------------------------------------------------- */

struct node {
  struct node *next, *left, *right;
  char *text;
};
static struct node *trees;

NOINLINE static struct node *node_new(void) {
  struct node *n = calloc(1, sizeof *n);
  KEEP_FRAME;
  return n;
}
NOINLINE static char *text_new(unsigned size) {
  char *text = calloc(1, size);
  KEEP_FRAME;
  return text;
}
NOINLINE static struct node *pair_new(void) {
  struct node *n = calloc(2, sizeof *n);
  KEEP_FRAME;
  return n;
}
NOINLINE static struct node *part(unsigned depth, unsigned path);
#define KIND(k)                                                                          \
  NOINLINE static struct node *kind_##k(unsigned depth, unsigned path) {                 \
    struct node *n = path & 1 ? node_new() : pair_new();                                 \
    n->text = text_new(20 + k);                                                          \
    if (depth > 0) {                                                                     \
      n->left = part(depth - 1, path / 2);                                               \
      n->right = part(depth - 1, path / 3);                                              \
    }                                                                                    \
    KEEP_FRAME;                                                                          \
    return n;                                                                            \
  }
KIND(0)
KIND(1) KIND(2) KIND(3) KIND(4) static struct node *part(unsigned depth, unsigned path) {
  switch (path % 5) {
  case 0:
    return kind_0(depth, path);
  case 1:
    return kind_1(depth, path);
  case 2:
    return kind_2(depth, path);
  case 3:
    return kind_3(depth, path);
  default:
    return kind_4(depth, path);
  }
}
NOINLINE static void tree_of(unsigned path) {
  struct node *tree = part(4, path);
  tree->next = trees;
  trees = tree;
  KEEP_FRAME;
}

static void tree(void) {
  for (unsigned i = 0; i < 400; i++) {
    tree_of(i * 7919);
    for (int k = 0; k < 4; k++)
      work();
    usleep(6000);
  }
}

/* ---- at once ------------------------------------------------------------------- */

NOINLINE static void *job_new(void) {
  void *job = malloc(16000);
  KEEP_FRAME;
  return job;
}

static void burst(void) {
  static void *jobs[500];
  for (int i = 0; i < 500; i++)
    jobs[i] = job_new();
  for (int i = 0; i < 500; i++)
    free(jobs[i]);
  work();
}

/* ---- three copies of one text --------------------------------------------------- */

enum { TEXT = 2 << 20 };
NOINLINE static char *read_text(void) {
  char *text = malloc(TEXT);
  if (text) memset(text, 'a', TEXT);
  return text;
}
NOINLINE static char *decode(const char *from) {
  char *text = malloc(TEXT);
  if (text) memcpy(text, from, TEXT);
  return text;
}
NOINLINE static char *unescape(const char *from) {
  char *text = malloc(TEXT);
  if (text) memcpy(text, from, TEXT);
  return text;
}
static void copies(void) {
  char *read = read_text(), *decoded = decode(read), *plain = unescape(decoded);
  free(read);
  free(decoded);
  free(plain);
  work();
}

/* ---- by several ways ------------------------------------------------------------ */

NOINLINE static void letter_lose(void) {
  lose(malloc(100));
  KEEP_FRAME;
}
NOINLINE static void post(int letters) {
  for (int i = 0; i < letters; i++)
    letter_lose();
  KEEP_FRAME;
}
NOINLINE static void post_abroad(int letters) {
  post(letters);
  work();
}
NOINLINE static void post_at_home(int letters) {
  post(letters);
  work();
}
NOINLINE static void answer(int letters) {
  if (letters > 1) answer(letters - 1);
  letter_lose();
  KEEP_FRAME;
}
NOINLINE static void rarely(void) {
  letter_lose();
  work();
}
static void routes(void) {
  post_abroad(500);
  post_at_home(200);
  answer(290);
  for (int i = 0; i < 10; i++)
    rarely();
}

static void ways(void) {
  for (int child = 0; child < 3; child++)
    if (fork() == 0) {
      post_abroad(60);
      post_at_home(30);
      exit(0);
    }
  while (wait(NULL) > 0)
    ;
}

/* ---- to the limit -------------------------------------------------------------- */

NOINLINE static void remember(void) {
  struct entry *e = os_alloc(4000);
  if (!e) abort();
  memset(e, 1, 4000);
  e->next = entries;
  entries = e;
}

static void endless(void) {
  for (;;) {
    work();
    remember();
  }
}

int main(int argc, char *argv[]) {
  static const struct {
    const char *name;
    void (*run)(void);
  } modes[] = {{"cache", cache},       {"growing", growing}, {"filled", filled},
               {"wrapper", wrapper},   {"callers", callers}, {"recursion", recursion},
               {"counts", counts},     {"two", two},         {"inlined", inlined},
               {"children", children}, {"pointer", pointer}, {"dominated", dominated},
               {"hooks", hooks},       {"tree", tree},       {"burst", burst},
               {"copies", copies},     {"endless", endless}, {"small", small},
               {"events", by_events},  {"reload", reload},   {"routes", routes},     {"ways", ways}};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    if (argc == 2 && strcmp(argv[1], modes[i].name) == 0) {
      modes[i].run();
      return 0;
    }
  fprintf(stderr, "usage: causes MODE\n");
  return 2;
}
