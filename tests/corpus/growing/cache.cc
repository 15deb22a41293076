/* kind: growth
 * culprit: Cache::get
 * A cache without a bound: each page that was ever asked for stays. */
#include "../corpus.h"
#include <memory>
#include <string>
#include <unordered_map>

struct Page {
  std::string body;
};
static std::shared_ptr<Page> render(const std::string &path) {
  auto page = std::make_shared<Page>();
  for (int i = 0; i < 8; i++)
    page->body += "a line of " + path + "\n";
  return page;
}
class Cache {
  std::unordered_map<std::string, std::shared_ptr<Page>> pages;

public:
  std::shared_ptr<Page> get(const std::string &path) {
    auto found = pages.find(path);
    if (found != pages.end()) return found->second;
    return pages[path] = render(path);
  }
};

int main() {
  static Cache cache;
  size_t sum = 0;
  EACH_STEP(i) {
    for (unsigned k = 0; k < 10; k++)
      sum += cache.get("/user/" + std::to_string(i * 10 + k))->body.size();
    for (unsigned k = 0; k < 40; k++)
      sum += cache.get("/user/" + std::to_string(corpus_chance(100)))->body.size();
    for (unsigned k = 0; k < 10; k++)
      sum += render("/preview")->body.size();
  }
  return sum == 1;
}
