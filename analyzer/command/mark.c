/* mark.c - see mark.h.
 *
 * A process that allocates makes its mark itself: a snapshot, exact, and small. It is
 * asked by a word in the header of its recording, at which it looks while it allocates
 * (ul_ask). One that does not allocate does not see it, and need not: what its ledger
 * says does not change. Then the word is taken back, so that the process cannot answer
 * any more, and the recording is copied, to FILE@NAME. If it turns out that the process
 * has woken up meanwhile, it is asked again.
 *
 * Nothing is sent to the process, nor stopped. Who marks holds a lock on the file, which
 * the process does not look at. */
#include "command/mark.h"

#include "command/copy.h"
#include "command/earlier.h"
#include "command/usage.h"
#include "format.h"
#include "read/maps.h"
#include "read/original.h"
#include "read/recording.h"
#include "show/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 5, ANSWER_MS = 500, MADE_MS = 10000, TRIES = 3 };

enum { PATH_BYTES = MARK_PATH_BYTES, COPY_BYTES = PATH_BYTES + 1 + UL_MARK_BYTES };

struct marking {
  char path[PATH_BYTES]; /* of the recording */
  const char *name;
  int fd;
  struct ul_header *header; /* mapped */
  const char *pid;          /* of a process that was named; NULL: the file was */
};

/* ---- the recording of a process -------------------------------------------------- */

bool mark_is_process(const char *word) {
  size_t n = strspn(word, "0123456789");
  return n && n < 10 && !word[n];
}

/* The recording of that number in the directory of the mapping `path`: it was made there
 * without a name first, so the mapping does not know its name. */
static bool find_in(const char *root, const char *path, uint64_t inode, char *name) {
  char directory[PATH_BYTES];
  const char *slash = strrchr(path, '/');
  struct dirent *entry;
  struct stat st;
  bool found = false;
  if (!slash) return false;
  snprintf(directory, sizeof directory, "%s%.*s", root, (int)(slash - path + 1), path);
  DIR *d = opendir(directory);
  while (d && !found && (entry = readdir(d))) {
    if (entry->d_ino != inode) continue;
    int n = snprintf(name, PATH_BYTES, "%s%s", directory, entry->d_name);
    found = n < PATH_BYTES && stat(name, &st) == 0 && st.st_ino == inode &&
            earlier_is_recording(name);
  }
  if (d) closedir(d);
  return found;
}

/* Where we see it, or else where the process does. */
static bool name_mapped(const char *pid, const char *path, uint64_t inode, char *name) {
  char root[64];
  snprintf(root, sizeof root, "/proc/%s/root", pid);
  return find_in("", path, inode, name) || find_in(root, path, inode, name);
}

struct search {
  const char *pid;
  char *name;
  bool preloaded, found;
};

static bool find(void *to, const struct maps_line *line) {
  struct search *s = to;
  s->preloaded = s->preloaded || strstr(line->path, "/libullage.so");
  s->found =
      line->access[3] == 's' && name_mapped(s->pid, line->path, line->inode, s->name);
  return s->found;
}

/* The file that it has mapped to write into, and that is a recording. */
int mark_find(const char *pid, char name[PATH_BYTES]) {
  struct search s = {.pid = pid, .name = name};
  int error = maps_each(pid, find, &s);
  if (s.found) return EXIT_FINE;
  if (error == ENOENT) return say_failed("there is no process %s", pid);
  if (error) return say_failed("process %s: %s", pid, strerror(error));
  if (s.preloaded)
    return say_failed("process %s has no recording yet (a forked one makes it when it "
                      "allocates), or its file was removed or renamed; give the FILE",
                      pid);
  return say_failed("process %s does not run under ullage; start it with 'ullage run', "
                    "or as 'ullage env' says",
                    pid);
}

/* ---- asking ---------------------------------------------------------------------- */

/* A process of another namespace has another number in its recording. */
static bool runs(const struct marking *m) {
  char name[64];
  if (!m->pid) return recording_header_runs(m->header);
  snprintf(name, sizeof name, "/proc/%s", m->pid);
  return m->header->state == UL_STATE_RUNNING && access(name, F_OK) == 0;
}

static uint32_t state_of(struct marking *m) {
  return __atomic_load_n(&m->header->ask.state, __ATOMIC_ACQUIRE);
}

/* What was answered; else nothing, and what was asked is taken back: it has not been
 * taken up, or the process has stopped to allocate while it was at it. */
