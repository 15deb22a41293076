// old_strings.cc - strings as they were before C++11: a pointer leads behind their
// length.
#define _GLIBCXX_USE_CXX11_ABI 0
#include "cases.h"

#include <string>

namespace {

const char *const text = "a text of some length";

NOINLINE std::string *make_old() {
  return new std::string(text);
}

CASE(old_string_held) {
  static std::string *kept;
  kept = make_old();
  keep(&kept);
}
CASE(old_string_lost) {
  keep(make_old());
}
CASE(old_string_text_held) {
  held[0] = const_cast<char *>(make_old()->c_str());
}
CASE(old_string_text_held_further) {
  held[0] = const_cast<char *>(make_old()->c_str()) + 3;
}
CASE(old_string_shared) {
  static std::string *kept;
  kept = make_old();
  keep(new std::string(*kept));
}
CASE(old_static_string_is_freed) {
  static std::string kept;
  kept = text;
}
CASE(old_string_reserved) {
  static std::string *kept;
  kept = make_old();
  kept->reserve(2000);
}

} // namespace
