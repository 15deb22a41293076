// throw.cc - exceptions with much on the heap, through many frames.
//   throw ROUNDS      all are caught
//   throw uncaught    one is not, after ten blocks were lost
#include "common.h"
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

struct failure : std::runtime_error {
  std::vector<std::string> trail;
  explicit failure(int depth) : std::runtime_error(std::string(200, 'f')) {
    for (int i = 0; i < depth; i++)
      trail.push_back(std::string(50, 'd'));
  }
};

static NOINLINE size_t descend(int depth) {
  std::vector<std::unique_ptr<std::string>> held;
  for (int i = 0; i < 5; i++)
    held.push_back(std::make_unique<std::string>(100, 'h'));
  if (depth == 0) throw failure(10);
  return descend(depth - 1) + held.size();
}

static NOINLINE void lose() {
  for (int i = 0; i < 10; i++)
    keep(malloc(100)); // MARK lose
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "uncaught")) {
    lose();
    scrub_stack();
    return (int)descend(3);
  }
  int n = argc > 1 ? atoi(argv[1]) : 1000;
  size_t caught = 0;
  for (int i = 0; i < n; i++) {
    try {
      descend(i % 40);
    } catch (const failure &f) {
      caught += f.trail.size();
      try {
        throw;
      } catch (const std::exception &) {
        caught++;
      }
    }
  }
  printf("caught %zu\n", caught);
  return 0;
}
