/* blocks.c - who leads to a block, and how: the nine shapes of memcheck's manual, what is
 * a pointer and what is none, graphs, where a root can lie, and what libc hands out. */
#include "cases.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <iconv.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <regex.h>
#include <search.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <wchar.h>

/* What an owner is: pointers first, so that a pointer to its middle is no pointer to one.
 */
struct node {
  void *one, *two, *three;
  char rest[40];
};

NOINLINE static struct node *owner(void *one) {
  struct node *n = calloc(1, sizeof *n);
  n->one = one;
  return n;
}
NOINLINE static char *block(void) {
  return calloc(1, 100);
}
static void *middle(void *p) {
  return (char *)p + 24;
}
static void lose(void *p) {
  keep(p);
}

/* ---- the nine shapes: root, A, B; '-?->' leads to a middle ---- */
CASE(shape1_root_b) {
  held[0] = block();
}
CASE(shape2_root_a_b) {
  held[0] = owner(block());
}
CASE(shape3_b) {
  lose(block());
}
CASE(shape4_a_b) {
  lose(owner(block()));
}
CASE(shape5_root_middle_b) {
  held[0] = middle(block());
}
CASE(shape6_root_a_middle_b) {
  held[0] = owner(middle(block()));
}
CASE(shape7_root_middle_a_b) {
  held[0] = middle(owner(block()));
}
CASE(shape8_root_middle_a_middle_b) {
  held[0] = middle(owner(middle(block())));
}
CASE(shape9_a_middle_b) {
  lose(owner(middle(block())));
}

/* ---- what is a pointer ---- */
CASE(pointer_to_last_byte) {
  held[0] = block() + 99;
}
CASE(pointer_behind_the_end) {
  held[0] = block() + 100;
}
CASE(pointer_before_the_start) {
  held[0] = block() - 1;
}
CASE(pointer_to_start_and_middle) {
  held[0] = block();
  held[1] = middle(held[0]);
}
CASE(middle_first_then_start) {
  char *b = block();
  held[0] = middle(b);
  held[1] = owner(b);
}
CASE(middle_from_root_start_from_lost) {
  char *b = block();
  held[0] = middle(b);
  lose(owner(b));
}
CASE(middle_from_lost_start_from_possible) {
  char *b = block();
  held[0] = middle(owner(b));
  lose(owner(middle(b)));
}
CASE(pointer_at_odd_address) {
  char *room = block(), *b = block();
  memcpy(room + 9, &b, sizeof b);
  held[0] = room;
}
CASE(pointer_xored) {
  held[0] = (void *)~(uintptr_t)block();
}
CASE(pointer_tagged_low) {
  held[0] = (void *)((uintptr_t)block() | 1);
}
CASE(pointer_tagged_high) {
  held[0] = (void *)((uintptr_t)block() | 1ul << 63);
}
CASE(pointer_compressed) {
  static uint32_t half;
  half = (uint32_t)((uintptr_t)block() >> 3);
  keep(&half);
}
CASE(pointer_in_freed) {
  struct node *n = owner(block());
  held[0] = n;
  free(n);
}
CASE(pointer_cut_off) { /* by realloc to a smaller size */
  char *room = block(), *b = block();
  memcpy(room + 80, &b, sizeof b);
  held[0] = realloc(room, 50);
}
CASE(pointer_moved_along) {
  struct node *n = owner(block());
  held[0] = realloc(n, 500000);
}
CASE(pointer_overwritten) {
  held[0] = block();
  held[0] = block();
}
CASE(nothing_in_it) {
  held[0] = malloc(0);
}
CASE(nothing_in_it_lost) {
  lose(malloc(0));
}
CASE(one_byte) {
  lose(malloc(1));
}
CASE(page) {
  lose(malloc(4096));
}
CASE(megabytes) {
  lose(malloc(5 << 20));
}
CASE(megabytes_middle) {
  held[0] = (char *)malloc(5 << 20) + 4096 * 300;
}
CASE(megabytes_own_blocks) {
  void **big = calloc(1, 2 << 20);
  for (int i = 0; i < 50; i++)
    big[i * 5000] = block();
  lose(big);
}
CASE(many_sizes) {
  for (size_t n = 1; n < 3000; n += 37)
    lose(malloc(n));
}
CASE(freed) {
  for (size_t n = 1; n < 300000; n += n / 2 + 1)
    free(keep(malloc(n)));
}

