/* roots.c - the pieces of memory from which the scan starts.
 *
 * Which mappings: readable ones that the program could have put a pointer in. A page
 * that was never touched, or that still is the page of its file (private mappings),
 * holds none: pagemap tells, so that a reservation of terabytes costs nothing. For
 * private memory it must be the copy's own: the original's threads run on, and end, and
 * give their stacks back. But shared mappings are empty in a copied process until
 * touched there, so for them it is the original's, opened before the copy.
 *
 * What is left out: what is ours, and the dead parts of stacks (stacks.c).
 *
 * Limits: before Linux 6.7 sparse mappings cost 1.4 ms for each gigabyte; memory with
 * MADV_DONTFORK is not in the copy and not scanned; a page of a shared mapping that is
 * swapped out, or that the original unmaps meanwhile, is taken for untouched. */
#include "reach/roots.h"

#include "base/os.h"
#include "reach/census.h"
#include "reach/scratch.h"
#include "reach/stacks.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>

enum { BATCH = 512 };
#define PAGE_OF_FILE (UINT64_C(1) << 61)
#define WHOLE_MAX (UINT64_C(1) << 30) /* without pagemap: scan up to this unasked */

struct scan {
  roots_scan *scan;
  void *by;
};

static void scan_words(const struct scan *to, uintptr_t start, uintptr_t end) {
  to->scan(to->by, start, end);
}

SCAN_STATE static struct region *regions; /* by address */
SCAN_STATE static size_t region_count;
SCAN_STATE static struct range_list ours, holes; /* and the dead parts of stacks */
SCAN_STATE static uintptr_t loader_start, loader_end;

/* ---- the map ------------------------------------------------------------------- */

static bool is_loader(const struct mapped *m) {
  static const char name[] = "ld-linux-x86-64.so";
  uintptr_t base = getauxval(AT_BASE);
  if (base) return m->start <= base && base < m->end;
  return m->inode && memmem(m->name, m->name_bytes, name, sizeof name - 1);
}

static void note_loader(const struct mapped *m) {
  SCAN_STATE static uint64_t device, inode;
  if (!loader_start && is_loader(m)) {
    device = m->device;
    inode = m->inode;
    loader_start = m->start;
  }
  if (loader_start && m->inode == inode && m->device == device) loader_end = m->end;
}

static void add_region(const struct mapped *m) {
  bool device = mapping_is_device(m); /* reading it may block, fail or have effects */
  note_loader(m);
  regions[region_count++] = (struct region){.start = m->start,
                                            .end = m->end,
                                            .read = m->read && !device,
                                            .write = m->write,
                                            .execute = m->execute,
                                            .shared = m->shared,
                                            .file = m->inode != 0,
                                            .stack = mapping_begins(m, "[stack]")};
}

static bool is_ours(uintptr_t address) {
  size_t i = 0;
  while (i < ours.count && ours.ranges[i].end <= address)
    i++;
  return i < ours.count && ours.ranges[i].start <= address;
}

/* What is shared may be a file, or any driver's. (Of what cannot be written nothing is
 * read: is_root.) */
static bool may_be_device(const struct mapped *m) {
  return m->shared && m->read && m->write && m->inode && !is_ours(m->start) &&
         !mapping_begins(m, "/memfd:") && !mapping_begins(m, "/SYSV") &&
         !mapping_begins(m, "/dev/");
}

static void leave_out(uintptr_t start) {
  for (size_t i = 0; i < region_count; i++)
    if (regions[i].start == start) regions[i].read = false;
}

/* By what the kernel says of it. */
static void leave_out_devices(void) {
  size_t bytes = 0, mapped_bytes;
  const char *text = mapping_text("/proc/thread-self/smaps", &bytes, &mapped_bytes);
  const char *end = text + bytes;
  struct mapped m = {0};
  while (text && text < end) {
    const char *line = text;
    struct mapped next;
    if (mapping_line(&text, end, &next))
      m = next;
    else if (mapping_of_device(line, text) && may_be_device(&m))
      leave_out(m.start);
  }
}

static size_t count_lines(const char *text, const char *end) {
  size_t n = 0;
  for (; text < end; n++) {
    text = memchr(text, '\n', (size_t)(end - text));
    if (!text++) return n + 1;
  }
  return n;
}

static int why_unread(const char *path) {
  int fd = os_open(path, O_RDONLY, 0);
  if (fd < 0) return -fd;
  os_close(fd);
  return EIO;
}

