/* made.c - a function that is made while the program runs, as compilers of scripts do it,
 * loses N blocks of 1 KiB through one of ours: made N [NAME]; NAME is what is told of it in
 * /tmp/perf-PID.map, as perf reads it. */
#include "common.h"

#include <sys/mman.h>

static volatile uintptr_t sink;

NOINLINE static void lose_for_script(void) {
  char *p = malloc(1024);
  memset(p, 1, 1024);
  sink += (uintptr_t)p >> 60;
}

/* push rbp; mov rbp, rsp; mov rax, f; call rax; pop rbp; ret */
static size_t make(unsigned char *code, void (*f)(void)) {
  static const unsigned char before[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8};
  static const unsigned char after[] = {0xff, 0xd0, 0x5d, 0xc3};
  memcpy(code, before, sizeof before);
  memcpy(code + sizeof before, &f, sizeof f);
  memcpy(code + sizeof before + sizeof f, after, sizeof after);
  return sizeof before + sizeof f + sizeof after;
}

static void tell(const unsigned char *code, size_t bytes, const char *name) {
  char path[64], line[512];
  snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
  int n = snprintf(line, sizeof line, "%lx %zx %s\n", (unsigned long)code, bytes, name);
  FILE *map = fopen(path, "w");
  CHECK(map && fwrite(line, 1, (size_t)n, map) == (size_t)n && fclose(map) == 0);
}

int main(int argc, char **argv) {
  unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(argc > 1 && code != MAP_FAILED);
  size_t bytes = make(code, lose_for_script);
  if (argc > 2) tell(code, bytes, argv[2]);
  void (*made)(void);
  memcpy(&made, &code, sizeof made);
  for (int i = atoi(argv[1]); i > 0; i--)
    made();
  scrub_stack();
  return 0;
}