/* ---- graphs ---- */
CASE(points_to_itself) {
  struct node *n = owner(NULL);
  n->one = n;
}
CASE(points_to_own_middle) {
  struct node *n = owner(NULL);
  n->one = middle(n);
}
NOINLINE static struct node *ring(int length) {
  struct node *first = owner(NULL), *last = first;
  for (int i = 1; i < length; i++)
    last = last->one = owner(NULL);
  last->one = first;
  return first;
}
CASE(ring_lost) {
  lose(ring(5));
}
CASE(ring_held) {
  held[0] = ring(5);
}
CASE(ring_held_by_middle) {
  held[0] = middle(ring(5));
}
CASE(ring_with_tail) {
  ring(5)->two = owner(block());
}
CASE(ring_led_by_one) {
  lose(owner(ring(4)));
}
CASE(two_rings_in_a_row) {
  ring(3)->two = ring(4);
}
CASE(two_rings_apart) {
  lose(ring(3));
  lose(ring(4));
}
CASE(ring_by_middles) {
  struct node *a = owner(NULL), *b = owner(middle(a));
  a->one = middle(b);
}
CASE(ring_of_two_places) { /* its leader is the oldest, or the lowest in memory */
  struct node *a = owner(NULL);
  void **b = calloc(1, 300);
  a->one = b;
  *b = a;
}
NOINLINE static struct node *tree(int depth) {
  struct node *n = owner(NULL);
  if (depth) n->one = tree(depth - 1), n->two = tree(depth - 1);
  return n;
}
CASE(tree_lost) {
  lose(tree(5));
}
CASE(tree_held) {
  held[0] = tree(5);
}
CASE(tree_with_a_branch_held) {
  held[0] = tree(4)->two;
}
CASE(tree_held_by_a_middle) {
  held[0] = middle(tree(4));
}
CASE(two_heads_share) {
  char *b = block();
  lose(owner(b));
  lose(owner(b));
}
CASE(diamond) {
  char *b = block();
  struct node *top = owner(owner(b));
  top->two = owner(b);
}
CASE(lost_leads_to_held) {
  held[0] = owner(block());
  lose(owner(held[0]));
}
NOINLINE static struct node *list(int length, struct node **middle, struct node **end) {
  struct node *first = NULL, *next;
  for (int i = 0; i < length; i++) {
    next = owner(first);
    if (first) first->two = next; /* backwards */
    if (i == 0) *end = next;
    if (i == length / 2) *middle = next;
    first = next;
  }
  return first;
}
static void unlink_backwards(struct node *first) {
  for (; first; first = first->one)
    first->two = NULL;
}
CASE(list_held_by_its_middle) {
  struct node *m, *e;
  unlink_backwards(list(11, &m, &e));
  held[0] = m;
}
CASE(list_held_by_its_end) {
  struct node *m, *e;
  unlink_backwards(list(11, &m, &e));
  held[0] = e;
}
CASE(double_list_held_by_its_middle) {
  struct node *m, *e;
  list(11, &m, &e);
  held[0] = m;
}
CASE(double_list_lost) {
  struct node *m, *e;
  lose(list(11, &m, &e));
}
CASE(double_list_held_by_a_middle) {
  struct node *m, *e;
  held[0] = middle(list(11, &m, &e));
}
CASE(long_list_lost) {
  struct node *m, *e;
  unlink_backwards(list(20000, &m, &e));
}
CASE(intrusive_list) { /* the links lie in the middle of what they link */
  char *all[4];
  for (int i = 0; i < 4; i++)
    all[i] = block();
  for (int i = 0; i < 3; i++)
    *(void **)(all[i] + 48) = all[i + 1] + 48;
  held[0] = all[0] + 48;
}
CASE(array_of_pointers_lost) {
  void **array = calloc(20, sizeof *array);
  for (int i = 0; i < 20; i++)
    array[i] = block();
  lose(array);
}
CASE(array_held_by_its_second) {
  void **array = calloc(20, sizeof *array);
  for (int i = 0; i < 20; i++)
    array[i] = block();
  held[0] = array + 1;
}
CASE(cursor_behind_its_text) { /* a stack machine that keeps the top only */
  char *text = block();
  memset(text, 'x', 100);
  held[0] = text + 60;
}
CASE(length_before) { /* as sqlite3's allocator, and memcheck's heuristic, have it */
  uint64_t *p = calloc(1, 108);
  *p = 100;
  held[0] = p + 1;
}
CASE(length_before_wrong) {
  uint64_t *p = calloc(1, 108);
  *p = 99;
  held[0] = p + 1;
}
CASE(length_before_narrow) { /* 32 bits only */
  uint32_t *p = calloc(1, 108);
  *p = 100;
  held[0] = p + 2;
}
CASE(hash_of_libc_lost) {
  MUST(hcreate(50));
  static char key[] = "key";
  ENTRY e = {key, block()};
  MUST(hsearch(e, ENTER));
  e.data = block(); /* is not entered: it is there */
  hsearch(e, ENTER);
}
static int by_address(const void *a, const void *b) {
  return a < b ? -1 : a > b;
}
CASE(tree_of_libc_lost) { /* its links carry a colour in the lowest bit */
  void *root = NULL;
  for (int i = 0; i < 6; i++)
    tsearch(block(), &root, by_address);
}
CASE(tree_of_libc_held) {
  static void *root;
  for (int i = 0; i < 6; i++)
    tsearch(block(), &root, by_address);
  keep(&root);
}