/* The text stays mapped: it is in the map it shows. */
int roots_load(const struct range *also, bool still) {
  static const char maps[] = "/proc/thread-self/maps";
  struct kept_text kept = still ? mapping_kept() : (struct kept_text){0};
  size_t bytes = kept.bytes, mapped_bytes;
  const char *text = kept.text ? kept.text : mapping_text(maps, &bytes, &mapped_bytes);
  if (!text || bytes == 0) return why_unread(maps);
  const char *end = text + bytes;
  size_t need = count_lines(text, end) * sizeof *regions;
  regions = os_map(os_whole_pages(need), OS_PAGE, OS_TOOL);
  if (!regions || !mapping_ours(&ours)) return ENOMEM;
  if (kept.text &&
      !mapping_ours_add(&ours, (uintptr_t)text, (uintptr_t)text + kept.mapped_bytes))
    return ENOMEM;
  for (; also->start; also++)
    if (!mapping_ours_add(&ours, also->start, also->end)) return ENOMEM;
  region_count = 0;
  loader_start = loader_end = 0;
  struct mapped m;
  bool ask = false;
  while (text < end)
    if (mapping_line(&text, end, &m)) {
      add_region(&m);
      ask = ask || may_be_device(&m);
    }
  if (ask) leave_out_devices();
  return region_count ? 0 : EIO;
}

static struct region *region_around(uintptr_t address) {
  size_t low = 0, high = region_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (regions[middle].end <= address)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == region_count || regions[low].start > address) return NULL;
  return &regions[low];
}

const struct region *roots_region(uintptr_t address) {
  return region_around(address);
}

uintptr_t roots_unread(uintptr_t page) {
  struct region *r = region_around(page);
  if (!r || r->read) return 0;
  uintptr_t end = r->zeros > page ? r->zeros : r->end;
  r->zeros = page;
  return end;
}

const struct region *roots_main_stack(void) {
  for (size_t i = 0; i < region_count; i++)
    if (regions[i].stack) return &regions[i];
  return NULL;
}

bool roots_in_loader(uintptr_t address) {
  return loader_start <= address && address < loader_end;
}

/* ---- pages --------------------------------------------------------------------- */

/* May the program have stored something in a page of this kind of mapping? */
static bool worth_a_look(const struct region *r, uint64_t bits) {
  if (!(bits & (PAGE_PRESENT | PAGE_SWAPPED))) return false;
  return r->shared || !(bits & PAGE_OF_FILE);
}

static uintptr_t page_end(uintptr_t address, uintptr_t end) {
  uintptr_t next = os_page_of(address) + OS_PAGE;
  return next < end ? next : end;
}

/* Scans runs of touched pages of [start, end), at most BATCH pages of them. */
static void scan_batch(const struct region *r, const uint64_t *bits, uintptr_t start,
                       uintptr_t end, const struct scan *to) {
  uintptr_t run = start, at = start;
  for (size_t i = 0; at < end; i++, at = page_end(at, end)) {
    if (worth_a_look(r, bits[i])) continue;
    if (run < at) scan_words(to, run, at);
    run = page_end(at, end);
  }
  if (run < end) scan_words(to, run, end);
}

static void scan_touched(const struct region *r, uintptr_t start, uintptr_t end,
                         int pagemap, const struct scan *to) {
  uint64_t bits[BATCH];
  while (start < end) {
    uintptr_t base = os_page_of(start);
    uintptr_t stop = end - base > BATCH * OS_PAGE ? base + BATCH * OS_PAGE : end;
    size_t pages = os_whole_pages(stop - base) / OS_PAGE;
    if (mapping_pages(pagemap, base, pages, bits))
      scan_batch(r, bits, start, stop, to);
    else
      scan_words(to, start, stop);
    start = stop;
  }
}

enum { RUNS = 128 };
SCAN_STATE static _Atomic bool refused; /* the kernel does not know the request */

