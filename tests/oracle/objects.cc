// objects.cc - what C++ allocates, and by which pointers it holds it.
#include "cases.h"

#include <any>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <list>
#include <locale>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

struct plain {
  long a[5];
};
struct counted { // its arrays have a cookie
  long a[3];
  counted() : a{1, 2, 3} {}
  ~counted() { a[0] = 0; }
};
struct alignas(64) wide {
  long a[8];
};
struct alignas(32) wide_counted {
  long a[4] = {5, 6, 7, 8};
  ~wide_counted() { a[0] = 0; }
};

template <class T> NOINLINE T *make() {
  return new T;
}
template <class T> NOINLINE T *make_array(size_t n) {
  return new T[n];
}
template <class T> T *lose(T *p) {
  return static_cast<T *>(keep(p));
}
const char *const long_text = "a text that is too long to be kept in the string itself";

CASE(new_lost) {
  lose(make<plain>());
}
CASE(new_held) {
  held[0] = make<plain>();
}
CASE(new_middle_held) {
  held[0] = &make<plain>()->a[3];
}
CASE(array_lost) {
  lose(make_array<plain>(7));
}
CASE(array_held) {
  held[0] = make_array<plain>(7);
}
CASE(array_with_count_lost) {
  lose(make_array<counted>(7));
}
CASE(array_with_count_held) {
  held[0] = make_array<counted>(7);
}
CASE(array_with_count_of_none_held) {
  held[0] = make_array<counted>(0);
}
CASE(array_with_count_second_held) {
  held[0] = make_array<counted>(7) + 1;
}
CASE(array_with_count_wide_held) {
  held[0] = make_array<wide_counted>(3);
}
CASE(new_wide_lost) {
  lose(make<wide>());
}
CASE(new_wide_held) {
  held[0] = make<wide>();
}
CASE(new_nothrow_lost) {
  lose(new (std::nothrow) plain);
}
CASE(new_that_fails) { // (valgrind's cannot throw)
  volatile size_t much = PTRDIFF_MAX - 4096;
  keep(new (std::nothrow) char[much]);
}
CASE(placed_in_a_block) {
  void *room = malloc(sizeof(plain) + 16);
  held[0] = new (static_cast<char *>(room) + 16) plain;
}

struct first {
  virtual ~first() {}
  long a = 1;
};
struct second {
  virtual ~second() {}
  long b = 2;
};
struct third {
  virtual ~third() {}
  long c = 3;
};
struct together : first, second, third {
  long d = 4;
};
struct without_virtual {
  long e = 5;
};
struct mixed : first, without_virtual {
  long f = 6;
};
struct diamond_left : virtual first {
  long l = 7;
};
struct diamond_right : virtual first {
  long r = 8;
};
struct diamond : diamond_left, diamond_right {
  long m = 9;
};
CASE(object_lost) {
  lose(make<together>());
}
CASE(held_by_first_base) {
  held[0] = static_cast<first *>(make<together>());
}
CASE(held_by_second_base) {
  held[0] = static_cast<second *>(make<together>());
}
CASE(held_by_third_base) {
  held[0] = static_cast<third *>(make<together>());
}
CASE(held_by_a_base_without_virtuals) {
  held[0] = static_cast<without_virtual *>(make<mixed>());
}
CASE(held_by_a_virtual_base) {
  held[0] = static_cast<first *>(make<diamond>());
}
CASE(held_by_the_right_of_a_diamond) {
  held[0] = static_cast<diamond_right *>(make<diamond>());
}
CASE(held_by_a_member) {
  held[0] = &make<together>()->d;
}
CASE(lost_object_leads_by_second_base) {
  auto **p = make<second *>();
  *p = make<together>();
}

struct base_without_virtual_destructor {
  long a;
};
struct derived_with_text : base_without_virtual_destructor {
  std::string text = long_text;
};
CASE(destructor_that_is_not_virtual) {
  // The block is freed, with the base's size; the text is not.
  auto *p = static_cast<base_without_virtual_destructor *>(make<derived_with_text>());
  ::operator delete(lose(p));
}

