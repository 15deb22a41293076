/* accepted.cc - one leak at each of some stacks, for lists of suppressions: what each is
 * called is told by its size. Built by its test, also for other tools. */
#include <cstdlib>
#include <cstring>

#define NOINLINE __attribute__((noinline))

namespace zoo {
struct Cage {
  int *data;
  char name[93];
  explicit Cage(int n) : data(new int[n]) {}
};
NOINLINE Cage *cage(int n) { /* 104 and 40 bytes */
  return new Cage(n);
}
template <class T> NOINLINE T *make() { /* 8 */
  return new T();
}
} // namespace zoo

NOINLINE static void *deep(int n, size_t size) { /* 33 */
  return n ? deep(n - 1, size) : malloc(size);
}
NOINLINE static char *copy(const char *s) { /* 6, by libc */
  return strdup(s);
}
NOINLINE static void *zeroed(size_t n) { /* 15 */
  return calloc(n, 1);
}
NOINLINE static void *line(size_t n) { /* 71 */
  return new char[n];
}

static void *volatile sink;
NOINLINE static void lose() {
  sink = zoo::cage(10);
  sink = zoo::make<double>();
  sink = deep(5, 33);
  sink = copy("hello");
  sink = zeroed(15);
  sink = line(71);
}

NOINLINE static void scrub() {
  char room[4096];
  memset(room, 0, sizeof room);
  sink = room;
}

int main() {
  lose();
  scrub();
  sink = nullptr;
}
