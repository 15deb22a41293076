/* os_file.c - files and directories. */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

int os_open(const char *path, int flags, unsigned mode) {
  if (os_injected(OS_OP_OPEN)) return -EACCES;
  return (int)os_call(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode);
}

void os_close(int fd) {
  os_call(SYS_close, fd);
}

/* ---- reading and writing ------------------------------------------------------- */

ssize_t os_read_all(int fd, void *buffer, size_t bytes) {
  if (os_injected(OS_OP_READ)) return -EIO;
  size_t done = 0;
  while (done < bytes) {
    long n = os_call(SYS_read, fd, (char *)buffer + done, bytes - done);
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

ssize_t os_slurp(const char *path, char *buffer, size_t size) {
  int fd = os_open(path, O_RDONLY, 0);
  if (fd < 0) return fd;
  ssize_t n = os_read_all(fd, buffer, size - 1);
  os_close(fd);
  if (n >= 0) buffer[n] = 0;
  return n;
}

/* ---- extent -------------------------------------------------------------------- */

/* Beyond RLIMIT_FSIZE the kernel would not just fail but send SIGXFSZ. */
static bool beyond_file_limit(uint64_t end) {
  struct rlimit limit;
  return os_call(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit) == 0 &&
         end > limit.rlim_cur;
}

int os_allocate(int fd, uint64_t offset, uint64_t bytes) {
  if (os_injected(OS_OP_FALLOCATE)) return -ENOSPC;
  if (beyond_file_limit(offset + bytes)) return -EFBIG;
  return (int)os_call(SYS_fallocate, fd, 0, offset, bytes);
}

/* ---- names --------------------------------------------------------------------- */

int os_identify(int fd, struct os_file *file) {
  struct stat status;
  if (os_injected(OS_OP_STAT)) return -EIO;
  int error = (int)os_call(SYS_fstat, fd, &status);
  if (!error) *file = (struct os_file){status.st_dev, status.st_ino};
  return error;
}

int os_unlink(const char *path) {
  if (os_injected(OS_OP_UNLINK)) return -EACCES;
  return (int)os_call(SYS_unlink, path);
}

int os_rename(const char *from, const char *to) {
  if (os_injected(OS_OP_RENAME)) return -EACCES;
  return (int)os_call(SYS_rename, from, to);
}

int os_access(const char *path, int mode) {
  if (os_confined()) return -EPERM;
  return (int)os_call(SYS_access, path, mode);
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

int os_ioctl(int fd, unsigned long request, void *argument) {
  return (int)os_call(SYS_ioctl, fd, request, argument);
}