/* ---- where a root can lie ---- */
static void *initialised[2] = {initialised};
CASE(held_by_data) {
  initialised[1] = block();
}
CASE(held_by_a_static_of_a_function) {
  static void *mine;
  mine = block();
  keep(&mine);
}
CASE(held_by_tls) {
  static __thread void *mine;
  mine = block();
  keep(&mine);
}
static void *map(int protection, int flags) {
  void *p = mmap(NULL, 8192, protection, flags | MAP_ANONYMOUS, -1, 0);
  MUST(p != MAP_FAILED);
  return p;
}
CASE(held_by_a_mapping) {
  void **m = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
  m[100] = block();
}
CASE(held_by_a_mapping_read_only_by_now) {
  void **m = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
  m[100] = block();
  MUST(mprotect(m, 8192, PROT_READ) == 0);
}
CASE(held_by_a_mapping_without_access) {
  void **m = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
  m[100] = block();
  MUST(mprotect(m, 8192, PROT_NONE) == 0);
}
CASE(held_by_a_mapping_that_is_gone) {
  void **m = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
  m[100] = block();
  MUST(munmap(m, 8192) == 0);
}
CASE(held_by_shared_memory) {
  void **m = map(PROT_READ | PROT_WRITE, MAP_SHARED);
  m[100] = block();
}
CASE(held_by_a_file) {
  FILE *f = tmpfile();
  MUST(f && ftruncate(fileno(f), 4096) == 0);
  void **m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);
  MUST(m != MAP_FAILED);
  m[100] = block();
  fclose(f);
}
CASE(held_by_the_break) {
  void **m = sbrk(8192);
  MUST(m != (void *)-1);
  m[100] = block();
}
CASE(held_by_the_environment) {
  clearenv();
  char *b = block();
  strcpy(b, "ORACLE=1");
  putenv(b);
}
CASE(replaced_in_the_environment) {
  clearenv();
  char *b = block();
  strcpy(b, "ORACLE=1");
  putenv(b);
  static char other[] = "ORACLE=2";
  putenv(other);
}
NOINLINE static void leave(int how, void *p) {
  void *volatile mine = keep(p);
  if (how == 0) exit(0);
  if (how == 1) _exit(0);
  if (how == 2) quick_exit(0);
  if (how == 3) abort();
  if (how == 4) raise(SIGTERM);
  keep(mine);
}
CASE(held_by_main_that_calls_exit) {
  main_holds = 1;
}
CASE(held_by_a_frame_at_exit) {
  leave(0, block());
}
CASE(held_by_a_frame_at_the_raw_exit) {
  leave(1, block());
}
CASE(held_by_a_frame_at_the_quick_exit) {
  leave(2, block());
}
CASE(held_by_a_frame_at_abort) {
  leave(3, block());
}
CASE(held_by_a_frame_at_a_signal) {
  leave(4, block());
}
CASE(held_by_a_frame_that_returned) {
  leave(9, block());
}
static void on_signal(int number) {
  keep(&number);
  exit(0);
}
NOINLINE static void interrupted(void *p) {
  void *volatile mine = keep(p);
  raise(SIGUSR1);
  keep(mine);
}
CASE(held_by_a_frame_that_a_signal_interrupts) {
  signal(SIGUSR1, on_signal);
  interrupted(block());
}
CASE(held_by_the_other_stack) { /* of signals, that is over */
  static stack_t s;
  s.ss_size = 65536;
  s.ss_sp = calloc(1, s.ss_size);
  MUST(sigaltstack(&s, NULL) == 0);
  struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR1, &a, NULL);
  interrupted(block());
}
static void forget_handler(int number) {
  keep(&number);
  lose(block());
}
CASE(lost_by_a_signal_handler) {
  signal(SIGUSR1, forget_handler);
  raise(SIGUSR1);
}
static ucontext_t back, aside;
NOINLINE static void coroutine(void) {
  void *volatile mine = keep(block());
  swapcontext(&aside, &back);
  keep(mine);
}
static void start_aside(void *stack) {
  MUST(getcontext(&aside) == 0);
  aside.uc_stack.ss_sp = stack;
  aside.uc_stack.ss_size = 65536;
  makecontext(&aside, coroutine, 0);
  swapcontext(&back, &aside);
}
CASE(held_by_a_coroutine_in_a_block) {
  held[0] = calloc(1, 65536);
  start_aside(held[0]);
}
CASE(held_by_a_coroutine_in_a_mapping) {
  void *m = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(m != MAP_FAILED);
  start_aside(m);
}
static jmp_buf out;
NOINLINE static void jump(void *p) {
  void *volatile mine = keep(p);
  longjmp(out, 1);
  keep(mine);
}
CASE(lost_by_longjmp) {
  if (setjmp(out) == 0) jump(block());
}
static void at_exit_frees(void) {
  free(held[0]);
  held[0] = NULL;
}
CASE(freed_at_exit) {
  atexit(at_exit_frees);
  held[0] = block();
}
static void at_exit_forgets(void) {
  held[0] = NULL;
  lose(block());
}
CASE(forgotten_at_exit) {
  atexit(at_exit_forgets);
  held[0] = block();
}
static void on_exit_frees(int status, void *p) {
  keep(&status);
  free(p);
}
CASE(freed_on_exit) {
  on_exit(on_exit_frees, block());
}
static void on_exit_ignores(int status, void *p) {
  keep(&status);
  keep(p);
}
CASE(argument_of_on_exit) {
  on_exit(on_exit_ignores, block());
}
__attribute__((destructor)) static void in_a_destructor(void) {
  free(held[63]);
  held[63] = NULL;
}
CASE(freed_by_a_destructor) {
  held[63] = block();
}

