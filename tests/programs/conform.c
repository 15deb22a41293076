/* conform.c - malloc's interface, as glibc documents and implements it. Passes
 * natively too: glibc is the oracle. Every failure is printed; the last line
 * says how many checks were made. */
#include "common.h"
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdbool.h>
#include <sys/resource.h>

static int checks, failures;

#define SOFT(condition)                                                                  \
  do {                                                                                   \
    checks++;                                                                            \
    if (!(condition)) {                                                                  \
      failures++;                                                                        \
      printf("line %d: %s\n", __LINE__, #condition);                                     \
    }                                                                                    \
  } while (0)

/* Sizes that the compiler cannot see, so that it does not warn or fold. */
static volatile size_t zero, huge = SIZE_MAX, half = (size_t)1 << 63,
                             big = (size_t)1 << 33;
static volatile size_t too_large = (size_t)PTRDIFF_MAX + 1;

static bool aligned(const void *p, size_t alignment) {
  return p && ((uintptr_t)p & (alignment - 1)) == 0;
}
static bool all_zero(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i]) return false;
  return true;
}
/* Fails with ENOMEM. */
static bool refused(void *p) {
  bool ok = !p && errno == ENOMEM;
  errno = 0;
  return ok;
}

static void test_malloc(void) {
  errno = 0;
  void *a = malloc(zero), *b = malloc(zero);
  SOFT(a && b && a != b);
  SOFT(malloc_usable_size(a) >= 16);
  free(a);
  free(b);
  SOFT(refused(keep(malloc(huge))));
  SOFT(refused(keep(malloc(half))));
  SOFT(refused(keep(malloc(too_large))));
  SOFT(refused(keep(malloc(PTRDIFF_MAX - 100 + zero))));
  for (size_t n = 1; n < 3000000; n += n / 7 + 1) {
    char *p = malloc(n);
    SOFT(aligned(p, 16));
    SOFT(malloc_usable_size(p) >= n);
    memset(p, 0xee, malloc_usable_size(p)); /* all of it is ours */
    free(p);
  }
  SOFT(malloc_usable_size(NULL) == 0);
  errno = 77;
  free(NULL);
  void *p = malloc(100);
  free(p);
  p = malloc(10 << 20);
  free(p);
  SOFT(errno == 77); /* kept by success and by free */
}

static void test_calloc(void) {
  errno = 0;
  for (size_t n = 1; n < 3000000; n += n / 3 + 1) {
    char *p = malloc(n);
    memset(p, 0xff, n);
    free(p);
    p = calloc(1, n);
    SOFT(aligned(p, 16) && all_zero(p, n));
    free(p);
  }
  SOFT(refused(keep(calloc(huge, 2))));
  SOFT(refused(keep(calloc(half, 2))));
  SOFT(refused(keep(calloc(big, big))));
  SOFT(refused(keep(calloc(1, too_large))));
  void *p = calloc(zero, 8), *q = calloc(8, zero);
  SOFT(p && q && p != q);
  free(p);
  free(q);
}

static bool holds(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i] != (char)(i * 7)) return false;
  return true;
}
static void put(char *p, size_t from, size_t to) {
  for (size_t i = from; i < to; i++)
    p[i] = (char)(i * 7);
}

static void test_realloc(void) {
  errno = 0;
  static const size_t sizes[] = {1,       16,      17,     500,    513,     4000,
                                 20000,   33000,   100000, 260000, 270000,  1000000,
                                 5000000, 3000000, 270000, 200000, 9000000, 40000,
                                 700,     64,      3,      300000, 1};
  char *p = realloc(NULL, 10);
  SOFT(aligned(p, 16));
  put(p, 0, 10);
  size_t old = 10;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    size_t n = sizes[i], common = n < old ? n : old;
    p = realloc(p, n);
    SOFT(aligned(p, 16) && malloc_usable_size(p) >= n);
    SOFT(holds(p, common));
    put(p, common, n);
    old = n;
  }
  uintptr_t h = hide(p); /* what realloc refuses stays as it is, whatever gcc warns */
  SOFT(refused(keep(realloc(unhide(h), huge))));
  SOFT(refused(keep(realloc(unhide(h), too_large))));
  SOFT(refused(keep(reallocarray(unhide(h), half, 2))));
  SOFT(refused(keep(reallocarray(unhide(h), big, big))));
  SOFT(holds(p, old));
  p = reallocarray(p, 100, 30);
  SOFT(p && malloc_usable_size(p) >= 3000 && holds(p, old));
  SOFT(realloc(p, zero) == NULL); /* glibc frees */
  p = realloc(NULL, zero);
  SOFT(p);
  free(p);
}

