/* One document after the other is made a tree of, looked at, and dropped. */
#include "../corpus.h"
#include <memory>
#include <string>
#include <vector>

struct Node {
  std::string name;
  std::vector<std::unique_ptr<Node>> children;
};
static std::unique_ptr<Node> parse(unsigned depth) {
  auto node = std::make_unique<Node>();
  node->name = "element with a name of depth " + std::to_string(depth);
  for (unsigned i = 0; depth && i < 1 + corpus_chance(4); i++)
    node->children.push_back(parse(depth - 1));
  return node;
}

int main() {
  size_t sum = 0;
  EACH_STEP(i) {
    sum += parse(5)->name.size();
  }
  return sum == 1;
}