/* How far it got. */
static uintptr_t scan_sparse(const struct region *r, uintptr_t start, uintptr_t end,
                             int pagemap, const struct scan *to) {
  struct page_run runs[RUNS];
  while (start < end && !refused) {
    uintptr_t at = start;
    int n = mapping_runs(pagemap, &at, end, RUN_PRESENT | RUN_SWAPPED,
                         RUN_PRESENT | RUN_SWAPPED | RUN_FILE, runs, RUNS);
    refused = n < 0;
    if (n < 0 || at == start) break;
    for (int i = 0; i < n; i++) {
      if (runs[i].is & RUN_FILE && !r->shared) continue;
      uintptr_t from = runs[i].start > start ? runs[i].start : start;
      scan_words(to, from, runs[i].end < end ? runs[i].end : end);
    }
    start = at;
  }
  return start;
}

static void scan_piece(const struct region *r, uintptr_t start, uintptr_t end,
                       int pagemap, const struct scan *to) {
  if (pagemap < 0 && end - start <= WHOLE_MAX) return scan_words(to, start, end);
  start = scan_sparse(r, start, end, pagemap, to);
  scan_touched(r, start, end, pagemap, to);
}

void roots_touched(uintptr_t start, uintptr_t end, struct pagemaps pagemaps,
                   roots_scan *scan, void *by) {
  static const struct region plain = {.read = true, .write = true};
  const struct scan to = {scan, by};
  scan_piece(&plain, start, end, pagemaps.copy, &to);
}

/* Program code and constants are files nobody has written to: without pagemap there is no
 * telling, and they would be most of what is scanned. */
static bool is_root(const struct region *r, int pagemap) {
  if (!r->read) return false;
  return r->write || (!r->shared && (!r->file || pagemap >= 0));
}

/* What is left of the region without the holes. */
static void scan_region(const struct region *r, size_t first, int pagemap,
                        const struct scan *to) {
  uintptr_t start = r->start;
  for (size_t i = first; i < holes.count && holes.ranges[i].start < r->end; i++) {
    const struct range *hole = &holes.ranges[i];
    if (hole->end <= start) continue;
    if (start < hole->start) scan_piece(r, start, hole->start, pagemap, to);
    start = hole->end;
  }
  if (start < r->end) scan_piece(r, start, r->end, pagemap, to);
}

static bool find_holes(const struct roots_self *self, bool *stacks_known) {
  struct range_list dead;
  if (!stacks_dead(self, &dead, stacks_known)) return false;
  size_t n = ours.count + dead.count;
  holes = (struct range_list){.ranges = scratch(n * sizeof *holes.ranges), .count = n};
  if (!holes.ranges) return false;
  memcpy(holes.ranges, ours.ranges, ours.count * sizeof *ours.ranges);
  memcpy(holes.ranges + ours.count, dead.ranges, dead.count * sizeof *dead.ranges);
  mapping_sort(&holes);
  return true;
}

/* ---- registers ----------------------------------------------------------------- */

/* Vector registers in the signal frame (Intel SDM, XSAVE area in standard format). Not
 * all bytes of the frame are written; in the others there still is what the stack held
 * before. So: the registers, and nothing between them. */
enum {
  LEGACY_BYTES = 416, /* x87 and XMM */
  SOFTWARE_AT = 464,  /* struct _fpx_sw_bytes */
  HEADER_AT = 512,    /* starts with the bits of the components that are there */
  SOFTWARE_MAGIC = 0x46505853,
  YMM_HIGH = 2,
  ZMM_HIGH = 6,
  ZMM_MORE = 7,
};

static void scan_component(uintptr_t state, unsigned component, const struct scan *to) {
  unsigned bytes, offset, c, d;
  if (!__get_cpuid_count(0xd, component, &bytes, &offset, &c, &d)) return;
  scan_words(to, state + offset, state + offset + bytes);
}

static void scan_vectors(uintptr_t state, const struct scan *to) {
  uint32_t magic;
  uint64_t present;
  scan_words(to, state, state + LEGACY_BYTES);
  memcpy(&magic, (void *)(state + SOFTWARE_AT), sizeof magic);
  if (magic != SOFTWARE_MAGIC) return;
  memcpy(&present, (void *)(state + HEADER_AT), sizeof present);
  static const unsigned components[] = {YMM_HIGH, ZMM_HIGH, ZMM_MORE};
  for (unsigned i = 0; i < sizeof components / sizeof *components; i++)
    if (present >> components[i] & 1) scan_component(state, components[i], to);
}

static bool is_code_around(uintptr_t function, uintptr_t address) {
  const struct region *code = roots_region(function);
  return code && code->start <= address && address < code->end;
}

/* Who sleeps in libc has called it, and no vector register keeps anything for its caller
 * (System V ABI, 3.2.1). What is there was left by string functions, which load whatever
 * lies behind the end of a string: words of two halves that never belonged together. */