/* ---- what libc hands out ---- */
CASE(by_malloc) {
  lose(malloc(11));
}
CASE(by_calloc) {
  lose(calloc(3, 11));
}
CASE(by_realloc) {
  lose(realloc(NULL, 22));
}
NOINLINE static void *grow(void *p, size_t n) {
  return realloc(p, n);
}
CASE(by_realloc_of_another) {
  lose(grow(block(), 700));
}
CASE(by_realloc_chain) {
  char *p = block();
  for (size_t n = 100; n < 2000000; n = n * 3 / 2)
    p = grow(p, n);
  lose(p);
}
CASE(by_realloc_to_less) {
  lose(grow(malloc(100000), 10));
}
CASE(by_realloc_to_nothing) {
  lose(grow(block(), 0));
}
CASE(by_realloc_that_fails) { /* the old one stays */
  void *p = block();
  MUST(!grow(p, SIZE_MAX / 2));
}
CASE(by_reallocarray) {
  lose(reallocarray(NULL, 5, 11));
}
CASE(by_aligned_alloc) {
  lose(aligned_alloc(256, 512));
}
CASE(by_aligned_alloc_wide) {
  held[0] = aligned_alloc(1 << 20, 1 << 20);
}
CASE(by_memalign) {
  lose(keep(aligned_alloc(32, 96)));
}
CASE(by_posix_memalign) {
  void *p;
  MUST(posix_memalign(&p, 4096, 33) == 0);
}
CASE(by_valloc) {
  lose(valloc(44));
}
CASE(by_strdup) {
  lose(strdup("some text"));
}
CASE(by_strndup) {
  lose(strndup("some text", 4));
}
CASE(by_wcsdup) {
  lose(wcsdup(L"some text"));
}
CASE(by_asprintf) {
  char *p;
  MUST(asprintf(&p, "%d numbers", 12345) > 0);
}
static FILE *some_text(void) {
  static char text[] = "one line\nand another, longer\n";
  FILE *f = fmemopen(text, sizeof text - 1, "r");
  MUST(f);
  return f;
}
CASE(by_getline) {
  FILE *f = some_text();
  char *line = NULL;
  size_t n = 0;
  MUST(getline(&line, &n, f) > 0 && getline(&line, &n, f) > 0);
  fclose(f);
}
CASE(by_scanf) {
  char *word;
  FILE *f = some_text();
  MUST(fscanf(f, "%ms", &word) == 1);
  fclose(f);
}
CASE(by_open_memstream) {
  char *text;
  size_t n;
  FILE *f = open_memstream(&text, &n);
  fputs("some text", f);
  fclose(f);
}
CASE(by_realpath) {
  lose(realpath("/", NULL));
}
CASE(by_getcwd) {
  MUST(chdir("/") == 0);
  lose(getcwd(NULL, 0));
}
CASE(by_fopen) {
  lose(fopen("/dev/null", "r"));
} /* libc has a list of them */
CASE(by_opendir) {
  lose(opendir("/"));
}
static int all(const struct dirent *d) {
  return d->d_name[0] == '.' && !d->d_name[1];
}
CASE(by_scandir) {
  struct dirent **names;
  MUST(scandir("/", &names, all, alphasort) == 1);
}
CASE(by_glob) {
  glob_t g;
  MUST(glob("/dev/nul[l]", 0, NULL, &g) == 0);
  memset(&g, 0, sizeof g);
}
CASE(by_regcomp) {
  regex_t r;
  MUST(regcomp(&r, "a*b|[c-f]+", REG_EXTENDED) == 0);
  memset(&r, 0, sizeof r);
}
CASE(by_getaddrinfo) {
  struct addrinfo *found, hints = {.ai_flags = AI_NUMERICHOST};
  MUST(getaddrinfo("127.0.0.1", NULL, &hints, &found) == 0);
}
CASE(by_getifaddrs) {
  struct ifaddrs *found;
  MUST(getifaddrs(&found) == 0);
  freeifaddrs(found);
}
CASE(by_popen) {
  FILE *f = popen("true", "r");
  MUST(f && fgetc(f) == EOF);
}
static int by_number(const void *a, const void *b) {
  return *(const int *)a - *(const int *)b;
}
CASE(freed_within_qsort) {
  int *numbers = calloc(3000, sizeof *numbers);
  for (int i = 0; i < 3000; i++)
    numbers[i] = i * 7919 % 3000;
  qsort(numbers, 3000, sizeof *numbers, by_number);
  free(numbers);
}
