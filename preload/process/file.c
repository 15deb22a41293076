#include "process/file.h"

#include "base/os.h"
#include "base/text.h"
#include "process/settings.h"
#include "recording/recording.h"

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

bool file_name_append(char *to, const char *s) {
  if (strlen(to) + strlen(s) >= PATH_MAX) return false;
  strcat(to, s);
  return true;
}

static bool append_number(char *to, unsigned value) {
  char digits[TEXT_DIGITS];
  return file_name_append(to, ".") && file_name_append(to, text_number(digits, value));
}

/* Does the file hold a recording of this process, from before an exec? */
static bool is_ours(const char *path) {
  struct ul_header header;
  int fd = os_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
  if (fd < 0) return false;
  ssize_t n = os_read_all(fd, &header, sizeof header);
  os_close(fd);
  return n == sizeof header && !memcmp(header.magic, UL_MAGIC, sizeof header.magic) &&
         header.pid == recording->pid && header.pid_start == recording->pid_start;
}

/* The first of path.1, path.2, ... that is not there. */
static bool free_name(const char *path, char *result) {
  for (unsigned i = 1; i < NAME_TRIES; i++) {
    strcpy(result, path);
    if (!append_number(result, i)) return false;
    if (os_access(result, F_OK) != 0) return true;
  }
  return false;
}

static int open_at(const char *path) {
  int error = recording_open(path);
  if (error != -EEXIST || !is_ours(path)) return error;
  char earlier[PATH_MAX];
  if (!free_name(path, earlier) || os_rename(path, earlier) != 0) return -EEXIST;
  return recording_open(path);
}

static int open_as_child(void) {
  char path[PATH_MAX], other[PATH_MAX];
  strcpy(path, settings.file);
  if (!append_number(path, (unsigned)recording->pid)) return -ENAMETOOLONG;
  int error = open_at(path);
  if (error == -EEXIST && free_name(path, other)) error = recording_open(other);
  return error;
}

int file_open(void) {
  int error = -EEXIST;
  bool may_be_main =
      settings.main_pid ? settings.main_pid == recording->pid : !recording->forked;
  if (may_be_main) error = open_at(settings.file);
  main_by_default = error == 0;
  if (error == -EEXIST) error = open_as_child();
  return error;
}
