/* A vector that is cleared and filled again, with a different number each time. */
#include "../corpus.h"
#include <string>
#include <vector>

int main() {
  std::vector<std::string> words;
  size_t sum = 0;
  EACH_STEP(i) {
    words.clear();
    for (unsigned n = corpus_chance(200); n; n--)
      words.push_back("a word that does not fit inside " + std::to_string(n));
    sum += words.size();
  }
  return sum == 1;
}
