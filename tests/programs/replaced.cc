// replaced.cc - calls each form of operator new and delete, where two are not the runtime's
// (counted.cc), and says how often these two were called.
#include "common.h"
#include <new>
#include <string>

extern int news, deletes;

int main() {
  void *(*volatile through_a_pointer)(size_t) = ::operator new;
  std::align_val_t a{64};
  size_t n = 40;
  ::operator delete(::operator new(n));
  ::operator delete(::operator new(n), n);
  ::operator delete[](::operator new[](n));
  ::operator delete[](::operator new[](n), n);
  ::operator delete(::operator new(n, std::nothrow), std::nothrow);
  ::operator delete[](::operator new[](n, std::nothrow), std::nothrow);
  printf("%d news, %d deletes\n", news, deletes);
  ::operator delete(::operator new(n, a), a);
  ::operator delete(::operator new(n, a), n, a);
  ::operator delete[](::operator new[](n, a), a);
  ::operator delete[](::operator new[](n, a), n, a);
  ::operator delete(::operator new(n, a, std::nothrow), a, std::nothrow);
  ::operator delete[](::operator new[](n, a, std::nothrow), a, std::nothrow);
  printf("%d news, %d deletes\n", news, deletes);
  ::operator delete(through_a_pointer(n));
  { // in the runtime's own code
    std::string s(100, 'x');
    s.append(1000, 'y');
  }
  printf("%d news, %d deletes\n", news, deletes);
}
