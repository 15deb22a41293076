// private.cc - of a C program: brings the C++ runtime with it, where nobody else sees it.
#include <cstddef>
#include <cstdint>
#include <new>

static volatile size_t too_large = static_cast<size_t>(PTRDIFF_MAX) + 1;
static int handler_calls;

static void handler() {
  handler_calls++;
  std::set_new_handler(nullptr);
}

static void set_handler() {
  handler_calls = 0;
  std::set_new_handler(handler);
}

extern "C" int throws(void) {
  set_handler();
  try {
    void *volatile p = ::operator new(too_large);
    return p ? 1 : 2;
  } catch (const std::bad_alloc &) {
    return handler_calls == 1 ? 0 : 3;
  }
}

extern "C" int does_not_throw(void) {
  set_handler();
  void *volatile p = ::operator new[](too_large, std::align_val_t{64}, std::nothrow);
  return p ? 1 : handler_calls == 1 ? 0 : 3;
}
