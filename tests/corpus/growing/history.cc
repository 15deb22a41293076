/* kind: growth
 * culprit: Editor::change
 * An editor's history keeps the whole text before each change. */
#include "../corpus.h"
#include <string>
#include <vector>

class Editor {
  std::string text = std::string(3000, 'x');
  std::vector<std::string> history;

public:
  void change(size_t at, char c) {
    history.push_back(text);
    text[at % text.size()] = c;
  }
  std::string show() const {
    return text.substr(0, 1000);
  }
};

int main() {
  static Editor editor;
  size_t sum = 0;
  EACH_STEP(i) {
    editor.change(corpus_chance(3000), 'a');
    for (int k = 0; k < 10; k++)
      sum += editor.show().size();
  }
  return sum == 1;
}
