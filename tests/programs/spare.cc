// spare MODE - room for more that is never needed:
//
//   vector   a vector that doubled for its last element
//   string   so did a text
//   realloc  a table in C grows likewise, by realloc
//   shrunk   a vector that gives the rest back
//   full     a vector that is as large as was asked for, and used
//   buffer   one block of a fixed size, of which little is used
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#define NOINLINE __attribute__((noinline))

enum : size_t { ITEMS = (8 << 20) / sizeof(long) };
// Never destroyed: what is looked at is there in the end.
static std::vector<long> &items = *new std::vector<long>;
static std::string &text = *new std::string;
static long *table;
static char *buffer;

NOINLINE static void fill_vector(size_t count) {
  for (size_t i = 0; i < count; i++)
    items.push_back(static_cast<long>(i));
}

NOINLINE static void fill_text() {
  for (size_t i = 0; i < (8 << 20) + 1000; i++)
    text.push_back('x');
}

NOINLINE static void fill_table(size_t count) {
  size_t room = 0;
  for (size_t i = 0; i < count; i++) {
    if (i == room) {
      room = room ? 2 * room : 64;
      table = static_cast<long *>(realloc(table, room * sizeof *table));
      if (!table) abort();
    }
    table[i] = static_cast<long>(i);
  }
}

int main(int argc, char *argv[]) {
  std::string mode = argc == 2 ? argv[1] : "";
  if (mode == "vector") {
    fill_vector(ITEMS + 1000);
  } else if (mode == "string") {
    fill_text();
  } else if (mode == "realloc") {
    fill_table(ITEMS + 1000);
  } else if (mode == "shrunk") {
    fill_vector(ITEMS + 1000);
    items.shrink_to_fit();
  } else if (mode == "full") {
    items.reserve(ITEMS + 1000);
    fill_vector(ITEMS + 1000);
  } else if (mode == "buffer") {
    buffer = static_cast<char *>(malloc(16 << 20));
    if (!buffer) abort();
    memset(buffer, 1, 1 << 20);
  } else {
    fprintf(stderr, "usage: spare MODE\n");
    return 2;
  }
  return 0;
}
