/* heuristic.c - which interior pointers C++ programs use. */
#include "reach/heuristic.h"

#include "base/os.h"
#include "reach/handle.h"
#include "reach/roots.h"

static READS_ANYTHING uintptr_t word_at(uintptr_t address) {
  return *(const uintptr_t *)address;
}

static bool in_code(uintptr_t address) {
  const struct region *r = roots_region(address);
  return r && r->execute;
}

/* Does it look like a table of virtual functions: in a file's mapping, and of its first
 * 20 words two point to code and none elsewhere? */
static bool is_vtable(uintptr_t address) {
  enum { WORDS = 20 };
  if (address % sizeof(uintptr_t) || address < OS_PAGE) return false;
  const struct region *r = roots_region(address);
  if (!r || !r->read || !r->file) return false;
  unsigned functions = 0;
  for (int i = 0; i < WORDS && address < r->end; i++, address += sizeof(uintptr_t)) {
    uintptr_t word = word_at(address);
    if (word == 0) continue;
    if (!in_code(word)) return false;
    if (++functions == 2) return true;
  }
  return false;
}

/* std::string before C++11: {length, capacity, references}, then the characters. */
static bool is_stdstring(const struct found *f, uintptr_t offset) {
  const size_t head = 3 * sizeof(size_t);
  if (offset != head) return false;
  size_t length = word_at(f->start), capacity = word_at(f->start + sizeof(size_t));
  return length <= capacity && found_requested(f) == head + capacity + 1;
}

/* A block that begins with the size of the rest. */
static bool is_length64(const struct found *f, uintptr_t offset) {
  if (offset != sizeof(uint64_t)) return false;
  uint64_t length = word_at(f->start);
  return length > 0 && length == found_requested(f) - sizeof(uint64_t);
}

bool heuristic_empty_array(const struct found *f, uintptr_t offset) {
  return offset == sizeof(size_t) && found_requested(f) == offset &&
         ul_entry_family(found_entry(f)) == UL_FAMILY_NEW_ARRAY && word_at(f->start) == 0;
}

/* new[] of objects with a destructor: their number, then the objects; before both a gap,
 * if the objects are aligned to more than the number. */
static bool is_newarray(const struct found *f, uintptr_t offset) {
  if (heuristic_empty_array(f, offset)) return true;
  if (offset < sizeof(size_t) || offset & (offset - 1)) return false;
  bool wide = offset > sizeof(size_t);
  if (wide && ul_entry_family(found_entry(f)) == UL_FAMILY_NEW) return false;
  size_t objects = word_at(f->start + offset - sizeof(size_t));
  if (objects == 0 || (found_requested(f) - offset) % objects) return false;
  size_t object = (found_requested(f) - offset) / objects;
  return !wide || (object > 0 && object % offset == 0);
}

/* A pointer to a base class that is not the first: there is another table pointer. */
static bool is_base(const struct found *f, uintptr_t offset) {
  if (offset % sizeof(uintptr_t) || found_requested(f) < offset + sizeof(uintptr_t))
    return false;
  return is_vtable(word_at(f->start)) && is_vtable(word_at(f->start + offset));
}

enum ul_heuristic heuristic_of(const struct found *f, uintptr_t offset,
                               unsigned allowed) {
  static bool (*const fits[UL_HEURISTICS])(const struct found *f, uintptr_t offset) = {
      [UL_STDSTRING] = is_stdstring,    [UL_LENGTH64] = is_length64,
      [UL_NEWARRAY] = is_newarray,      [UL_MULTIPLE_INHERITANCE] = is_base,
      [UL_CONSTANT_OFFSET] = handle_is,
  };
  for (unsigned h = 0; h < UL_HEURISTICS; h++)
    if (allowed >> h & 1 && fits[h](f, offset)) return (enum ul_heuristic)h;
  return UL_HEURISTICS;
}
