// operators.cc - every form of operator new and delete, each block checked.
#include "common.h"
#include <new>

static int checks, failures;
#define SOFT(condition)                                                                  \
  do {                                                                                   \
    checks++;                                                                            \
    if (!(condition)) {                                                                  \
      failures++;                                                                        \
      printf("line %d: %s\n", __LINE__, #condition);                                     \
    }                                                                                    \
  } while (0)

static volatile size_t too_large = static_cast<size_t>(PTRDIFF_MAX) + 1;
static int handler_calls;

static void handler() {
  if (++handler_calls == 3) std::set_new_handler(nullptr);
}

static bool ok(void *p, size_t bytes, size_t alignment) {
  if (!p || (reinterpret_cast<uintptr_t>(p) & (alignment - 1))) return false;
  memset(p, 0x5a, bytes);
  return true;
}

static void plain(size_t n) {
  void *p = ::operator new(n);
  SOFT(ok(p, n, 16));
  ::operator delete(p);
  p = ::operator new(n);
  SOFT(ok(p, n, 16));
  ::operator delete(p, n);
  p = ::operator new[](n);
  SOFT(ok(p, n, 16));
  ::operator delete[](p);
  p = ::operator new[](n);
  SOFT(ok(p, n, 16));
  ::operator delete[](p, n);
  p = ::operator new(n, std::nothrow);
  SOFT(ok(p, n, 16));
  ::operator delete(p, std::nothrow);
  p = ::operator new[](n, std::nothrow);
  SOFT(ok(p, n, 16));
  ::operator delete[](p, std::nothrow);
}

static void aligned(size_t n, size_t alignment) {
  std::align_val_t a{alignment};
  void *p = ::operator new(n, a);
  SOFT(ok(p, n, alignment));
  ::operator delete(p, a);
  p = ::operator new(n, a);
  SOFT(ok(p, n, alignment));
  ::operator delete(p, n, a);
  p = ::operator new[](n, a);
  SOFT(ok(p, n, alignment));
  ::operator delete[](p, a);
  p = ::operator new[](n, a);
  SOFT(ok(p, n, alignment));
  ::operator delete[](p, n, a);
  p = ::operator new(n, a, std::nothrow);
  SOFT(ok(p, n, alignment));
  ::operator delete(p, a, std::nothrow);
  p = ::operator new[](n, a, std::nothrow);
  SOFT(ok(p, n, alignment));
  ::operator delete[](p, a, std::nothrow);
}

template <typename F> static bool throws(F f) {
  try {
    keep(f());
  } catch (const std::bad_alloc &) {
    return true;
  }
  return false;
}

static void refusals() {
  std::align_val_t a{64};
  SOFT(throws([] { return ::operator new(too_large); }));
  SOFT(throws([] { return ::operator new[](too_large); }));
  SOFT(throws([=] { return ::operator new(too_large, a); }));
  SOFT(throws([=] { return ::operator new[](too_large, a); }));
  SOFT(!keep(::operator new(too_large, std::nothrow)));
  SOFT(!keep(::operator new[](too_large, std::nothrow)));
  SOFT(!keep(::operator new(too_large, a, std::nothrow)));
  SOFT(!keep(::operator new[](too_large, a, std::nothrow)));
  std::set_new_handler(handler);
  SOFT(throws([] { return ::operator new(too_large); }));
  SOFT(handler_calls == 3);
  SOFT(std::get_new_handler() == nullptr);
  handler_calls = 0;
  std::set_new_handler(handler);
  SOFT(!keep(::operator new(too_large, std::nothrow)));
  SOFT(handler_calls == 3);
  handler_calls = 0;
  std::set_new_handler(handler);
  SOFT(!keep(::operator new[](too_large, a, std::nothrow)));
  SOFT(handler_calls == 3);
}

int main() {
  for (size_t n = 0; n < 600000; n += n / 2 + 1) {
    plain(n);
    for (size_t a = 16; a <= 65536; a *= 4)
      aligned(n, a);
  }
  refusals();
  ::operator delete(nullptr);
  ::operator delete[](nullptr);
  printf("%d checks, %d failures\n", checks, failures);
  return failures != 0;
}
