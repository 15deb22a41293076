/* os_file.c - files and directories. */
#include "base/os.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#ifndef EXFAT_SUPER_MAGIC
#define EXFAT_SUPER_MAGIC 0x2011BAB0
#endif

int os_open(const char *path, int flags, unsigned mode) {
  if (os_injected(OS_OP_OPEN)) return -EACCES;
  return (int)os_call(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode);
}

void os_close(int fd) {
  os_call(SYS_close, fd);
}

/* ---- reading and writing ------------------------------------------------------- */

ssize_t os_read_all(int fd, void *buffer, size_t bytes, uint64_t offset) {
  if (os_injected(OS_OP_READ)) return -EIO;
  size_t done = 0;
  while (done < bytes) {
    long n = os_call(SYS_pread64, fd, (char *)buffer + done, bytes - done, offset + done);
    if (n == -EINTR) continue;
    if (n < 0 && done == 0) return n;
    if (n <= 0) break;
    done += (size_t)n;
  }
  return (ssize_t)done;
}

int os_read_at(int fd, void *buffer, size_t bytes, uint64_t offset) {
  if (os_injected(OS_OP_PREAD)) return -EIO;
  for (size_t done = 0; done < bytes;) {
    long n = os_call(SYS_pread64, fd, (char *)buffer + done, bytes - done, offset + done);
    if (n == -EINTR) continue;
    if (n <= 0) return n ? (int)n : -ENODATA;
    done += (size_t)n;
  }
  return 0;
}

ssize_t os_read_part(int fd, void *buffer, size_t bytes, uint64_t offset) {
  if (os_injected(OS_OP_PREAD)) return -EIO;
  return os_call(SYS_pread64, fd, buffer, bytes, offset);
}

int os_write_all(int fd, const void *buffer, size_t bytes, uint64_t offset) {
  if (os_injected(OS_OP_WRITE)) return -EIO;
  for (size_t done = 0; done < bytes;) {
    long n = os_call(SYS_pwrite64, fd, (const char *)buffer + done, bytes - done,
                     offset + done);
    if (n == -EINTR) continue;
    if (n <= 0) return n ? (int)n : -EIO;
    done += (size_t)n;
  }
  return 0;
}

int os_append(int fd, const void *line, size_t bytes) {
  if (os_injected(OS_OP_WRITE)) return -EIO;
  long n = os_call(SYS_write, fd, line, bytes);
  if (n < 0) return (int)n;
  return (size_t)n == bytes ? 0 : -EIO;
}

static ssize_t read_once(int fd, char *buffer, size_t size) {
  if (os_injected(OS_OP_READ)) return -EIO;
  return os_call(SYS_pread64, fd, buffer, size, 0);
}

/* What fits into a page the kernel gives at once.
 *
 * String functions load whole vectors, and what was behind the text before would stay in
 * a register of the program's thread, joined to it. */
ssize_t os_slurp(const char *path, char *buffer, size_t size) {
  enum { VECTOR_BYTES = 64 };
  int fd = os_open(path, O_RDONLY, 0);
  if (fd < 0) return fd;
  ssize_t n = size <= OS_PAGE ? read_once(fd, buffer, size - 1)
                              : os_read_all(fd, buffer, size - 1, 0);
  os_close(fd);
  if (n < 0) return n;
  size_t rest = size - (size_t)n;
  memset(buffer + n, 0, rest < VECTOR_BYTES ? rest : VECTOR_BYTES);
  return n;
}

/* ---- extent -------------------------------------------------------------------- */

/* Beyond RLIMIT_FSIZE the kernel would not just fail but send SIGXFSZ. */
int os_set_length(int fd, uint64_t bytes) {
  if (os_confined() || os_injected(OS_OP_FALLOCATE)) return -ENOSPC;
  if (bytes > os_limit(RLIMIT_FSIZE)) return -EFBIG;
  return (int)os_call(SYS_ftruncate, fd, bytes);
}

int os_set_length_of(const char *path, uint64_t bytes) {
  if (os_confined()) return -EPERM;
  if (bytes > os_limit(RLIMIT_FSIZE)) return -EFBIG;
  return (int)os_call(SYS_truncate, path, bytes);
}

/* Those that write zeros instead of holes. */
static bool fills_holes(long type) {
  enum { HFS_MAGIC = 0x4244, HFSPLUS_MAGIC = 0x482b };
  return type == MSDOS_SUPER_MAGIC || type == EXFAT_SUPER_MAGIC || type == HFS_MAGIC ||
         type == HFSPLUS_MAGIC;
}

