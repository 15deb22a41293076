/* kind: growth
 * culprit: Meter::note
 * A vector of samples that is never cleared. */
#include "../corpus.h"
#include <string>
#include <vector>

struct Sample {
  double value;
  std::string label;
};
class Meter {
  std::vector<Sample> samples;

public:
  void note(double value, const std::string &label) {
    samples.push_back({value, label});
  }
  size_t count() const {
    return samples.size();
  }
};

static std::string label_of(unsigned i) {
  return "a label that is longer than what fits inside " + std::to_string(i);
}

int main() {
  static Meter meter;
  EACH_STEP(i)
    for (unsigned k = 0; k < 20; k++)
      meter.note(i * k, label_of(i));
  return meter.count() == 1;
}
