/* Results of a pure function are remembered; arguments repeat, most of them early. */
#include "../corpus.h"
#include <map>
#include <string>

static std::string slow(unsigned n) {
  std::string s;
  for (unsigned i = 0; i < 10; i++)
    s += std::to_string(n * i) + " ";
  return s;
}
static std::map<unsigned, std::string> memo;
static const std::string &cached(unsigned n) {
  auto found = memo.find(n);
  return found != memo.end() ? found->second : memo[n] = slow(n);
}

int main() {
  size_t sum = 0;
  EACH_STEP(i)
    for (int k = 0; k < 20; k++) {
      sum += cached(corpus_chance(1000)).size();
      sum += slow(i).size();
    }
  return sum == 1;
}
