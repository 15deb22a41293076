/* A least-recently-used cache with a bound in bytes, of values of all sizes. */
#include "../corpus.h"
#include <list>
#include <string>
#include <unordered_map>

class Lru {
  std::list<std::pair<unsigned, std::string>> ages;
  std::unordered_map<unsigned, decltype(ages)::iterator> index;
  size_t bytes = 0;

public:
  void put(unsigned key, std::string value) {
    bytes += value.size();
    ages.emplace_front(key, std::move(value));
    index[key] = ages.begin();
    while (bytes > 500000) {
      bytes -= ages.back().second.size();
      index.erase(ages.back().first);
      ages.pop_back();
    }
  }
  bool has(unsigned key) const {
    return index.count(key) != 0;
  }
};

int main() {
  static Lru cache;
  EACH_STEP(i)
    for (int k = 0; k < 20; k++) {
      unsigned key = corpus_chance(20000);
      if (!cache.has(key)) cache.put(key, std::string(40 + corpus_chance(400), 'x'));
    }
}
