#include "process/file.h"

#include "account/mapping.h"
#include "base/os.h"
#include "base/say.h"
#include "base/text.h"
#include "process/settings.h"
#include "recording/recording.h"
#include "recording/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { NAME_TRIES = 1000 };

/* Nobody named a main process and the file was ours to create. */
static bool main_by_default;

bool file_is_main(void) {
  return settings.main_pid ? settings.main_pid == recording->pid : main_by_default;
}

bool file_name(char to[PATH_MAX], const char *path, const char *suffix) {
  struct text name = text_in(to, PATH_MAX);
  text_put(&name, path);
  text_put(&name, suffix);
  return !name.cut;
}

/* path, mark and number, and what else comes behind; false when there is no room. */
static bool name_numbered(char to[PATH_MAX], const char *path, const char *mark,
                          unsigned number, const char *end) {
  struct text name = text_in(to, PATH_MAX);
  text_put(&name, path);
  text_put(&name, mark);
  text_put_number(&name, number);
  text_put(&name, end);
  return !name.cut;
}

/* Does the file, which has our name, hold a recording of this process, from before an
 * exec? `ullage run` has made way for its own: what cannot be read is of another user
 * that we were. */
static bool is_ours(const char *path) {
  struct ul_header header = {0};
  int fd = os_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
  if (fd < 0) return fd == -EACCES && settings.main_pid;
  ssize_t n = os_read_all(fd, &header, sizeof header, 0);
  os_close(fd);
  bool ours = n == sizeof header &&
              !memcmp(header.magic, UL_MAGIC, sizeof header.magic) &&
              header.pid == recording->pid && header.pid_start == recording->pid_start;
  if (ours) recording->programs_before = header.programs_before + 1;
  return ours;
}

/* The first of path.1, path.2, ... that is not there. */
static bool free_name(const char *path, unsigned most, char *result) {
  for (unsigned i = 1; i <= most; i++) {
    if (!name_numbered(result, path, ".", i, "")) return false;
    if (os_access(result, F_OK) != 0) return true;
  }
  return false;
}

static int open_at(const char *path) {
  int error = recording_open(path, settings.mode);
  if (error != -EEXIST || !is_ours(path)) return error;
  /* A program that executes itself again and again leaves no more than children may. */
  char earlier[PATH_MAX];
  error = free_name(path, settings.children_max, earlier) ? os_rename(path, earlier)
                                                          : os_unlink(path);
  return error ? -EEXIST : recording_open(path, settings.mode);
}

static int open_as_child(void) {
  char path[PATH_MAX], other[PATH_MAX];
  if (!name_numbered(path, settings.file, ".", (unsigned)recording->pid, ""))
    return -ENAMETOOLONG;
  int error = open_at(path);
  if (error == -EEXIST && free_name(path, NAME_TRIES, other))
    error = recording_open(other, settings.mode);
  return error;
}

/* ---- the tree of processes ----------------------------------------------------- */

/* Is ullage loaded there? */
static bool parent_is_recorded(void) {
  char path[64];
  struct text name = TEXT_IN(path);
  text_put(&name, "/proc/");
  text_put_number(&name, (unsigned)os_parent());
  text_put(&name, "/maps");
  size_t bytes, mapped;
  char *text = mapping_text(path, &bytes, &mapped);
  if (!text) return false;
  bool found = memmem(text, bytes, "/libullage.so", strlen("/libullage.so"));
  os_unmap(text, mapped, OS_TOOL);
  return found;
}

/* One process alone leaves nothing but its recording. */
static void join_beside(void) {
  if (!tree_join_beside(settings.tree) && parent_is_recorded())
    tree_found_beside(settings.tree, settings.mode);
}

static bool join_at(const char *path) {
  if (tree_is_at(path)) return true;
  return tree_join(path, settings.main_pid ? settings.main_pid : tree ? tree->pid : 0);
}

/* FILE may belong to a later run by now: ours is called FILE.old, FILE.old-2, ... then,
 * and that is where our recording goes. */
