#include "command/inspect.h"

#include "command/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPT_LEVELS 5 /* the kernel's own limit of interpreters of interpreters */
#define HEAD_BYTES 256  /* of a file: the kernel reads as much of a "#!" line */

__attribute__((format(printf, 3, 4))) static enum inspect_status
refuse(struct inspection *result, enum inspect_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(result->reason, sizeof result->reason, format, arguments);
  va_end(arguments);
  return result->status = status;
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* ---- PATH ---------------------------------------------------------------------- */

static bool is_executable_file(const char *path) {
  struct stat st;
  if (stat(path, &st) != 0) return false;
  if (!S_ISREG(st.st_mode)) {
    errno = EACCES;
    return false;
  }
  return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* As execvp: the first file that can be executed; one that may not be is remembered. */
static int search_path(const char *name, char *found) {
  const char *path = getenv("PATH");
  int error = ENOENT;
  if (!path) path = "/bin:/usr/bin";
  for (const char *at = path;; at++) {
    size_t length = strcspn(at, ":");
    int n =
        snprintf(found, PATH_MAX, "%.*s%s%s", (int)length, at, length ? "/" : "", name);
    if (n > 0 && n < PATH_MAX) {
      if (is_executable_file(found)) return 0;
      if (access(found, F_OK) == 0) error = EACCES;
    }
    at += length;
    if (!*at) return error;
  }
}

static enum inspect_status find_program(const char *name, struct inspection *result) {
  struct stat st;
  if (!*name)
    return refuse(result, INSPECT_NOT_FOUND, "the name of the program is empty");
  if (!strchr(name, '/')) {
    int error = search_path(name, result->path);
    if (error == ENOENT)
      return refuse(result, INSPECT_NOT_FOUND, "%s: not found in PATH", name);
    if (error)
      return refuse(result, INSPECT_UNUSABLE, "%s: found in PATH, but not executable",
                    name);
    return INSPECT_FINE;
  }
  if ((size_t)snprintf(result->path, PATH_MAX, "%s", name) >= PATH_MAX)
    return refuse(result, INSPECT_NOT_FOUND, "%.60s...: name too long", name);
  if (stat(name, &st) != 0)
    return refuse(result,
                  errno == ENOENT || errno == ENOTDIR ? INSPECT_NOT_FOUND
                                                      : INSPECT_UNUSABLE,
                  "%s: %s", name, strerror(errno));
  if (S_ISDIR(st.st_mode))
    return refuse(result, INSPECT_UNUSABLE, "%s: is a directory", name);
  if (!is_executable_file(name))
    return refuse(result, INSPECT_UNUSABLE, "%s: not executable: %s", name,
                  S_ISREG(st.st_mode) ? strerror(errno) : "not a regular file");
  return INSPECT_FINE;
}

/* ---- ELF ----------------------------------------------------------------------- */

static bool read_interpreter(Elf *elf, int fd, char *interpreter, size_t size) {
  size_t count;
  if (elf_getphdrnum(elf, &count) != 0) return false;
  for (size_t i = 0; i < count && i < INT_MAX; i++) {
    GElf_Phdr header;
    if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_INTERP) continue;
    size_t bytes = header.p_filesz < size - 1 ? header.p_filesz : size - 1;
    ssize_t n = pread(fd, interpreter, bytes, (off_t)header.p_offset);
    if (n <= 0) return false;
    interpreter[n] = '\0';
    return true;
  }
  return false;
}

/* Is there a library in DT_NEEDED whose name begins so? */
static bool needs_library(Elf *elf, const char *prefix) {
  Elf_Scn *section = NULL;
  while ((section = elf_nextscn(elf, section))) {
    GElf_Shdr header;
    GElf_Dyn entry;
    if (!gelf_getshdr(section, &header) || header.sh_type != SHT_DYNAMIC) continue;
    Elf_Data *data = elf_getdata(section, NULL);
    for (int i = 0; data && gelf_getdyn(data, i, &entry); i++) {
      const char *name = entry.d_tag == DT_NEEDED
                             ? elf_strptr(elf, header.sh_link, entry.d_un.d_val)
                             : NULL;
      if (name && strncmp(name, prefix, strlen(prefix)) == 0) return true;
    }
  }
  return false;
}

/* A sanitizer whose runtime does not start, or crashes, with another allocator before it;
 * NULL: none. (clang's static AddressSanitizer runs, with its own allocator.) */
static const char *sanitizer(Elf *elf) {
  static const char *const signs[][3] = {
      {"libasan.", NULL, "AddressSanitizer"},
      {"libclang_rt.asan", NULL, "AddressSanitizer"},
      {"libhwasan.", "__hwasan_init", "HWAddressSanitizer"},
      {"liblsan.", NULL, "LeakSanitizer"},
      {"libtsan.", "__tsan_init", "ThreadSanitizer"},
      {"libmsan.", "__msan_init", "MemorySanitizer"},
  };
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
    if (needs_library(elf, signs[i][0]) ||
        (signs[i][1] && symbols_export(elf, signs[i][1])))
      return signs[i][2];
  return NULL;
}

/* "python", "python3", "python3.11", "python3.11d", but not "python3-config". */
static bool is_python_name(const char *name) {
  if (strncmp(name, "python", 6) != 0) return false;
  name += 6;
  name += strspn(name, "0123456789.");
  name += strspn(name, "dmtu"); /* ABI flags */
  return *name == '\0';
}

static bool is_python(Elf *elf, const char *path) {
  char real[PATH_MAX];
  if (realpath(path, real) && is_python_name(base_name(real))) return true;
  return needs_library(elf, "libpython");
}

static bool gains_ids(const struct stat *st) {
  bool user = (st->st_mode & S_ISUID) && st->st_uid != getuid();
  bool group = (st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
               st->st_gid != getgid();
  return user || group;
}

/* Will the kernel give it privileges, and the loader thus ignore LD_PRELOAD? */
static const char *gains_privileges(int fd, const struct stat *st) {
  struct statvfs fs;
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return NULL;
  if (fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_NOSUID)) return NULL;
  if (gains_ids(st)) return st->st_mode & S_ISUID ? "setuid" : "setgid";
  if (getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0)
    return "given capabilities";
  return NULL;
}

static enum inspect_status inspect_loader(Elf *elf, int fd, const char *path,
                                          struct inspection *result) {
  char loader[PATH_MAX];
  if (strncmp(base_name(path), "ld-linux", 8) == 0 ||
      strncmp(base_name(path), "ld-2.", 5) == 0)
    return INSPECT_FINE; /* the loader, started by hand */
  if (!read_interpreter(elf, fd, loader, sizeof loader))
    return refuse(result, INSPECT_UNUSABLE,
                  "%s is statically linked: without a loader nothing can be preloaded; "
                  "link it dynamically",
                  path);
  if (strncmp(base_name(loader), "ld-musl", 7) == 0)
    return refuse(result, INSPECT_UNUSABLE,
                  "%s is linked with musl (%s): ullage is for programs of glibc", path,
                  loader);
  if (strncmp(base_name(loader), "ld-linux-x86-64", 15) != 0)
    return refuse(result, INSPECT_UNUSABLE,
                  "%s wants the loader %s: ullage is for programs of glibc", path,
                  loader);
  if (access(loader, F_OK) != 0)
    return refuse(result, INSPECT_UNUSABLE, "%s wants the loader %s: %s", path, loader,
                  strerror(errno));
  return INSPECT_FINE;
}

static enum inspect_status inspect_elf(Elf *elf, int fd, const struct stat *st,
                                       const char *path, struct inspection *result) {
  GElf_Ehdr header;
  if (!gelf_getehdr(elf, &header))
    return refuse(result, INSPECT_UNUSABLE, "%s: damaged ELF header", path);
  if (header.e_ident[EI_CLASS] == ELFCLASS32)
    return refuse(result, INSPECT_UNUSABLE,
                  "%s is a 32-bit program: ullage is for 64-bit x86", path);
  if (header.e_machine != EM_X86_64)
    return refuse(result, INSPECT_UNUSABLE,
                  "%s is for another machine (ELF machine %u): ullage is for 64-bit x86",
                  path, header.e_machine);
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
    return refuse(result, INSPECT_UNUSABLE, "%s is an ELF file, but not a program", path);
  const char *privileges = gains_privileges(fd, st);
  if (privileges)
    return refuse(
        result, INSPECT_UNUSABLE,
        "%s is %s: the loader ignores LD_PRELOAD for it; record a copy without, "
        "or as the user it runs as",
        path, privileges);
  if (inspect_loader(elf, fd, path, result) != INSPECT_FINE) return result->status;
  const char *checked_by = sanitizer(elf);
  if (checked_by)
    return refuse(result, INSPECT_UNUSABLE,
                  "%s is built with %s, which wants to be the allocator itself; record a "
                  "build without -fsanitize",
                  path, checked_by);
  snprintf(result->program, sizeof result->program, "%s", path);
  if (is_python(elf, path)) result->python = true;
  result->glib = needs_library(elf, "libglib-2.0.");
  return result->status = INSPECT_FINE;
}

/* ---- scripts ------------------------------------------------------------------- */

static enum inspect_status inspect_file(const char *path, unsigned level,
                                        struct inspection *result);

/* env starts what its first word names that is no option and no assignment. */
static enum inspect_status inspect_env(const char *path, char *words, unsigned level,
                                       struct inspection *result) {
  char found[PATH_MAX];
  char *rest, *word = strtok_r(words, " \t", &rest);
  while (word && (*word == '-' || strchr(word, '=')))
    word = strtok_r(NULL, " \t", &rest);
  if (!word || (!strchr(word, '/') && search_path(word, found) != 0))
    return inspect_file(path, level + 1, result);
  return inspect_file(strchr(word, '/') ? word : found, level + 1, result);
}

static enum inspect_status inspect_script(const char *path, char *line, unsigned level,
                                          struct inspection *result) {
  line += strspn(line, " \t");
  size_t length = strcspn(line, " \t");
  char *words = line + length;
  if (*words) *words++ = '\0';
  if (level + 1 >= SCRIPT_LEVELS)
    return refuse(result, INSPECT_UNUSABLE, "%s: too many interpreters of interpreters",
                  path);
  if (!*line || access(line, F_OK) != 0)
    return refuse(result, INSPECT_NOT_FOUND, "%s: its interpreter '%s' is missing", path,
                  line);
  if (!is_executable_file(line))
    return refuse(result, INSPECT_UNUSABLE, "%s: its interpreter '%s' is not executable",
                  path, line);
  if (strcmp(base_name(line), "env") == 0) return inspect_env(line, words, level, result);
  return inspect_file(line, level + 1, result);
}

/* Neither ELF nor "#!": execvp hands text to the shell. */
static enum inspect_status inspect_other(const char *path, const char *head, size_t bytes,
                                         unsigned level, struct inspection *result) {
  const char *end = memchr(head, '\n', bytes);
  if (bytes == 0 || memchr(head, '\0', end ? (size_t)(end - head) : bytes))
    return refuse(result, INSPECT_UNUSABLE, "%s: %s", path,
                  bytes ? "not a program: neither ELF nor a script"
                        : "the file is empty");
  return inspect_file("/bin/sh", level + 1, result);
}

static enum inspect_status inspect_open(int fd, const char *path, unsigned level,
                                        struct inspection *result) {
  struct stat st;
  char head[HEAD_BYTES + 1];
  ssize_t n;
  if (fstat(fd, &st) != 0 || (n = pread(fd, head, HEAD_BYTES, 0)) < 0)
    return refuse(result, INSPECT_UNUSABLE, "%s: %s", path, strerror(errno));
  head[n] = '\0';
  if (n >= 2 && head[0] == '#' && head[1] == '!') {
    head[strcspn(head, "\n")] = '\0';
    return inspect_script(path, head + 2, level, result);
  }
  if (n < 4 || memcmp(head, ELFMAG, SELFMAG) != 0)
    return inspect_other(path, head, (size_t)n, level, result);
  Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
  enum inspect_status status =
      elf ? inspect_elf(elf, fd, &st, path, result)
          : refuse(result, INSPECT_UNUSABLE, "%s: damaged ELF file", path);
  elf_end(elf);
  return status;
}

static enum inspect_status inspect_file(const char *path, unsigned level,
                                        struct inspection *result) {
  elf_version(EV_CURRENT);
  if (is_python_name(base_name(path)))
    result->python = true; /* perhaps a shim in shell */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 && errno == EACCES) {
    /* It may be executed but not read: nothing to learn, and nothing against trying. */
    snprintf(result->program, sizeof result->program, "%s", path);
    return result->status = INSPECT_FINE;
  }
  if (fd < 0) return refuse(result, INSPECT_UNUSABLE, "%s: %s", path, strerror(errno));
  enum inspect_status status = inspect_open(fd, path, level, result);
  close(fd);
  return status;
}

