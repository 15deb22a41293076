#include "process/target.h"

#include "base/count.h"
#include "base/os.h"
#include "process/child.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SCRIPT_LEVELS = 5, HEADERS = 32, ENTRIES = 128, NAME = 64, HEAD = 256 };

/* ---- what the file says --------------------------------------------------------- */

struct image {
  int fd;
  unsigned headers;
  Elf64_Phdr header[HEADERS];
  uint64_t strings, hash, symbols; /* addresses, 0: none */
};

static bool read_at(const struct image *m, uint64_t address, void *to, size_t bytes) {
  for (unsigned i = 0; i < m->headers; i++) {
    const Elf64_Phdr *h = &m->header[i];
    uint64_t offset = address - h->p_vaddr;
    if (h->p_type == PT_LOAD && address >= h->p_vaddr && offset < h->p_filesz &&
        bytes <= h->p_filesz - offset)
      return os_read_at(m->fd, to, bytes, h->p_offset + offset) == 0;
  }
  return false;
}

/* Cut, and blank if it cannot be read. */
static void read_string(const struct image *m, uint64_t offset, char name[NAME]) {
  size_t bytes = NAME - 1;
  memset(name, 0, NAME);
  while (bytes && !read_at(m, m->strings + offset, name, bytes))
    bytes /= 2; /* the end of what is loaded is near */
}

static bool begins(const char *name, const char *with) {
  return strncmp(name, with, strlen(with)) == 0;
}