static void test_alignment(void) {
  static const size_t sizes[] = {0,    1,     15,    100,    512,    1000,
                                 4096, 30000, 70000, 300000, 2000000};
  for (size_t a = 8; a <= (size_t)4 << 20; a *= 2)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      size_t n = sizes[i];
      void *p = (void *)1;
      SOFT(posix_memalign(&p, a, n) == 0 && aligned(p, a));
      void *q = aligned_alloc(a, n);
      void *r = memalign(a, n);
      SOFT(aligned(q, a) && aligned(r, a));
      SOFT(malloc_usable_size(p) >= n && malloc_usable_size(q) >= n);
      memset(p, 1, n);
      memset(q, 2, n);
      memset(r, 3, malloc_usable_size(r));
      char *moved = realloc(q, n + 5000);
      SOFT(moved && (n == 0 || (moved[0] == 2 && moved[n - 1] == 2)));
      free(p);
      free(moved);
      free(r);
    }
  errno = 5;
  void *p = (void *)0x77;
  SOFT(posix_memalign(&p, 3, 10) == EINVAL);
  SOFT(posix_memalign(&p, 4, 10) == EINVAL); /* not a multiple of sizeof(void *) */
  SOFT(posix_memalign(&p, zero, 10) == EINVAL);
  SOFT(posix_memalign(&p, 24, 10) == EINVAL);
  SOFT(errno == 5);
  SOFT(posix_memalign(&p, 64, huge) == ENOMEM);
  SOFT(errno == ENOMEM); /* not that POSIX says so */
  SOFT(posix_memalign(&p, 64, too_large) == ENOMEM);
  SOFT(posix_memalign(&p, half, 1) == ENOMEM);
  SOFT(p == (void *)0x77); /* untouched by failure */
  errno = 0;
  SOFT(refused(keep(aligned_alloc(64, too_large))));
  SOFT(refused(keep(aligned_alloc(4096, huge - 100))));
  SOFT(refused(keep(memalign(64, huge))));
  volatile size_t odd = 24, page = (size_t)sysconf(_SC_PAGESIZE);
  p = memalign(odd, 100); /* glibc rounds up to a power of two */
  SOFT(aligned(p, 32));
  free(p);
  const char *minor = strchr(gnu_get_libc_version(), '.') + 1;
  errno = 0;
  p = aligned_alloc(odd, 100); /* as memalign; C17 refuses, glibc does since 2.38 */
  SOFT(atoi(minor) < 38 ? aligned(p, 32) : !p && errno == EINVAL);
  free(p);
  p = aligned_alloc(512, 30000); /* not a multiple */
  SOFT(aligned(p, 512));
  free(p);
  p = valloc(100);
  SOFT(aligned(p, page));
  free(p);
  p = pvalloc(100);
  SOFT(aligned(p, page) && malloc_usable_size(p) >= page);
  free(p);
  p = pvalloc(page + 1);
  SOFT(aligned(p, page) && malloc_usable_size(p) >= 2 * page);
  free(p);
  errno = 0;
  SOFT(refused(keep(valloc(huge))));
  SOFT(refused(keep(pvalloc(huge))));
}

static size_t resident_bytes(void) {
  FILE *f = fopen("/proc/self/statm", "r");
  size_t size = 0, resident = 0;
  CHECK(f && fscanf(f, "%zu %zu", &size, &resident) == 2);
  fclose(f);
  return resident * 4096;
}