enum inspect_status inspect_program(const char *name, struct inspection *result) {
  memset(result, 0, sizeof *result);
  if (find_program(name, result) != INSPECT_FINE) return result->status;
  return inspect_file(result->path, 0, result);
}

/* ---- allocators ---------------------------------------------------------------- */

struct sign {
  const char *name, *phrase;
};
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define GO "it is a Go program, whose heap is the Go runtime's"

static const struct sign brought[] = {
    {"malloc", "it defines malloc itself"},   {"je_malloc", "it contains jemalloc"},
    {"_rjem_malloc", "it contains jemalloc"}, {"mi_malloc", "it contains mimalloc"},
    {"tc_malloc", "it contains tcmalloc"},    {"runtime.mallocgc", GO},
};
static const struct sign called[] = {
    {"mallocx", "it calls mallocx, which is jemalloc's"},
    {"rallocx", "it calls rallocx, which is jemalloc's"},
    {"mi_malloc", "it calls mi_malloc, which is mimalloc's"},
    {"tc_malloc", "it calls tc_malloc, which is tcmalloc's"},
};

static const char *phrase_of(const struct sign *signs, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(name, signs[i].name) == 0) return signs[i].phrase;
  return NULL;
}
#define PHRASE_OF(signs, name) phrase_of(signs, COUNT(signs), name)