static bool is_sanitizer(const char *library) {
  static const char *const names[] = {
      "libasan.",         "libtsan.",         "libhwasan.",         "liblsan.",
      "libclang_rt.asan", "libclang_rt.tsan", "libclang_rt.hwasan", "libclang_rt.msan"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (begins(library, names[i])) return true;
  return false;
}

/* ---- a symbol by DT_GNU_HASH ---------------------------------------------------- */

static bool is_symbol(const struct image *m, uint32_t i, const char *name) {
  Elf64_Sym symbol;
  char other[NAME];
  if (!m->symbols || !read_at(m, m->symbols + i * sizeof symbol, &symbol, sizeof symbol))
    return false;
  read_string(m, symbol.st_name, other);
  return symbol.st_shndx != SHN_UNDEF && strcmp(other, name) == 0;
}

static bool defines(const struct image *m, const char *name) {
  struct {
    uint32_t buckets, first, words, shift;
  } h;
  uint32_t hash = 5381, i, chain;
  uint64_t word;
  for (const char *c = name; *c; c++)
    hash = hash * 33 + (unsigned char)*c;
  if (!m->hash || !read_at(m, m->hash, &h, sizeof h) || !h.buckets || !h.words)
    return false;
  uint64_t filter = m->hash + sizeof h, buckets = filter + h.words * sizeof word;
  uint64_t chains = buckets + h.buckets * sizeof i;
  if (!read_at(m, filter + hash / 64 % h.words * sizeof word, &word, sizeof word) ||
      !(word >> hash % 64 & word >> (hash >> (h.shift & 31)) % 64 & 1) ||
      !read_at(m, buckets + hash % h.buckets * sizeof i, &i, sizeof i) || i < h.first)
    return false;
  do {
    if (!read_at(m, chains + (i - h.first) * sizeof chain, &chain, sizeof chain))
      return false;
    if ((chain | 1) == (hash | 1) && is_symbol(m, i, name)) return true;
  } while (i++, !(chain & 1));
  return false;
}

/* ---- can it have us? ------------------------------------------------------------ */

static const Elf64_Phdr *header_of(const struct image *m, uint32_t type) {
  for (unsigned i = 0; i < m->headers; i++)
    if (m->header[i].p_type == type) return &m->header[i];
  return NULL;
}

static bool is_checked(struct image *m) {
  static const char *const starts[] = {"__asan_init", "__tsan_init", "__msan_init",
                                       "__hwasan_init"};
  const Elf64_Phdr *dynamic = header_of(m, PT_DYNAMIC);
  Elf64_Dyn entry[ENTRIES];
  char name[NAME];
  if (!dynamic) return false;
  size_t n = dynamic->p_filesz / sizeof *entry;
  if (n > ENTRIES) n = ENTRIES;
  if (os_read_at(m->fd, entry, n * sizeof *entry, dynamic->p_offset) != 0) return false;
  for (size_t i = 0; i < n && entry[i].d_tag != DT_NULL; i++) {
    if (entry[i].d_tag == DT_STRTAB) m->strings = entry[i].d_un.d_ptr;
    if (entry[i].d_tag == DT_GNU_HASH) m->hash = entry[i].d_un.d_ptr;
    if (entry[i].d_tag == DT_SYMTAB) m->symbols = entry[i].d_un.d_ptr;
  }
  for (size_t i = 0; i < n && entry[i].d_tag != DT_NULL; i++) {
    if (entry[i].d_tag != DT_NEEDED) continue;
    read_string(m, entry[i].d_un.d_val, name);
    if (is_sanitizer(name)) return true;
  }
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
    if (defines(m, starts[i])) return true;
  return false;
}

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool in_environment(char *const environment[], const char *name) {
  for (; *environment; environment++)
    if (begins(*environment, name)) return true;
  return false;
}

/* Other formats than these are somebody's who has registered them (binfmt_misc). */
static int unknown_format(void) {
  return os_access("/proc/sys/fs/binfmt_misc/status", F_OK) == 0 ? 0 : -ENOEXEC;
}

/* Without a loader nothing is preloaded; but valgrind's tools preload for their client.
 */
static void look_at_elf(struct target *t, int fd, const Elf64_Ehdr *elf,
                        char *const environment[]) {
  struct image m = {.fd = fd, .headers = elf->e_phnum};
  char loader[PATH_MAX] = "";
  t->unfit = elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != EM_X86_64;
  if (t->unfit || m.headers > HEADERS || elf->e_phentsize != sizeof *m.header ||
      os_read_at(fd, m.header, m.headers * sizeof *m.header, elf->e_phoff) != 0)
    return;
  const Elf64_Phdr *interpreter = header_of(&m, PT_INTERP);
  if (!interpreter) {
    t->unfit = in_environment(environment, "VALGRIND_LAUNCHER=");
    t->is_static = !t->unfit;
  } else if (interpreter->p_filesz < sizeof loader &&
             os_read_at(fd, loader, interpreter->p_filesz, interpreter->p_offset) == 0) {
    t->error = os_access(loader, X_OK);
    t->unfit = !begins(last_part(loader), "ld-linux-x86-64") || is_checked(&m);
  }
}

static void look_at_path(struct target *t, const char *path, char *const environment[],
                         unsigned level);

static void look_at(struct target *t, int fd, char *const environment[], unsigned level) {
  union {
    Elf64_Ehdr elf;
    char text[HEAD + 1];
  } head = {.text = ""};
  ssize_t n = os_read_part(fd, head.text, HEAD, 0); /* the kernel reads as much */
  if (n >= (ssize_t)sizeof head.elf && memcmp(head.text, ELFMAG, SELFMAG) == 0) {
    look_at_elf(t, fd, &head.elf, environment);
  } else if (n >= 2 && begins(head.text, "#!")) {
    char *name = head.text + 2 + strspn(head.text + 2, " \t");
    name[strcspn(name, " \t\n")] = 0;
    look_at_path(t, name, environment, level + 1);
  } else {
    t->error = n < 0 ? (int)n : unknown_format();
  }
}

/* What cannot be read may be executed all the same. */
static void look_at_path(struct target *t, const char *path, char *const environment[],
                         unsigned level) {
  t->error = level > SCRIPT_LEVELS ? -ELOOP : os_access(path, X_OK);
  int fd = t->error ? -1 : os_open(path, O_RDONLY | O_NONBLOCK, 0);
  if (fd < 0) return;
  look_at(t, fd, environment, level);
  os_close(fd);
}

/* The kernel's: ARG_MAX of it, and what one may be long. */
static bool too_long(char *const arguments[], char *const environment[]) {
  enum { ONE = 32 * OS_PAGE, LEAST = ONE };
  const uint64_t most = UINT64_C(6) << 20;
  uint64_t limit = os_limit(RLIMIT_STACK) / 4, all = 0;
  char *const *const lists[] = {arguments, environment};
  if (limit > most) limit = most;
  if (limit < LEAST) limit = LEAST;
  for (unsigned i = 0; i < 2; i++) {
    for (char *const *s = lists[i]; s && *s; s++) {
      size_t bytes = strlen(*s) + 1;
      all += bytes + sizeof *s;
      if (bytes > ONE) return true;
    }
  }
  return all > limit;
}

/* Who is confined cannot look, and what it starts would not know of the confinement. */
static const struct target of_confined = {.unfit = true};

/* Whom it runs is who could not have us: valgrind's tool, which the launcher starts with
 * its own arguments, runs a client. Its options have their values in the same word; a
 * client that is looked for in PATH is not ours. */
static const char *who_runs(const char *path, char *const arguments[],
                            char *const environment[]) {
  if (!in_environment(environment, "VALGRIND_LAUNCHER=") ||
      !strstr(path, "-amd64-linux") || !arguments || !*arguments)
    return path;
  while (*++arguments && **arguments == '-')
    ;
  return *arguments && strchr(*arguments, '/') ? *arguments : path;
}

struct target target_at(const char *path, char *const arguments[],
                        char *const environment[]) {
  struct target t = {.path = path};
  if (os_confined()) return of_confined;
  look_at_path(&t, path, environment, 0);
  if (t.unfit) t.path = who_runs(path, arguments, environment);
  if (!t.error && too_long(arguments, environment)) t.error = -E2BIG;
  return t;
}

struct target target_of(int fd, char *const environment[]) {
  struct target t = {0};
  if (os_confined()) return of_confined;
  look_at(&t, fd, environment, 0);
  return t;
}

/* ---- the environment ------------------------------------------------------------ */

static const char preload[] = "LD_PRELOAD=";

/* Of an LD_PRELOAD: the length of the first library's name. */
static size_t name_length(const char *list) {
  return strcspn(list, ": ");
}

static bool is_ours(const char *name, size_t length) {
  struct dl_find_object o;
  if (_dl_find_object((void *)(uintptr_t)is_ours, &o) != 0) return false;
  const char *ours = last_part(o.dlfo_link_map->l_name);
  size_t n = strlen(ours);
  return length >= n && memcmp(name + length - n, ours, n) == 0 &&
         (length == n || name[length - n - 1] == '/');
}

static bool has_us(const char *list) {
  for (; *list; list += *list != 0) {
    size_t n = name_length(list);
    if (is_ours(list, n)) return true;
    list += n;
  }
  return false;
}

static const char *our_variable(char *const environment[]) {
  for (; environment && *environment; environment++)
    if (begins(*environment, preload) && has_us(*environment + sizeof preload - 1))
      return *environment;
  return NULL;
}

static size_t room(char *const environment[], const char *variable) {
  size_t n = 0;
  fallback(UL_FB_PROGRAM_UNFIT);
  while (environment[n])
    n++;
  return (n + 1) * sizeof *environment + strlen(variable) + 1;
}

size_t target_room(const struct target *t, char *const environment[]) {
  bool without = t->unfit || t->is_static;
  const char *variable = our_variable(environment);
  if (t->path && !t->error && (without || !variable))
    child_note_without_us(t->path, variable);
  return variable && t->unfit ? room(environment, variable) : 0;
}

static void copy_others(char *to, const char *list) {
  while (*list) {
    size_t n = name_length(list), with_separator = n + (list[n] != 0);
    if (!is_ours(list, n)) to = mempcpy(to, list, with_separator);
    list += with_separator;
  }
  *to = 0;
}

char *const *target_without_us(char *const environment[], void *room_for_copy) {
  const char *variable = our_variable(environment);
  char **copy = room_for_copy;
  size_t n = 0;
  while (environment[n])
    n++;
  char *others = (char *)(copy + n + 1), *value = others + sizeof preload - 1;
  memcpy(others, preload, sizeof preload);
  copy_others(value, variable + sizeof preload - 1);
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    if (environment[i] != variable)
      copy[kept++] = environment[i];
    else if (*value)
      copy[kept++] = others;
  }
  copy[kept] = NULL;
  return copy;
}
