// dl.cc - dlopen and dlclose while exceptions fly and other threads look at
// the loaded objects: dl PLUGIN ROUNDS | dl PLUGIN hold | dl PLUGIN unload | dl PLUGIN
// moves
#include "common.h"
#include <atomic>
#include <dlfcn.h>
#include <link.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <thread>

static std::atomic<bool> stopping;

static int look(struct dl_phdr_info *info, size_t, void *count) {
  std::string name(info->dlpi_name); // allocates under the loader's lock
  *static_cast<size_t *>(count) += name.size() + 1;
  return 0;
}
static void look_at_objects() {
  while (!stopping) {
    size_t count = 0;
    dl_iterate_phdr(look, &count);
    CHECK(count);
  }
}
static void throw_here() {
  while (!stopping) {
    try {
      throw std::runtime_error(std::string(100, 't'));
    } catch (const std::exception &e) {
      CHECK(strlen(e.what()) == 100);
    }
  }
}

template <typename F> static F *symbol(void *library, const char *name) {
  F *f = reinterpret_cast<F *>(dlsym(library, name));
  CHECK(f);
  return f;
}

static void one_round(const char *plugin, int n) {
  void *library = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
  CHECK(library);
  auto plugin_throw = symbol<void(int)>(library, "plugin_throw");
  auto plugin_work = symbol<int(int)>(library, "plugin_work");
  try {
    plugin_throw(n);
    CHECK(!"reached");
  } catch (const std::exception &e) {
    CHECK(strlen(e.what()) >= 100);
  } catch (const std::string &s) {
    CHECK(s.size() >= 100);
  }
  CHECK(plugin_work(20) == 20);
  CHECK(dlclose(library) == 0);
}

static int hold(const char *plugin) {
  void *library = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
  CHECK(library);
  symbol<void()>(library, "plugin_hold")();
  scrub_stack();
  return 0;
}

static int unload(const char *plugin) {
  void *library = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
  CHECK(library);
  auto plugin_keep = symbol<void()>(library, "plugin_keep");
  for (int i = 0; i < 1000; i++)
    plugin_keep();
  CHECK(dlclose(library) == 0);
  scrub_stack();
  return 0;
}

// Each time at another place, for what lies at the last one stays there.
static int move(const char *plugin) {
  void *before = nullptr;
  for (int i = 0; i < 100; i++) {
    void *library = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
    CHECK(library);
    auto plugin_leak = symbol<void()>(library, "plugin_leak");
    CHECK(reinterpret_cast<void *>(plugin_leak) != before);
    before = reinterpret_cast<void *>(plugin_leak);
    plugin_leak();
    Dl_info info;
    CHECK(dladdr(before, &info));
    CHECK(dlclose(library) == 0);
    void *taken = mmap(info.dli_fbase, 4096, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(taken == info.dli_fbase);
  }
  scrub_stack();
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  if (!strcmp(argv[2], "hold")) return hold(argv[1]);
  if (!strcmp(argv[2], "unload")) return unload(argv[1]);
  if (!strcmp(argv[2], "moves")) return move(argv[1]);
  std::thread a(look_at_objects), b(throw_here);
  for (int i = 0; i < atoi(argv[2]); i++)
    one_round(argv[1], i);
  stopping = true;
  a.join();
  b.join();
  puts("done");
  return 0;
}
