/* kind: growth
 * culprit: Widget::open
 * Three parts of a program listen on one bus; one never leaves it again. */
#include "../corpus.h"
#include <functional>
#include <list>
#include <memory>
#include <string>

class Bus {
  std::list<std::function<int(int)>> listeners;

public:
  using Token = std::list<std::function<int(int)>>::iterator;
  __attribute__((noinline)) Token subscribe(std::function<int(int)> f) {
    return listeners.insert(listeners.end(), std::move(f));
  }
  __attribute__((noinline)) void unsubscribe(Token t) {
    listeners.erase(t);
  }
};
static Bus bus;

struct Widget {
  void open(int n) {
    std::string title = "a widget with a long title, number " + std::to_string(n);
    bus.subscribe([title, n](int x) { return n + x + (int)title.size(); });
  }
};
struct Dialog {
  void show(int n) {
    std::string text = "a dialog with a long text, number " + std::to_string(n);
    auto token = bus.subscribe([text](int x) { return x + (int)text.size(); });
    bus.unsubscribe(token);
  }
};
struct Clock {
  Bus::Token token = bus.subscribe([](int x) { return x; });
  ~Clock() {
    bus.unsubscribe(token);
  }
};

int main() {
  EACH_STEP(i) {
    for (int k = 0; k < 20; k++)
      Dialog().show(k);
    for (int k = 0; k < 5; k++) {
      Clock clock;
      Widget().open((int)i);
    }
  }
}