CASE(string_lost) {
  lose(new std::string(long_text));
}
CASE(string_held) {
  held[0] = new std::string(long_text);
}
CASE(string_short_lost) {
  lose(new std::string("short"));
}
CASE(vector_lost) {
  lose(new std::vector<int>(100));
}
CASE(vector_of_strings_lost) {
  lose(new std::vector<std::string>(10, long_text));
}
CASE(vector_of_objects_held_by_iterator) {
  auto *v = new std::vector<plain>(10);
  held[0] = &*v->begin() + 4;
}
CASE(list_lost) {
  lose(new std::list<long>(10, 5));
}
CASE(map_lost) {
  auto *m = new std::map<int, std::string>;
  for (int i = 0; i < 10; i++)
    (*m)[i] = long_text;
}
CASE(map_held) {
  static auto *m = new std::map<int, std::string>;
  for (int i = 0; i < 10; i++)
    (*m)[i] = long_text;
}
CASE(map_held_by_iterator) {
  auto *m = new std::map<int, int>;
  for (int i = 0; i < 10; i++)
    (*m)[i] = i;
  held[0] = &m->find(4)->second;
}
CASE(hash_lost) {
  auto *m = new std::unordered_map<int, std::string>;
  for (int i = 0; i < 10; i++)
    (*m)[i] = long_text;
}
CASE(deque_lost) {
  lose(new std::deque<long>(300));
}
CASE(static_container_is_freed) {
  static std::vector<std::string> all(10, long_text);
}
CASE(static_pointer_to_container) {
  static auto *all = new std::vector<std::string>(10, long_text);
  keep(&all);
}
CASE(thread_local_container_is_freed) {
  thread_local std::vector<std::string> all(10, long_text);
  keep(&all);
}
CASE(thread_local_container_of_a_thread) {
  std::thread([] {
    thread_local std::vector<std::string> all(10, long_text);
    keep(&all);
  }).join();
}
CASE(unique_released) {
  lose(std::make_unique<plain>().release());
}
CASE(unique_freed) {
  std::make_unique<plain>();
}

struct shared_node {
  std::shared_ptr<shared_node> next;
  std::weak_ptr<shared_node> back;
  long a[3];
};
CASE(shared_cycle_lost) {
  auto a = std::make_shared<shared_node>(), b = std::make_shared<shared_node>();
  a->next = b;
  b->next = a;
}
CASE(shared_cycle_of_new_lost) {
  std::shared_ptr<shared_node> a(new shared_node), b(new shared_node);
  a->next = b;
  b->next = a;
}
CASE(shared_and_weak_is_freed) {
  auto a = std::make_shared<shared_node>(), b = std::make_shared<shared_node>();
  a->next = b;
  b->back = a;
}
CASE(shared_held) {
  static auto *kept = new std::shared_ptr<shared_node>(std::make_shared<shared_node>());
  keep(&kept);
}
CASE(weak_keeps_the_block) { // of a make_shared whose object is gone
  static auto *kept = new std::weak_ptr<shared_node>;
  *kept = std::make_shared<shared_node>();
}
CASE(shared_of_an_array_held) {
  static auto *kept = new std::shared_ptr<plain[]>(new plain[4]);
  keep(&kept);
}
CASE(function_lost) {
  std::string text = long_text;
  lose(new std::function<size_t()>([text] { return text.size(); }));
}
CASE(any_lost) {
  lose(new std::any(std::string(long_text)));
}
CASE(stream_lost) {
  auto *s = new std::stringstream;
  *s << long_text;
}
CASE(locale_used) {
  lose(new std::locale(std::locale::classic(), new std::numpunct<char>));
}
CASE(regex_lost) {
  lose(new std::regex("a*b"));
}
CASE(regex_freed) {
  std::regex r("a*b|[c-f]+");
}
CASE(resource_lost) {
  auto *r = new std::pmr::monotonic_buffer_resource(500);
  lose(r->allocate(300));
}
CASE(future_got) {
  auto f = std::async(std::launch::async, [] { return std::string(long_text); });
  f.get();
}
CASE(promise_lost) {
  lose(new std::promise<std::string>);
}

NOINLINE void throws(int what) {
  if (what == 1) throw std::runtime_error(long_text);
  if (what == 2) throw 5;
}
CASE(exception_caught) {
  try {
    throws(1);
  } catch (const std::exception &) {
  }
}
NOINLINE void loses_by_exception() {
  auto *p = make<plain>();
  throws(2);
  delete p;
}
CASE(lost_by_an_exception) {
  try {
    loses_by_exception();
  } catch (int) {
  }
}
struct throws_when_made {
  plain *member = make<plain>();
  throws_when_made() { throws(2); }
  ~throws_when_made() { delete member; }
};
CASE(lost_by_a_constructor_that_throws) {
  try {
    lose(new throws_when_made);
  } catch (int) {
  }
}
CASE(exception_kept) {
  static std::exception_ptr kept;
  try {
    throws(1);
  } catch (...) {
    kept = std::current_exception();
  }
}
CASE(exception_kept_and_lost) {
  auto *kept = new std::exception_ptr;
  try {
    throws(1);
  } catch (...) {
    *kept = std::current_exception();
  }
}
CASE(exit_within_catch) {
  try {
    throws(1);
  } catch (const std::exception &) {
    exit(0);
  }
}
CASE(uncaught) { // terminate, abort
  auto *volatile p = make<plain>();
  throws(2);
  delete p;
}

} // namespace