static const char *called_sign(const char *name) {
  return PHRASE_OF(called, name);
}
static const char *brought_sign(const char *name) {
  return PHRASE_OF(brought, name);
}

static const char *exported_sign(Elf *elf) {
  for (size_t i = 0; i < COUNT(brought); i++)
    if (symbols_export(elf, brought[i].name)) return brought[i].phrase;
  return NULL;
}

/* Go programs are recognised stripped, too. */
static const char *go_sign(Elf *elf) {
  Elf_Scn *section = NULL;
  GElf_Shdr header;
  size_t names;
  if (elf_getshdrstrndx(elf, &names) != 0) return NULL;
  while ((section = elf_nextscn(elf, section))) {
    const char *name =
        gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
    if (name && strcmp(name, ".note.go.buildid") == 0) return GO;
  }
  return NULL;
}

static const char *sign_in(Elf *elf, bool library) {
  const char *phrase = symbols_wanted(elf, called_sign);
  if (library) return phrase;
  if (!phrase) phrase = exported_sign(elf);
  if (!phrase) phrase = go_sign(elf);
  return phrase ? phrase : symbols_own(elf, brought_sign);
}

static const char *file_sign(const char *path, bool library) {
  struct stat st;
  elf_version(EV_CURRENT);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return NULL;
  Elf *elf = fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
                 ? elf_begin(fd, ELF_C_READ_MMAP, NULL)
                 : NULL;
  const char *phrase = elf ? sign_in(elf, library) : NULL;
  elf_end(elf);
  close(fd);
  return phrase;
}

const char *inspect_allocator(const char *path) {
  static const struct sign programs[] = {
      {"node", "the heap of JavaScript is V8's"},
      {"beam.smp", "the heap of Erlang is its own"},
  };
  const char *phrase = PHRASE_OF(programs, base_name(path));
  return phrase ? phrase : file_sign(path, false);
}

const char *inspect_library_allocator(const char *path) {
  static const struct sign libraries[] = {
      {"libjvm.so", "the heap of Java is its own"},
      {"libcoreclr.so", "the heap of .NET is its own"},
      {"libmonosgen-2.0.so.1", "the heap of .NET is its own"},
  };
  const char *phrase = PHRASE_OF(libraries, base_name(path));
  return phrase ? phrase : file_sign(path, true);
}
