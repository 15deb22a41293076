/* served.c - a thread of the process itself serves its userfaultfd, and is told of its forks,
 * which wait for it: as lazy migration and some monitors of virtual machines do. Status 77:
 * not permitted here. */
#include "common.h"
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static void *serve(void *fd) {
  struct uffd_msg message;
  while (read((int)(intptr_t)fd, &message, sizeof message) > 0)
    continue;
  return NULL;
}

int main(void) {
  const size_t bytes = 1 << 20;
  int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  if (fd < 0) return 77;
  struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_EVENT_FORK};
  if (ioctl(fd, UFFDIO_API, &api) != 0) return 77;
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct uffdio_register range = {.range = {(uintptr_t)p, bytes},
                                  .mode = UFFDIO_REGISTER_MODE_MISSING};
  CHECK(p != MAP_FAILED && ioctl(fd, UFFDIO_REGISTER, &range) == 0);
  pthread_t t;
  CHECK(pthread_create(&t, NULL, serve, (void *)(intptr_t)fd) == 0);
  puts("served");
  return 0;
}
