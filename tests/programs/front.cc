// front.cc - a program whose malloc, free, calloc and realloc stand in front of all others,
// as bash's do, and which defines nothing else of the family. argv[1]: "own", from a
// buffer of its own; or "next", from the malloc behind it, each block with a header.
#include "common.h"
#include <dlfcn.h>
#include <malloc.h>
#include <new>

struct head {
  size_t size;
  uint64_t magic;
};
static const uint64_t MAGIC = 0xd6d6d6d6d6d6d6d6u;
static char pool[4 << 20] __attribute__((aligned(16)));
static size_t used, live;
static bool behind; // "next"

template <typename F> static F *next(const char *name) {
  return reinterpret_cast<F *>(dlsym(RTLD_NEXT, name));
}

static void *take(size_t n) {
  static void *(*real)(size_t);
  if (behind) {
    if (!real) real = next<void *(size_t)>("malloc");
    return real(n);
  }
  n = (n + 15) & ~static_cast<size_t>(15);
  if (n > sizeof pool - used) return nullptr;
  used += n;
  return pool + used - n;
}

static void give(void *p) {
  static void (*real)(void *);
  if (p >= pool && p < pool + sizeof pool) return;
  if (!real) real = next<void(void *)>("free");
  real(p);
}

extern "C" void *malloc(size_t n) {
  head *h = n > PTRDIFF_MAX ? nullptr : static_cast<head *>(take(n + sizeof *h));
  if (!h) {
    errno = ENOMEM;
    return nullptr;
  }
  *h = {n, MAGIC};
  live++;
  return h + 1;
}

static bool ours(void *p) {
  head *h = static_cast<head *>(p) - 1;
  return h->magic == MAGIC;
}

extern "C" void free(void *p) {
  if (!p) return;
  if (!ours(p)) {
    static const char text[] = "free: not a block of this malloc\n";
    (void)!write(1, text, sizeof text - 1);
    _exit(99);
  }
  live--;
  give(static_cast<head *>(p) - 1);
}

extern "C" void *calloc(size_t n, size_t size) {
  void *p = malloc(n * size);
  return p ? memset(p, 0, n * size) : p;
}

extern "C" void *realloc(void *p, size_t n) {
  void *q = malloc(n);
  if (!p || !q) return q;
  size_t had = (static_cast<head *>(p) - 1)->size;
  memcpy(q, p, had < n ? had : n);
  free(p);
  return q;
}

static volatile size_t too_large = static_cast<size_t>(PTRDIFF_MAX) + 1;
static int failures;
static void expect(const char *what, void *p, size_t before, size_t more) {
  bool good = p && ours(p) && live == before + more;
  if (!good) printf("%s: %s\n", what, p && ours(p) ? "not counted" : "from elsewhere");
  failures += !good;
}

struct with_destructor {
  char text[24];
  ~with_destructor() { text[0] = 0; }
};

int main(int, char **argv) {
  behind = !strcmp(argv[1], "next");
  size_t before = live;
  char *p = static_cast<char *>(reallocarray(nullptr, 10, 10));
  expect("reallocarray", p, before, 1);
  p = static_cast<char *>(reallocarray(p, 100, 10));
  expect("reallocarray again", p, before, 1);
  free(p);
  p = strdup("text");
  expect("strdup", p, before, 1);
  free(p);
  int *one = new int(1);
  expect("new", one, before, 1);
  delete one;
  int *many = new (std::nothrow) int[10];
  expect("new[] nothrow", many, before, 1);
  delete[] many;
  with_destructor *w = new with_destructor[3];
  expect("new[] with a count", reinterpret_cast<size_t *>(w) - 1, before, 1);
  delete[] w;
  void *plain = ::operator new(100);
  ::operator delete(plain, 100);
  expect("delete", p = static_cast<char *>(malloc(1)), before, 1);
  free(p);
  bool thrown = false;
  try {
    keep(::operator new(too_large));
  } catch (const std::bad_alloc &) {
    thrown = true;
  }
  failures += !thrown || reallocarray(nullptr, too_large, 3) || live != before;

  // What it does not define comes from libc: never freed by this program's free.
  void *aligned;
  failures += posix_memalign(&aligned, 64, 100) != 0 || malloc_usable_size(aligned) < 100;
  failures += !valloc(100) || !memalign(64, 100) || !aligned_alloc(64, 128);
  printf("%s: %d failures\n", argv[1], failures);
  if (argv[2]) free(aligned); // "free: not a block of this malloc"
  return failures != 0;
}