/* Trim must give back what is free below blocks that are still in use. */
static void test_trim(void) {
  enum { N = 20000 };
  static void *p[N];
  for (int i = 0; i < N; i++) {
    p[i] = malloc(2000);
    memset(p[i], 1, 2000);
  }
  for (int i = 0; i < N; i++)
    if (i % 1000) free(p[i]);
  malloc_trim(0);
  size_t after = resident_bytes();
  SOFT(after < 20 << 20);
  for (int i = 0; i < N; i += 1000)
    free(p[i]);
}

static void test_mallinfo(void) {
  struct mallinfo2 before = mallinfo2();
  void *p[1000];
  for (int i = 0; i < 1000; i++)
    p[i] = malloc(1000);
  void *large = malloc(40 << 20);
  struct mallinfo2 now = mallinfo2();
  size_t used_before = before.uordblks + before.hblkhd;
  size_t used = now.uordblks + now.hblkhd;
  SOFT(used - used_before >= 1000000 + (40 << 20));
  SOFT(used - used_before < 1200000 + (40 << 20));
  SOFT(now.hblks == before.hblks + 1);
  SOFT(now.arena >= now.uordblks && now.arena - now.uordblks >= now.fordblks);
  free(large);
  for (int i = 0; i < 1000; i++)
    free(p[i]);
  struct mallinfo2 end = mallinfo2();
  SOFT(end.hblks == before.hblks);
  SOFT(end.uordblks + end.hblkhd < used_before + 100000);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  struct mallinfo old = mallinfo();
#pragma GCC diagnostic pop
  SOFT((size_t)(unsigned)old.uordblks == end.uordblks);
  SOFT(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1);
}

static void test_text(void) {
  char *text = NULL;
  size_t n = 0;
  FILE *f = open_memstream(&text, &n);
  SOFT(f && malloc_info(0, f) == 0);
  fclose(f);
  SOFT(text && strstr(text, "<malloc version=") && strstr(text, "</malloc>"));
  free(text);
  SOFT(malloc_info(1, stdout) == EINVAL);
}

/* C23, and the names that other libraries call: where there are some. */
static void test_others(void) {
  void (*sized)(void *, size_t) =
      (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
  if (sized) {
    sized(malloc(100), 100);
    sized(NULL, 0);
    SOFT(true);
  }
  void (*aligned_sized)(void *, size_t, size_t) =
      (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
  if (aligned_sized) {
    aligned_sized(aligned_alloc(64, 128), 64, 128);
    SOFT(true);
  }
  static const char *const names[] = {"__libc_malloc", "__libc_free", "__libc_calloc",
                                      "__libc_realloc", "__libc_memalign"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    SOFT(dlsym(RTLD_DEFAULT, names[i]));
  void *(*m)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "__libc_malloc");
  void *(*al)(size_t, size_t) =
      (void *(*)(size_t, size_t))dlsym(RTLD_DEFAULT, "__libc_memalign");
  void (*fr)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "__libc_free");
  void *p = m(1000);
  SOFT(malloc_usable_size(p) >= 1000);
  free(p);
  fr(malloc(10));
  p = al(256, 100);
  SOFT(aligned(p, 256));
  free(p);
}

/* What libc itself allocates, freed by the program. */
static void test_libc(void) {
  char *p = strdup("text");
  SOFT(p && !strcmp(p, "text"));
  free(p);
  SOFT(asprintf(&p, "%d", 5) == 1);
  free(p);
  p = realpath("/", NULL);
  SOFT(p && !strcmp(p, "/"));
  free(p);
  size_t n = 0;
  p = NULL;
  FILE *f = fopen("/proc/self/maps", "r");
  while (getline(&p, &n, f) > 0)
    continue;
  fclose(f);
  SOFT(n > 0);
  free(p);
}

int main(void) {
  test_malloc();
  test_calloc();
  test_realloc();
  test_alignment();
  test_trim();
  test_mallinfo();
  test_text();
  test_others();
  test_libc();
  printf("%d checks, %d failures\n", checks, failures);
  return failures != 0;
}