static READS_ANYTHING bool vectors_are_dead(const greg_t *registers) {
  uintptr_t pc = (uintptr_t)registers[REG_RIP], libc = (uintptr_t)getauxval;
  return is_code_around(libc, pc - SYSTEM_CALL_BYTES) && is_code_around(libc, pc + 1) &&
         (is_system_call(pc - SYSTEM_CALL_BYTES) || is_system_call(pc));
}

/* ---- pointers in our own hands -------------------------------------------------- */

/* A thread that was stopped in the middle of malloc or realloc may have the only pointer
 * to a block in hand, hidden (hidden.h): in a register or in one of our frames, the
 * lowest. */
enum { OUR_FRAMES = 2048, OUR_WORDS = OUR_FRAMES / sizeof(uintptr_t) };

static bool is_our_code(uintptr_t address) {
  return is_code_around((uintptr_t)roots_region, address);
}

/* In our code, or in a function that we have called. */
static READS_ANYTHING bool works_for_us(const greg_t *registers, const uintptr_t *stack,
                                        size_t words) {
  if (is_our_code((uintptr_t)registers[REG_RIP])) return true;
  for (size_t i = 0; i < words; i++)
    if (is_our_code(stack[i])) return true;
  return false;
}

static READS_ANYTHING void scan_hidden(const greg_t *registers, const struct scan *to) {
  uintptr_t sp = (uintptr_t)registers[REG_RSP], revealed[REG_RIP + OUR_WORDS];
  const struct region *r = roots_region(sp);
  if (!r || !r->read || sp % sizeof sp) return;
  size_t words = (r->end - sp) / sizeof sp;
  if (words > OUR_WORDS) words = OUR_WORDS;
  const uintptr_t *stack = (const uintptr_t *)sp;
  if (!works_for_us(registers, stack, words)) return;
  for (size_t i = 0; i < REG_RIP; i++)
    revealed[i] = ~(uintptr_t)registers[i];
  for (size_t i = 0; i < words; i++)
    revealed[REG_RIP + i] = ~stack[i];
  scan_words(to, (uintptr_t)revealed, (uintptr_t)(revealed + REG_RIP + words));
}

static void scan_registers(const struct frozen_thread *t, const struct scan *to) {
  if (t->state == FROZEN_UNSTOPPED)
    scan_words(to, (uintptr_t)t->call.arguments, (uintptr_t)(t->call.arguments + 6));
  if (t->state != FROZEN_STOPPED) return;
  const ucontext_t *c = (const ucontext_t *)t->context;
  const greg_t *general = c->uc_mcontext.gregs;
  scan_words(to, (uintptr_t)general, (uintptr_t)(general + REG_RIP));
  scan_hidden(general, to);
  if (c->uc_mcontext.fpregs && !vectors_are_dead(general))
    scan_vectors((uintptr_t)c->uc_mcontext.fpregs, to);
}

static bool is_of(const struct region *r, enum roots_part part) {
  if (r->shared) return part == ROOTS_SHARED;
  return part == (r->write ? ROOTS_WRITABLE : ROOTS_CONSTANT);
}

void roots_each(enum roots_part part, struct pagemaps pagemaps,
                const struct roots_wish *wish) {
  int pagemap = part == ROOTS_SHARED ? pagemaps.original : pagemaps.copy;
  const struct scan to = {wish->scan, NULL};
  size_t first = 0; /* hole that does not end before the region */
  for (size_t i = 0; i < region_count; i++) {
    const struct region *r = &regions[i];
    if (!is_of(r, part) || !is_root(r, pagemap)) continue;
    if (wish->enough()) return;
    while (first < holes.count && holes.ranges[first].end <= r->start)
      first++;
    scan_region(r, first, pagemap, &to);
  }
}

bool roots_of_threads(const struct roots_self *self, const struct roots_wish *wish,
                      bool *stacks_known) {
  const uintptr_t *registers = self->caller->registers;
  if (!find_holes(self, stacks_known)) return false;
  const struct scan to = {wish->scan, NULL};
  scan_words(&to, (uintptr_t)registers, (uintptr_t)(registers + CALLER_REGISTERS));
  for (unsigned i = 0; i < self->threads->count; i++)
    scan_registers(&self->threads->threads[i], &to);
  return true;
}
