/* os_clock.c - the kernel's clocks, read where the kernel keeps them: from the page of
 * code (vDSO) that it maps into each process, as libc does. Not by libc's clock_gettime:
 * another preload may stand in front of that one (libfaketime), allocate in it, which we
 * are in the middle of, and tell another time. */
#include "base/os.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>

static int by_system_call(clockid_t clock, struct timespec *t) {
  return (int)os_call(SYS_clock_gettime, clock, t);
}

/* ---- finding it ---------------------------------------------------------------- */

/* What an ELF image says about its symbols; the addresses are those in memory. */
struct image {
  uintptr_t bias;
  const ElfW(Sym) * symbols;
  const char *names;
  const uint32_t *hash, *gnu_hash;
};

static void read_dynamic(struct image *m, const ElfW(Dyn) * d) {
  for (; d->d_tag != DT_NULL; d++) {
    const void *at = (const void *)(m->bias + d->d_un.d_ptr);
    if (d->d_tag == DT_SYMTAB) m->symbols = at;
    if (d->d_tag == DT_STRTAB) m->names = at;
    if (d->d_tag == DT_HASH) m->hash = at;
    if (d->d_tag == DT_GNU_HASH) m->gnu_hash = at;
  }
}

static struct image read_image(const ElfW(Ehdr) * e) {
  struct image m = {0};
  const ElfW(Phdr) *p = (const void *)((uintptr_t)e + e->e_phoff), *end = p + e->e_phnum;
  for (const ElfW(Phdr) *load = p; load < end && !m.bias; load++)
    if (load->p_type == PT_LOAD) m.bias = (uintptr_t)e + load->p_offset - load->p_vaddr;
  for (; p < end; p++)
    if (p->p_type == PT_DYNAMIC) read_dynamic(&m, (const void *)(m.bias + p->p_vaddr));
  return m;
}

/* A GNU table does not say how many symbols there are: the last one is at the end of the
 * chain that begins last. */
static uint32_t count_by_gnu_hash(const uint32_t *h) {
  uint32_t buckets = h[0], first = h[1], words = h[2], last = 0;
  const uint32_t *bucket = h + 4 + words * (sizeof(ElfW(Addr)) / sizeof *h);
  const uint32_t *chain = bucket + buckets;
  for (uint32_t i = 0; i < buckets; i++)
    if (bucket[i] > last) last = bucket[i];
  if (last < first) return first;
  while (!(chain[last - first] & 1))
    last++;
  return last + 1;
}

static uint32_t symbol_count(const struct image *m) {
  if (m->hash) return m->hash[1];
  return m->gnu_hash ? count_by_gnu_hash(m->gnu_hash) : 0;
}

static os_clock_reader *find(void) {
  const ElfW(Ehdr) *e = (const void *)getauxval(AT_SYSINFO_EHDR);
  if (!e) return by_system_call;
  struct image m = read_image(e);
  uint32_t n = m.symbols && m.names ? symbol_count(&m) : 0;
  for (uint32_t i = 0; i < n; i++)
    if (m.symbols[i].st_shndx != SHN_UNDEF &&
        !strcmp(m.names + m.symbols[i].st_name, "__vdso_clock_gettime"))
      return (os_clock_reader *)(m.bias + m.symbols[i].st_value);
  return by_system_call;
}

/* ---- reading it ---------------------------------------------------------------- */

static int find_and_read(clockid_t clock, struct timespec *t) {
  os_clock_reader *found = find();
  __atomic_store_n(&os_clock, found, __ATOMIC_RELAXED);
  return found(clock, t);
}
os_clock_reader *os_clock = find_and_read;

static uint64_t ns(clockid_t clock) {
  struct timespec t = {0};
  os_clock(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Coarse clocks are always read without a system call. */
uint64_t os_monotonic_ns(void) {
  return ns(os_confined() ? CLOCK_MONOTONIC_COARSE : CLOCK_MONOTONIC);
}
uint64_t os_real_ns(void) {
  return ns(CLOCK_REALTIME);
}
uint64_t os_thread_ns(void) {
  return ns(os_confined() ? CLOCK_MONOTONIC_COARSE : CLOCK_THREAD_CPUTIME_ID);
}
uint64_t os_process_ns(void) {
  return ns(os_confined() ? CLOCK_MONOTONIC_COARSE : CLOCK_PROCESS_CPUTIME_ID);
}