int os_room(int fd, struct os_room *room) {
  struct statfs status;
  int error = (int)os_call(SYS_fstatfs, fd, &status);
  if (!error)
    *room = (struct os_room){(uint64_t)status.f_bavail * (uint64_t)status.f_bsize,
                             os_limit(RLIMIT_FSIZE), !fills_holes(status.f_type),
                             status.f_type == BTRFS_SUPER_MAGIC};
  return error;
}

/* ---- names --------------------------------------------------------------------- */

static struct os_file file_of(const struct stat *status) {
  return (struct os_file){status->st_dev, status->st_ino, status->st_uid,
                          S_ISREG(status->st_mode)};
}

int os_identify(int fd, struct os_file *file) {
  struct stat status;
  if (os_injected(OS_OP_STAT)) return -EIO;
  int error = (int)os_call(SYS_fstat, fd, &status);
  if (!error) *file = file_of(&status);
  return error;
}

int os_identify_at(const char *path, struct os_file *file) {
  struct stat status;
  if (os_injected(OS_OP_STAT)) return -EIO;
  int error = (int)os_call(SYS_lstat, path, &status);
  if (!error) *file = file_of(&status);
  return error;
}

int os_open_unnamed(const char *folder, unsigned mode) {
  int fd = os_open(folder, O_RDWR | O_TMPFILE, mode);
  return fd == -EISDIR ? -EOPNOTSUPP : fd; /* old file systems know the directory only */
}

int os_link(int fd, const char *path) {
  char self[64];
  struct text name = TEXT_IN(self);
  text_put(&name, "/proc/self/fd/");
  text_put_number(&name, (unsigned)fd);
  return (int)os_call(SYS_linkat, AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

void os_write_in_place(int fd) {
  int flags;
  if (os_confined() || os_call(SYS_ioctl, fd, FS_IOC_GETFLAGS, &flags)) return;
  flags |= FS_NOCOW_FL;
  os_call(SYS_ioctl, fd, FS_IOC_SETFLAGS, &flags);
}

int os_give(int fd, unsigned user) {
  if (os_confined()) return -EPERM;
  return (int)os_call(SYS_fchown, fd, user, -1);
}

int os_unlink(const char *path) {
  if (os_injected(OS_OP_UNLINK)) return -EACCES;
  return (int)os_call(SYS_unlink, path);
}

int os_rename(const char *from, const char *to) {
  if (os_injected(OS_OP_RENAME)) return -EACCES;
  return (int)os_call(SYS_rename, from, to);
}

/* With the rights that the call to come will have: the effective ones. Kernels before 5.8
 * ask with the real ones. */
int os_access(const char *path, int mode) {
  if (os_confined()) return -EPERM;
  long error = os_call(SYS_faccessat2, AT_FDCWD, path, mode, AT_EACCESS);
  if (error == -ENOSYS) error = os_call(SYS_access, path, mode);
  return (int)error;
}

ssize_t os_link_target(const char *path, char *target, size_t size) {
  if (os_injected(OS_OP_LINK)) return -EACCES;
  return os_call(SYS_readlink, path, target, size);
}

/* The kernel says "(unreachable)/..." of a directory outside of the root. */
int os_directory(char *path, size_t size) {
  if (os_injected(OS_OP_LINK)) return -EACCES;
  long n = os_call(SYS_getcwd, path, size);
  if (n < 0) return (int)n;
  return path[0] == '/' ? 0 : -ENOENT;
}

ssize_t os_list(int fd, void *entries, size_t bytes) {
  if (os_injected(OS_OP_READ)) return -EIO;
  return os_call(SYS_getdents64, fd, entries, bytes);
}

bool os_is_terminal(int fd) {
  struct winsize window;
  return !os_confined() && os_call(SYS_ioctl, fd, TIOCGWINSZ, &window) == 0;
}

int os_ioctl(int fd, unsigned long request, void *argument) {
  if (os_injected(OS_OP_IOCTL)) return -ENOTTY;
  return (int)os_call(SYS_ioctl, fd, request, argument);
}

/* Each is a folder there. */
unsigned os_threads(void) {
  struct stat status;
  if (os_confined()) return 0;
  long error = os_call(SYS_stat, "/proc/self/task", &status);
  return error || status.st_nlink < 2 ? 0 : (unsigned)status.st_nlink - 2;
}
