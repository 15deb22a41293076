/* A sorted map of 3,000 things: as many come as go. */
#include "../corpus.h"
#include <map>
#include <string>

int main() {
  static std::map<unsigned, std::string> map;
  while (map.size() < 3000)
    map[corpus_chance(1u << 30)] = std::string(100, 'a');
  EACH_STEP(i)
    for (int k = 0; k < 15; k++) {
      map[corpus_chance(1u << 30)] = std::string(60 + corpus_chance(80), 'b');
      auto at = map.lower_bound(corpus_chance(1u << 30));
      map.erase(at == map.end() ? map.begin() : at);
    }
}
