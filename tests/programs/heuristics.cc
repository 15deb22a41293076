// heuristics.cc - blocks held only by the interior pointers that C++ makes.
// Each is reachable after all, and the heuristic that says so is counted.
// Prints "name verdict bytes blocks".
#include "common.h"
#include <new>

// A copy-on-write std::string: the pointer is past {length, capacity, references}.
struct rep {
  size_t length, capacity;
  intptr_t references;
};
static char *strings[11];
static NOINLINE void hold_string() {
  for (int i = 0; i < 11; i++) {
    size_t capacity = 60;
    rep *r = static_cast<rep *>(operator new(sizeof(rep) + capacity + 1)); // MARK hold_string
    r->length = 20;
    r->capacity = capacity;
    r->references = 0;
    strings[i] = reinterpret_cast<char *>(r + 1);
    memset(strings[i], 'a', 20);
    strings[i][20] = 0;
  }
}

// A block that begins with its own length, as sqlite3's allocator layer makes.
static void *lengths[12];
static NOINLINE void hold_length() {
  for (int i = 0; i < 12; i++) {
    uint64_t *p = static_cast<uint64_t *>(malloc(8 + 120)); // MARK hold_length
    memset(p, 0, 128);
    p[0] = 120;
    lengths[i] = p + 1;
  }
}

struct with_destructor {
  char data[24];
  with_destructor() { memset(data, 1, sizeof data); }
  ~with_destructor() { data[0] = 0; }
};
static with_destructor *arrays[13];
static NOINLINE void hold_array() {
  for (auto &a : arrays)
    a = new with_destructor[5]; // MARK hold_array
}

// Without objects there is only their number, and the pointer leads to its end.
static with_destructor *empty[17];
static NOINLINE void hold_empty() {
  for (auto &e : empty)
    e = new with_destructor[0]; // MARK hold_empty
}

// Before objects of a wider alignment lies more than their number.
struct alignas(32) aligned {
  char data[32];
  ~aligned() { data[0] = 0; }
};
static aligned *aligned_arrays[18];
static NOINLINE void hold_aligned() {
  for (int i = 0; i < 18; i++) {
    aligned_arrays[i] = new aligned[3]; // MARK hold_aligned
    memset((void *)aligned_arrays[i], 7, 3 * sizeof(aligned));
  }
}

struct first {
  virtual ~first() {}
  long a = 1;
};
struct second {
  virtual ~second() {}
  long b = 2;
};
struct both : first, second {
  long c = 3;
};
static second *bases[14];
static NOINLINE void hold_base() {
  for (auto &b : bases)
    b = new both; // MARK hold_base
}

// Behind a header of the program's own, which a wrapper hides: also through another place
// that has only a few blocks, but the wrapper's frame in common.
struct header {
  size_t size;
  int magic, kind;
};
static NOINLINE char *wrap(size_t n) {
  header *h = static_cast<header *>(malloc(sizeof *h + n)); // MARK wrap
  h->size = 0;
  h->magic = h->kind = 7;
  char *p = reinterpret_cast<char *>(h + 1);
  memset(p, 'w', n);
  return p;
}
static char *wrapped[40];
static NOINLINE void hold_wrapped() {
  for (int i = 0; i < 35; i++)
    wrapped[i] = wrap(10 + i); // MARK hold_wrapped
}
static NOINLINE void hold_a_few() {
  for (int i = 35; i < 40; i++)
    wrapped[i] = wrap(100); // MARK hold_a_few
}
static NOINLINE void leak_wrapped() {
  for (int i = 0; i < 4; i++)
    keep(wrap(33)); // MARK leak_wrapped
}

// The same kind of pointer where no heuristic fits: each into another place; and all into
// the same, but most of the others are held by their start.
static char *middles[60];
static NOINLINE void hold_middle() {
  for (int i = 0; i < 15; i++) {
    char *p = new char[77]; // MARK hold_middle
    memset(p, 'z', 77);
    middles[i] = p + 33 + i;
  }
}
static NOINLINE char *of_both() {
  char *p = new char[88]; // MARK of_both
  memset(p, 'z', 88);
  return p;
}
static NOINLINE void hold_both() {
  for (int i = 15; i < 60; i++)
    middles[i] = of_both() + (i < 35 ? 40 : 0);
}

static NOINLINE void leak_new() {
  for (int i = 0; i < 16; i++)
    keep(new char[55]); // MARK leak_new
}

int main() {
  hold_string();
  hold_length();
  hold_array();
  hold_empty();
  hold_aligned();
  hold_base();
  hold_wrapped();
  hold_a_few();
  leak_wrapped();
  hold_middle();
  hold_both();
  leak_new();
  printf("hold_string reachable %zu 11\n", 11 * (sizeof(rep) + 61));
  printf("hold_length reachable %d 12\n", 12 * 128);
  printf("hold_array reachable %zu 13\n", 13 * (8 + 5 * sizeof(with_destructor)));
  printf("hold_empty reachable %d 17\n", 17 * 8);
  printf("hold_aligned reachable %zu 18\n", 18 * 4 * sizeof(aligned));
  printf("hold_base reachable %zu 14\n", 14 * sizeof(both));
  printf("hold_wrapped reachable %d 35\n", 35 * (16 + 10) + 34 * 35 / 2);
  printf("hold_a_few reachable %d 5\n", 5 * 116);
  printf("leak_wrapped definite %d 4\n", 4 * 49);
  printf("of_both possible %d 20\n", 20 * 88);
  printf("of_both reachable %d 25\n", 25 * 88);
  printf("hold_middle possible %d 15\n", 15 * 77);
  printf("leak_new definite %d 16\n", 16 * 55);
  fflush(stdout);
  scrub_stack();
  return 0;
}
