/* kind: leak
 * culprit: Scene::add | Scene::Scene
 * Parents and children hold each other by shared pointers. */
#include "../corpus.h"
#include <memory>
#include <string>
#include <vector>

struct Node {
  std::string name;
  std::shared_ptr<Node> parent;
  std::vector<std::shared_ptr<Node>> children;
};
struct Scene {
  std::shared_ptr<Node> root = std::make_shared<Node>();
  void add(const std::string &name) {
    auto child = std::make_shared<Node>();
    child->name = name;
    child->parent = root;
    root->children.push_back(child);
  }
};

int main() {
  EACH_STEP(i) {
    Scene scene;
    for (int k = 0; k < 6; k++)
      scene.add("a node with quite a long name " + std::to_string(k));
    for (int k = 0; k < 20; k++)
      corpus_use(&std::make_shared<Node>()->name, 0);
  }
}