static enum ul_ask_state ask(struct marking *m) {
  struct ul_ask *a = &m->header->ask;
  memset(a->mark, 0, sizeof a->mark);
  memcpy(a->mark, m->name, strlen(m->name));
  __atomic_store_n(&a->state, UL_ASK_WANTED, __ATOMIC_RELEASE);
  for (int ms = 0; ms < MADE_MS && runs(m); ms += LOOK_MS) {
    uint32_t state = state_of(m);
    if (state == UL_ASK_DONE || state == UL_ASK_REFUSED) return state;
    if (ms >= ANSWER_MS && state == UL_ASK_WANTED) break;
    nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000}, NULL);
  }
  uint32_t is = state_of(m);
  while (is == UL_ASK_WANTED || is == UL_ASK_TAKEN)
    if (__atomic_compare_exchange_n(&a->state, &is, UL_ASK_NONE, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
      return UL_ASK_NONE;
  return is;
}

static int say_ended(const struct marking *m) {
  return say_failed("%s: its process does not run any more; compare the recording itself "
                    "('ullage diff'), or a moment of it (%s@12s)",
                    m->path, m->path);
}

static const char *copy_name(const struct marking *m) {
  static char name[COPY_BYTES];
  snprintf(name, sizeof name, "%s@%s", m->path, m->name);
  return name;
}

/* The name is that of the new mark alone. */
static int say_made(const struct marking *m) {
  if (earlier_is_recording(copy_name(m))) unlink(copy_name(m));
  say("marked: see 'ullage diff %s@%s %s'", m->path, m->name, m->path);
  return EXIT_FINE;
}

static int say_copied(const char *copy, bool quiet) {
  struct stat st;
  uint64_t bytes = stat(copy, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
  say("%s: its recording is copied to %s (%s)",
      quiet ? "the process allocates nothing"
            : "the process does not answer, and goes on meanwhile",
      copy, text_size((&(struct view_options){0}), bytes));
  return EXIT_FINE;
}

static int copy(struct marking *m, bool *quiet) {
  char error[256];
  const char *to = copy_name(m);
  if (copy_recording(m->fd, m->header, to, quiet, error, sizeof error)) return EXIT_FINE;
  return say_failed("%s: %s", to, error);
}

static int mark(struct marking *m) {
  bool quiet = false;
  for (int i = 0; i < TRIES && !quiet; i++) {
    enum ul_ask_state answer = ask(m);
    if (answer == UL_ASK_DONE) return say_made(m);
    if (!runs(m)) return say_ended(m);
    if (answer == UL_ASK_REFUSED)
      return say_failed("%s: the process has made %u marks, or has no room; use a name "
                        "again",
                        m->path, UL_MARKS);
    if (copy(m, &quiet) != EXIT_FINE) return EXIT_FAILED;
  }
  return say_copied(copy_name(m), quiet);
}

/* ---- the file -------------------------------------------------------------------- */

/* Where the word is, the file may have no room yet. */
static bool make_room(int fd) {
  off_t from = offsetof(struct ul_header, ask) & ~(off_t)4095;
  int error = posix_fallocate(fd, from, (off_t)sizeof(struct ul_header) - from);
  errno = error;
  return error == 0;
}

static bool is_ours(const struct ul_header *h) {
  return memcmp(h->magic, UL_MAGIC, sizeof h->magic) == 0 && h->version == UL_VERSION &&
         h->header_bytes == UL_HEADER_BYTES;
}

static int open_header(struct marking *m) {
  struct stat st;
  m->fd = open(m->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (m->fd < 0 && (errno == ENOENT || errno == ENOTDIR))
    return say_failed("%s: no such file (a process is named by its id, or by its "
                      "recording)",
                      m->path);
  if (m->fd < 0 && errno == EISDIR)
    return say_failed("%s: is a directory, not a recording", m->path);
  if (m->fd < 0 || fstat(m->fd, &st) != 0)
    return say_failed("%s: %s", m->path, strerror(errno));
  if (!S_ISREG(st.st_mode) || st.st_size < UL_HEADER_BYTES)
    return say_failed("%s: not a recording of a running process", m->path);
  m->header = mmap(NULL, UL_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
  if (m->header == MAP_FAILED) return say_failed("%s: %s", m->path, strerror(errno));
  if (!is_ours(m->header))
    return say_failed("%s: not a recording, or of another version of ullage", m->path);
  return EXIT_FINE;
}

static int mark_file(struct marking *m) {
  int status = open_header(m);
  if (status != EXIT_FINE) return status;
  if (!runs(m)) return say_ended(m);
  if (original_is_another(m->header, m->fd))
    return say_failed("%s: a copy, which its process does not write to; mark process %d",
                      m->path, (int)m->header->pid);
  if (m->header->stop)
    return say_failed(
        "%s: the recording has stopped before its process, and says nothing "
        "of now; see 'ullage report'",
        m->path);
  if (flock(m->fd, LOCK_EX) != 0 || !make_room(m->fd))
    return say_failed("%s: %s", m->path, strerror(errno));
  return mark(m);
}

/* ---- the verb -------------------------------------------------------------------- */

int mark_main(int argc, char *argv[]) {
  struct marking m = {.fd = -1};
  if (argc > 1 && argv[1][0] == '-' && argv[1][1])
    return say_usage("mark", "unknown option %s", argv[1]);
  if (argc != 3) return say_usage("mark", "a process or recording, and a name expected");
  m.name = argv[2];
  if (!ul_mark_is_name(m.name))
    return say_usage("mark", "%s: a name of at most %u bytes, without / and @, expected",
                     m.name, UL_MARK_BYTES - 1);
  if (mark_is_process(argv[1])) {
    int status = mark_find(m.pid = argv[1], m.path);
    return status == EXIT_FINE ? mark_file(&m) : status;
  }
  if (strlen(argv[1]) >= sizeof m.path) return say_failed("%s: too long", argv[1]);
  snprintf(m.path, sizeof m.path, "%s", argv[1]);
  return mark_file(&m);
}
