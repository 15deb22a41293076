/* descriptors.c - descriptors are the program's own.
 *   list     prints the open descriptors
 *   reuse    closes all but 0-2, opens files under the same numbers, allocates, checks
 *   many     uses up all descriptors, allocates, forks */
#include "common.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void allocate_much(void) {
  void *held[2000];
  for (int i = 0; i < 2000; i++)
    held[i] = malloc(10 + 37 * (i % 300));
  free(keep(malloc(3 << 20)));
  for (int i = 0; i < 2000; i++)
    free(held[i]);
}

static void list(void) {
  DIR *d = opendir("/proc/self/fd");
  CHECK(d);
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_name[0] != '.') printf("%s\n", e->d_name);
  closedir(d);
}

static void reuse(void) {
  char path[] = "/tmp/ullage-descriptors-XXXXXX";
  for (int fd = 3; fd < 1024; fd++)
    close(fd);
  int first = mkstemp(path);
  CHECK(first == 3);
  for (int fd = 4; fd < 40; fd++)
    CHECK(open(path, O_RDWR) == fd);
  for (int i = 0; i < 50; i++)
    allocate_much();
  struct stat at_start, now;
  CHECK(fstat(first, &at_start) == 0);
  for (int fd = 4; fd < 40; fd++) {
    CHECK(fstat(fd, &now) == 0);
    CHECK(now.st_ino == at_start.st_ino && now.st_dev == at_start.st_dev);
    CHECK(lseek(fd, 0, SEEK_CUR) == 0);
  }
  CHECK(at_start.st_size == 0);
  CHECK(open(path, O_RDWR) == 40);
  unlink(path);
  puts("descriptors kept");
}

static void many(void) {
  struct rlimit limit = {64, 64};
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  while (open("/dev/null", O_RDWR) >= 0)
    continue;
  CHECK(errno == EMFILE);
  for (int i = 0; i < 50; i++)
    allocate_much();
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    allocate_much();
    _exit(0);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  puts("no descriptor left");
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  allocate_much();
  if (!strcmp(mode, "list")) list();
  else if (!strcmp(mode, "reuse")) reuse();
  else if (!strcmp(mode, "many")) many();
  else return 2;
  return 0;
}
