// frees.cc - what is freed wrongly, and what is freed as it should be but looks odd.
#include "cases.h"

#include <malloc.h>
#include <memory>
#include <new>
#include <pthread.h>
#include <string>
#include <sys/mman.h>

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wfree-nonheap-object"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wuse-after-free"
#endif

namespace {

struct counted {
  long a = 1;
  ~counted() { a = 0; }
};
struct alignas(64) wide {
  long a = 1;
};
struct alignas(64) wide_counted {
  long a = 1;
  ~wide_counted() { a = 0; }
};

template <class T> T *hide(T *p) {
  return static_cast<T *>(keep(p));
}

NOINLINE void *by_malloc(size_t n = 100) {
  return hide(malloc(n));
}
NOINLINE void *by_calloc(size_t n = 100) {
  return hide(calloc(1, n));
}
NOINLINE void *by_new(size_t n = 100) {
  return hide(operator new(n));
}
NOINLINE void *by_new_array(size_t n = 100) {
  return hide(operator new[](n));
}
NOINLINE void *by_new_wide(size_t n = 128) {
  return hide(operator new(n, std::align_val_t(64)));
}
NOINLINE void *by_new_array_wide(size_t n = 128) {
  return hide(operator new[](n, std::align_val_t(64)));
}
NOINLINE void *by_aligned_alloc(size_t n = 128) {
  return hide(aligned_alloc(64, n));
}
NOINLINE char *by_strdup() {
  return hide(strdup("some text"));
}

NOINLINE void free_it(void *p) {
  free(hide(p));
}
NOINLINE void delete_it(void *p) {
  operator delete(hide(p));
}
NOINLINE void delete_array(void *p) {
  operator delete[](hide(p));
}
NOINLINE void delete_sized(void *p, size_t n) {
  operator delete(hide(p), n);
}
NOINLINE void delete_array_sized(void *p, size_t n) {
  operator delete[](hide(p), n);
}
NOINLINE void delete_wide(void *p, size_t alignment = 64) {
  operator delete(hide(p), std::align_val_t(alignment));
}
NOINLINE void delete_array_wide(void *p, size_t alignment = 64) {
  operator delete[](hide(p), std::align_val_t(alignment));
}
NOINLINE void delete_wide_sized(void *p, size_t n) {
  operator delete(hide(p), n, std::align_val_t(64));
}
NOINLINE void free_again(void *p) {
  free(hide(p));
}
NOINLINE void delete_again(void *p) {
  operator delete(hide(p));
}
NOINLINE void *resize(void *p, size_t n) {
  return hide(realloc(hide(p), n));
}

// ---- twice ----
CASE(malloc_free_free) {
  void *p = by_malloc();
  free_it(p), free_again(p);
}
CASE(calloc_free_free) {
  void *p = by_calloc();
  free_it(p), free_again(p);
}
CASE(strdup_free_free) {
  void *p = by_strdup();
  free_it(p), free_again(p);
}
CASE(aligned_free_free) {
  void *p = by_aligned_alloc();
  free_it(p), free_again(p);
}
CASE(new_delete_delete) {
  void *p = by_new();
  delete_it(p), delete_again(p);
}
CASE(new_array_delete_delete) {
  void *p = by_new_array();
  delete_array(p), delete_array(p);
}
CASE(new_wide_delete_delete) {
  void *p = by_new_wide();
  delete_wide(p), delete_wide(p);
}
CASE(new_delete_free) {
  void *p = by_new();
  delete_it(p), free_again(p);
}
CASE(malloc_free_delete) {
  void *p = by_malloc();
  free_it(p), delete_again(p);
}
CASE(page_free_free) {
  void *p = by_malloc(40000);
  free_it(p), free_again(p);
}
CASE(megabyte_free_free) {
  void *p = by_malloc(3 << 20);
  free_it(p), free_again(p);
}
CASE(nothing_free_free) {
  void *p = by_malloc(0);
  free_it(p), free_again(p);
}
CASE(three_times) {
  void *p = by_malloc();
  free_it(p), free_again(p), free_again(p);
}
CASE(twice_with_others_between) {
  void *p = by_malloc();
  free_it(p);
  void *all[20];
  for (auto &other : all)
    other = by_malloc(500);
  for (auto &other : all)
    free_it(other);
  free_again(p);
}
CASE(old_pointer_after_realloc) {
  void *p = by_malloc(), *q = resize(p, 900000);
  free_again(p), free_it(q);
}
CASE(old_pointer_of_a_block_that_is_used_again) { // by whom, only a quarantine can tell
  void *p = by_malloc();
  free_it(p);
  void *q = by_malloc();
  free_again(p);
  hide(q);
}
CASE(resize_to_nothing_then_free) {
  void *p = by_malloc();
  resize(p, 0), free_again(p);
}
CASE(resize_of_freed) {
  void *p = by_malloc();
  free_it(p), free_it(resize(p, 50));
}
CASE(resize_of_deleted) {
  void *p = by_new();
  delete_it(p), free_it(resize(p, 500));
}
void *frees_there(void *p) {
  free_it(p);
  return nullptr;
}
CASE(twice_in_two_threads) {
  void *p = by_malloc();
  pthread_t t;
  MUST(pthread_create(&t, nullptr, frees_there, p) == 0);
  pthread_join(t, nullptr);
  free_again(p);
}
struct owner {
  char *text = by_strdup();
  ~owner() { free_it(text); }
};
CASE(copied_owner) { // rule of three
  owner a, b(a);
}
CASE(two_unique_owners) {
  auto *p = static_cast<counted *>(by_new(sizeof(counted)));
  new (p) counted;
  std::unique_ptr<counted> a(p), b(p);
}
struct frees_at_exit {
  void *p = nullptr;
  ~frees_at_exit() { free_it(p); }
};
CASE(freed_again_by_static_destructor) {
  static frees_at_exit s;
  s.p = by_malloc();
  free_it(s.p);
}

// ---- no start of a block ----
CASE(middle_free) {
  char *p = static_cast<char *>(by_malloc());
  free_again(p + 16), free_it(p);
}
CASE(middle_free_odd) {
  char *p = static_cast<char *>(by_malloc());
  free_again(p + 3), free_it(p);
}
CASE(middle_free_of_megabytes) {
  char *p = static_cast<char *>(by_malloc(3 << 20));
  free_again(p + (2 << 20)), free_it(p);
}
CASE(middle_delete) {
  char *p = static_cast<char *>(by_new());
  delete_again(p + 8), delete_it(p);
}
CASE(middle_resize) {
  char *p = static_cast<char *>(by_malloc());
  resize(p + 16, 200), free_it(p);
}
CASE(end_free) {
  char *p = static_cast<char *>(by_malloc(96));
  free_again(p + 96), free_it(p);
}
CASE(before_free) {
  char *p = static_cast<char *>(by_malloc());
  free_again(p - 8), free_it(p);
}
CASE(array_with_count_free) { // of the objects, not of their count
  auto *p = hide(new counted[5]);
  free_again(p);
}
CASE(array_with_count_delete) {
  auto *p = hide(new counted[5]);
  delete_again(p);
}
CASE(middle_of_freed_free) {
  char *p = static_cast<char *>(by_malloc());
  free_it(p), free_again(p + 16);
}
char in_data[100];
const char in_constants[] = "text";
CASE(data_free) {
  free_again(in_data + 16);
}
CASE(constant_free) {
  free_again(const_cast<char *>(in_constants));
}
CASE(function_free) {
  free_again(reinterpret_cast<void *>(&free_it));
}
CASE(stack_free) {
  char mine[100];
  free_again(mine + 16);
}
thread_local char in_tls[100];
CASE(tls_free) {
  free_again(in_tls);
}
CASE(mapping_free) {
  void *m =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(m != MAP_FAILED);
  free_again(static_cast<char *>(m) + 64);
}
CASE(never_allocated_free) {
  free_again(reinterpret_cast<void *>(0x1230));
}
CASE(never_allocated_high_free) {
  free_again(reinterpret_cast<void *>(1ul << 62));
}
CASE(minus_one_free) {
  free_again(reinterpret_cast<void *>(-1l));
}
CASE(data_resize) {
  resize(in_data + 16, 100);
}
CASE(data_delete) {
  delete_again(in_data + 16);
}
CASE(environment_free) {
  free_again(getenv("PATH"));
}
void *frees_of_stack(void *) {
  char mine[100] = {}; // what an allocator finds there, it takes for its own
  free_again(mine + 16);
  return nullptr;
}
CASE(stack_of_thread_free) {
  pthread_t t;
  MUST(pthread_create(&t, nullptr, frees_of_stack, nullptr) == 0);
  pthread_join(t, nullptr);
}

// ---- of another family: what allocates, what frees ----
CASE(malloc_delete) {
  delete_it(by_malloc());
}
CASE(malloc_delete_array) {
  delete_array(by_malloc());
}
CASE(malloc_delete_wide) {
  delete_wide(by_malloc());
}
CASE(calloc_delete) {
  delete_it(by_calloc());
}
CASE(strdup_delete_array) {
  delete_array(by_strdup());
}
CASE(aligned_delete) {
  delete_it(by_aligned_alloc());
}
CASE(aligned_delete_wide) {
  delete_wide(by_aligned_alloc());
}
CASE(realloc_delete) {
  delete_it(resize(nullptr, 70));
}
CASE(new_free) {
  free_it(by_new());
}
CASE(new_delete_array) {
  delete_array(by_new());
}
CASE(new_delete_wide) {
  delete_wide(by_new());
}
CASE(new_resize) {
  free_it(resize(by_new(), 200));
}
CASE(new_array_free) {
  free_it(by_new_array());
}
CASE(new_array_delete) {
  delete_it(by_new_array());
}
CASE(new_array_resize) {
  free_it(resize(by_new_array(), 50));
}
CASE(new_wide_free) {
  free_it(by_new_wide());
}
CASE(new_wide_delete) {
  delete_it(by_new_wide());
}
CASE(new_wide_delete_array) {
  delete_array_wide(by_new_wide());
}
CASE(new_wide_other_alignment) {
  delete_wide(by_new_wide(), 32);
}
CASE(new_array_wide_delete) {
  delete_wide(by_new_array_wide());
}
CASE(new_array_wide_free) {
  free_it(by_new_array_wide());
}
CASE(string_text_free) { // in a block of its own
  auto *s = new std::string(50, 'x');
  free_again(hide(&(*s)[0]));
}
CASE(new_megabytes_free) {
  free_it(by_new(3 << 20));
}
CASE(new_array_of_one_delete) {
  delete hide(new long[1]);
}

// ---- of another size ----
CASE(size_wrong) {
  delete_sized(by_new(100), 104);
}
CASE(size_wrong_within_class) {
  delete_sized(by_new(100), 99);
}
CASE(size_wrong_array) {
  delete_array_sized(by_new_array(1000), 500);
}
CASE(size_wrong_wide) {
  delete_wide_sized(by_new_wide(128), 64);
}
CASE(size_wrong_megabytes) {
  delete_sized(by_new(3 << 20), 3 << 19);
}
struct base {
  long a;
};
struct derived : base {
  long more[20];
};
CASE(size_of_base) { // no virtual destructor
  base *b = hide(static_cast<base *>(new derived));
  delete b;
}

// ---- fine ----
CASE(fine_families) {
  free_it(by_malloc()), free_it(by_calloc()), free_it(by_strdup());
  free_it(by_aligned_alloc()), free_it(hide(memalign(4096, 10)));
  free_it(resize(by_malloc(), 5000)), free_it(resize(by_aligned_alloc(), 5000));
  delete_it(by_new()), delete_array(by_new_array());
  delete_wide(by_new_wide()), delete_array_wide(by_new_array_wide());
  delete_sized(by_new(77), 77), delete_array_sized(by_new_array(77), 77);
  delete_wide_sized(by_new_wide(77), 77);
  operator delete(hide(operator new(50, std::nothrow)), std::nothrow);
}
CASE(fine_objects) {
  delete hide(new counted);
  delete[] hide(new counted[9]);
  delete[] hide(new counted[0]);
  delete hide(new wide);
  delete[] hide(new wide_counted[3]);
  std::string().swap(*std::make_unique<std::string>(100, 'x'));
}
CASE(fine_nothing) {
  free_it(nullptr), delete_it(nullptr), delete_array(nullptr);
  free_it(resize(nullptr, 0)), free_it(by_malloc(0)), delete_it(by_new(0));
}

} // namespace
