/* mismatch.cc - blocks of one family freed by another, or with another size, a case for
 * each argument; all others are freed as they should be. Each case is a function of that
 * name, which frees. */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>

#define NOINLINE __attribute__((noinline))

static void *volatile sink;
template <class T> static T *keep(T *p) {
  sink = p;
  return static_cast<T *>(sink);
}

#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

NOINLINE static void new_free() {
  free(keep(new int));
}
NOINLINE static void array_free() {
  free(keep(new char[10]));
}
NOINLINE static void malloc_delete() {
  operator delete(keep(malloc(20)));
}
NOINLINE static void malloc_array() {
  operator delete[](keep(malloc(20)));
}
NOINLINE static void new_array() {
  operator delete[](keep(operator new(30)));
}
NOINLINE static void array_delete() {
  operator delete(keep(operator new[](30)));
}
NOINLINE static void array_as_one() { /* as compilers have `delete` of an int */
  operator delete(keep(operator new[](3 * sizeof(int))), sizeof(int));
}
NOINLINE static void new_realloc() {
  free(realloc(keep(operator new(40)), 400));
}
NOINLINE static void aligned_delete() {
  operator delete(keep(aligned_alloc(64, 64)));
}

NOINLINE static void sized_delete() {
  operator delete(keep(operator new(8)), 16);
}
NOINLINE static void sized_array() {
  operator delete[](keep(operator new[](600)), 60);
}

NOINLINE static void fine() {
  free(keep(malloc(1)));
  free(keep(calloc(3, 3)));
  free(realloc(keep(malloc(1)), 1000));
  free(keep(aligned_alloc(64, 128)));
  free(keep(memalign(4096, 10)));
  free(keep(strdup("text")));
  void *p = nullptr;
  if (posix_memalign(&p, 128, 300) == 0) free(keep(p));
  void *(*volatile through_a_pointer)(size_t) = operator new;
  delete keep(new int);
  delete[] keep(new int[10]);
  operator delete(keep(through_a_pointer(10)));
  operator delete(keep(operator new(50)), 50);
  operator delete[](keep(operator new[](700000)), 700000);
  operator delete(keep(operator new(100, std::nothrow)), std::nothrow);
  operator delete(keep(operator new(100, std::align_val_t(64))), 100,
                  std::align_val_t(64));
  operator delete[](keep(operator new[](100, std::align_val_t(64))),
                    std::align_val_t(64));
  free(nullptr);
  operator delete(nullptr);
}

static const struct {
  const char *name;
  void (*run)();
} cases[] = {
#define CASE(name)                                                                       \
  { #name, name }
    CASE(new_free),       CASE(array_free),   CASE(malloc_delete), CASE(malloc_array),
    CASE(new_array),      CASE(array_delete), CASE(array_as_one),  CASE(new_realloc),
    CASE(aligned_delete), CASE(sized_delete), CASE(sized_array),   CASE(fine)};

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    for (const auto &c : cases)
      if (!strcmp(argv[i], c.name)) c.run();
  fine();
  puts("done");
}
