/* A stripped module whose functions have no symbols: what a virtual table and a table of
 * commands say of them is all there is, and calls that register them. Two functions are
 * exported, so that the test can ask for addresses. */
#include <cstddef>

#define NOINLINE __attribute__((noinline))

namespace shapes {
struct Base {
  virtual ~Base();
  virtual int inherited(int n);
  virtual int overridden(int n);
};
Base::~Base() {}
int Base::inherited(int n) {
  return n + 1;
}
int Base::overridden(int n) {
  return n + 2;
}

struct Other {
  virtual ~Other();
  virtual int pure(int n) = 0;
};
Other::~Other() {}

struct Derived : Base, Other {
  int overridden(int n) override;
  int pure(int n) override;
  virtual int own(int n);
};
int Derived::overridden(int n) {
  return n + 3;
}
int Derived::pure(int n) {
  return n + 4;
}
int Derived::own(int n) {
  return n + 5;
}
} // namespace shapes

static NOINLINE int add(int n) {
  return n * 3;
}
static NOINLINE int remove_all(int n) {
  return n * 5;
}
static NOINLINE int shared(int n) {
  return n * 7;
}
static NOINLINE int last(int n) {
  return n * 11;
}
static NOINLINE int lonely(int n) {
  return n * 13;
}

struct command {
  const char *name;
  int (*run)(int);
  const char *help;
  long flags;
};
extern "C" __attribute__((visibility("hidden"))) const command commands[] = {
    {"add", add, "adds %d", 0},   {"remove-all", remove_all, "not a name", 1},
    {"shared", shared, NULL, 0},  {"alias", shared, "the same", 0},
    {"last", last, "the end", 3},
};
/* Not a table. */
struct single {
  long before[40];
  struct command only;
  long behind[40];
};
extern "C" __attribute__((visibility("hidden")))
const single one = {{1, 2, 3}, {"lonely", lonely, NULL, 0}, {4, 5, 6}};

/* Registered by calls. */
#define METHOD(name, n)                                                                  \
  static NOINLINE int name(int of) {                                                     \
    return of * (n);                                                                     \
  }
METHOD(generate, 17)
METHOD(parse, 19)
METHOD(dump, 23)
METHOD(aliased, 29)
METHOD(kept, 83)
METHOD(first_of_two, 31)
METHOD(second_of_two, 37)
METHOD(one_domain, 41)
METHOD(same_domain, 43)
METHOD(that_domain, 47)
typedef int method(int);
static NOINLINE void define(void *type, const char *name, method *m, int arguments) {
  __asm__ volatile("" : : "r"(type), "r"(name), "r"(m), "r"(arguments));
}
static NOINLINE void rarely(const char *name, method *m) {
  __asm__ volatile("" : : "r"(name), "r"(m));
}
static NOINLINE void within(const char *domain, method *m) {
  __asm__ volatile("" : : "r"(domain), "r"(m));
}
extern "C" __attribute__((visibility("default"))) void derived_init(void *type) {
  define(type, "generate", generate, 1);
  define(type, "parse", parse, -1);
  define(type, "one-name", aliased, 0);
  define(type, "another-name", aliased, 0);
  define(type, "third-name", aliased, 0);
  rarely("first", first_of_two);
  rarely("second", second_of_two);
  within("domain", one_domain);
  within("domain", same_domain);
  within("domain", that_domain);
  define(type, "dump", dump, 2);
  method *again = kept; /* in a register that calls leave alone */
  __asm__ volatile("" : "+b"(again));
  define(type, "kept", again, 1);
  define(type, "kept-too", again, 1);
  __asm__ volatile("" : "+b"(again));
}

/* Three functions call it by way of the linkage table, one of them twice, one as its last
 * call; and it calls itself. */
extern "C" __attribute__((visibility("default"))) NOINLINE int derived_served(int n) {
  return n > 1 ? derived_served(n - 1) + n : 1;
}
static NOINLINE int served_once(int n) {
  return derived_served(n) + 1;
}
static NOINLINE int served_twice(int n) {
  return derived_served(n) * derived_served(n + 1);
}
extern "C" __attribute__((visibility("default"))) NOINLINE int derived_last_call(int n) {
  return derived_served(n + served_once(n) + served_twice(n));
}

/* Types as CPython has them: an object, and what one is made of at run time. */
METHOD(type_new, 53)
METHOD(type_repeat, 59)
METHOD(two_types, 61)
METHOD(spec_init, 67)
METHOD(many_types, 71)
METHOD(no_type, 73)
struct sequence_methods {
  method *length, *concatenate, *repeat, *others[7];
};
static const sequence_methods of_sequence = {nullptr, nullptr, type_repeat, {}};
struct type_object {
  long references;
  const void *type;
  long items;
  const char *name;
  long bytes, item_bytes;
  method *before[7];
  const sequence_methods *sequence;
  const void *mapping;
  method *hash, *call, *between[20];
  method *init, *allocate, *make;
};
static_assert(offsetof(type_object, sequence) == 104 &&
                  offsetof(type_object, init) == 296 &&
                  offsetof(type_object, make) == 312,
              "PyTypeObject");
#define TYPE(symbol, count, name, sequence, init, make)                                  \
  __attribute__((used)) static type_object symbol = {                                    \
      count,   nullptr, 0,       name, 48,   0,       {},  sequence,                     \
      nullptr, nullptr, nullptr, {},   init, nullptr, make}
TYPE(first_type, 1, "text", &of_sequence, many_types, type_new);
TYPE(second_type, 1, "lists.Pair", nullptr, many_types, two_types);
TYPE(third_type, 0xffffffff, "lists.Triple", nullptr, many_types, two_types);
TYPE(not_a_type, 7, "lists.Nothing", nullptr, nullptr, no_type);
struct type_slot {
  int number;
  void *function;
};
struct type_spec {
  const char *name;
  int bytes, item_bytes;
  unsigned flags;
  const type_slot *slots;
};
static const type_slot slots_of_spec[] = {
    {56, nullptr}, {60, reinterpret_cast<void *>(spec_init)}, {0, nullptr}};
extern "C" __attribute__((visibility("hidden"), used))
const type_spec spec = {"lists.List", 64, 0, 1 << 18, slots_of_spec};

/* The i-th function of a virtual table: behind offset and type_info. */
static const void *entry(const void *object, int i) {
  return (*static_cast<const void *const *const *>(object))[i];
}

extern "C" __attribute__((visibility("default"))) const void *derived_address(int which) {
  static shapes::Derived object;
  static shapes::Base base;
  switch (which) {
  case 0:
    return entry(&object, 2); /* behind the two destructors: inherited */
  case 1:
    return entry(&object, 3);
  case 2:
    return entry(&base, 3);
  case 3:
    return entry(&object, 4);
  case 4:
    return entry(&object, 5);
  case 5:
    return reinterpret_cast<const void *>(commands[0].run);
  case 6:
    return reinterpret_cast<const void *>(commands[1].run);
  case 7:
    return reinterpret_cast<const void *>(commands[2].run);
  case 8:
    return reinterpret_cast<const void *>(commands[4].run);
  case 9:
    return reinterpret_cast<const void *>(one.only.run);
  default: {
    static method *const methods[] = {
        generate,   parse,       dump,        aliased,  first_of_two, second_of_two,
        one_domain, same_domain, that_domain, type_new, type_repeat,  two_types,
        spec_init,  many_types,  no_type,     kept};
    return reinterpret_cast<const void *>(methods[which - 10]);
  }
  }
}
