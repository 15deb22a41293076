/* kind: leak
 * culprit: decode
 * What is thrown jumps over the delete. */
#include "../corpus.h"
#include <stdexcept>

struct Frame {
  char data[300];
};
static int checksum(const Frame &f) {
  int sum = 0;
  for (char c : f.data)
    sum += c;
  if (corpus_chance(10) == 0) throw std::runtime_error("bad checksum");
  return sum;
}
__attribute__((noinline)) static int decode() {
  Frame *f = new Frame();
  corpus_use(f, sizeof *f);
  int sum = checksum(*f);
  delete f;
  return sum;
}

int main() {
  int sum = 0;
  EACH_STEP(i)
    for (int k = 0; k < 20; k++) {
      try {
        sum += decode();
      } catch (const std::exception &e) {
        sum += e.what()[0];
      }
    }
  return sum == 1;
}