void file_find_main(void) {
  char old[PATH_MAX];
  if (*settings.tree || recording_in_file()) return;
  strcpy(old, settings.file);
  bool joined = join_at(old);
  for (unsigned i = 1; !joined && i < NAME_TRIES; i++) {
    bool named = i == 1 ? file_name(old, settings.file, ".old")
                        : name_numbered(old, settings.file, ".old-", i, "");
    if (!named || os_access(old, F_OK) != 0) return;
    joined = join_at(old);
  }
  if (joined) strcpy(settings.file, old);
}

/* ---- heirs --------------------------------------------------------------------- */

/* An init becomes the user of a server, and then the server: one process, whose second
 * program has no right to the folder any more. */
static bool heir_name(char heir[PATH_MAX], int pid) {
  return name_numbered(heir, settings.file, ".", (unsigned)pid, ".heir");
}

/* What was made for whoever comes next, program or forked child: a daemon forks after it
 * has become its user, and its parent ends. */
static char offered[PATH_MAX];

void file_make_heir(unsigned user) {
  char heir[PATH_MAX];
  if (!settings.main_pid || !heir_name(heir, recording->pid)) return;
  int fd = os_open(heir, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, settings.mode);
  if (fd < 0) return;
  if (os_give(fd, user))
    os_unlink(heir);
  else
    strcpy(offered, heir);
  os_close(fd);
}

/* It is not empty any more: `ullage run` removes what nobody took. */
void file_will_fork(void) {
  if (*offered && os_set_length_of(offered, OS_PAGE)) *offered = 0;
}

bool file_is_heir(void) {
  return *offered;
}

/* What is written after each fork, the kernel copies a page for. */
void file_has_forked(void) {
  if (*offered) *offered = 0;
}

static bool is_empty(const char *path) {
  char byte[2];
  return os_slurp(path, byte, sizeof byte) == 0;
}

/* Empty, or of an earlier program of ours, which is given up. */
static int open_as_heir(void) {
  char heir[PATH_MAX];
  if (*offered) return recording_inherit(offered);
  if (!heir_name(heir, recording->pid)) return -ENAMETOOLONG;
  return is_empty(heir) || is_ours(heir) ? recording_inherit(heir) : -EACCES;
}

static int open_anywhere(bool may_be_main) {
  int error = may_be_main ? open_at(settings.file) : -EEXIST;
  main_by_default = error == 0;
  if (error == -EEXIST) {
    file_find_main();
    error = tree_full() ? -EDQUOT : open_as_child();
  }
  return error == -EACCES ? open_as_heir() : error;
}

int file_open(void) {
  bool may_be_main =
      settings.main_pid ? settings.main_pid == recording->pid : !recording->forked;
  recording_identify_process();
  tree_wish(settings.disk);
  if (*settings.tree && !tree) join_beside();
  int error = open_anywhere(may_be_main);
  if (error == 0 && file_is_main() && !*settings.tree)
    tree_found(recording, recording_identity());
  return error;
}

/* ---- when there is none -------------------------------------------------------- */

/* What is so for our parent as well, it has said. */
bool file_speaks_for_all(void) {
  if (settings.main_pid) return settings.main_pid == os_pid();
  return !(recording && recording->forked) && !parent_is_recorded();
}

static const char bound[] =
    "the recordings beside %s have all the room that they may have "
    "(ULLAGE_DISK): %s";

void file_failed(int error) {
  static bool said;
  tree_count_unrecorded();
  if (error == -EDQUOT && tree_full())
    say_once(&said, bound, settings.file, "the program runs unrecorded");
  else
    say_once(&said, "cannot write the recording %s: %s; the program runs unrecorded",
             settings.file, strerrordesc_np(-error));
}

void file_say_bound(void) {
  static bool said;
  if (settings.main_pid) return;
  if (*settings.tree && !tree) tree_join_beside(settings.tree);
  if (tree_full())
    say_once(&said, bound, settings.file, "what came after that is not in them");
}
