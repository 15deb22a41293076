// counted.cc - operator new and delete as a program, or a library, may replace them: these
// two only, counted, each block behind a header. All other forms come down to them.
#include <cstdlib>
#include <new>

int news, deletes;
namespace {
const size_t HEADER = 64; // the aligned forms do not come by here
}

void *operator new(size_t n) {
  char *p = static_cast<char *>(malloc(n + HEADER));
  if (!p) throw std::bad_alloc();
  news++;
  return p + HEADER;
}
void operator delete(void *p) noexcept {
  if (!p) return;
  deletes++;
  free(static_cast<char *>(p) - HEADER);
}
