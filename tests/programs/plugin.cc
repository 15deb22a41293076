// plugin.cc - a library that throws, with thread-local storage of its own.
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>

static thread_local void *held;
static std::map<int, std::string> *table;

extern "C" void plugin_throw(int n) {
  std::string text(100 + n % 50, 'p');
  if (n % 2) throw std::runtime_error(text);
  throw std::string(text);
}

extern "C" int plugin_work(int n) {
  std::map<int, std::string> m;
  for (int i = 0; i < n; i++)
    m[i] = std::string(40, 'm');
  return static_cast<int>(m.size());
}

extern "C" void plugin_hold() {
  held = malloc(666); // MARK plugin_hold
}

extern "C" void plugin_leak() {
  char *volatile lost = static_cast<char *>(malloc(20480)); // MARK plugin_leak
  lost[0] = 1;
  lost = nullptr;
}

extern "C" void plugin_keep() {
  if (!table) table = new std::map<int, std::string>;
  (*table)[static_cast<int>(table->size())] = std::string(100, 'k'); // MARK plugin_keep
}
