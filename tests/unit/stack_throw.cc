#include "stack_shapes.h"

#include <stdexcept>

namespace {
struct caller {
  inner *f;
  ~caller() { f(); }
};

void raise_below(inner *f, int depth) {
  caller c{f};
  if (depth == 0) throw std::runtime_error("thrown by the test");
  raise_below(f, depth - 1);
}
} // namespace

extern "C" void shape_throw(inner *f, int depth) {
  try {
    raise_below(f, depth);
  } catch (const std::exception &) {
    f();
  }
}
