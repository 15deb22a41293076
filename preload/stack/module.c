#include "stack/module.h"
#include "base/lock.h"
#include "base/meta.h"
#include "base/os.h"
#include "base/page.h"
#include "recording/recording.h"
#include "recording/table.h"
#include "stack/hash.h"
#include "stack/unwind.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

/* What an unwinder asks for: loads, the unwind table, the dynamic section. */
#define PHDRS 8
#define CHUNK_RECORDS 64u
#define RECORDS_MAX (2u * UL_NO_MODULE)
#define NAME_BYTES 4096

/* A record is written before it is counted, and again only while it is closed, but for
 * `map` (the loader's object, NULL while unloaded) and `index`: who looks for an address
 * on its stack looks for what is open. `map` is only compared, never followed: the loader
 * may have freed it. */
struct record {
  uint64_t start, end, bias, eh_frame_hdr, table_start, table_end;
  _Atomic(const struct link_map *) map;
  _Atomic uint16_t index; /* in UL_MODULES */
  uint32_t number, next;  /* next: of the same kind, or free; its number + 1 */
  uint16_t phdrs_count;
  uint8_t build_id_bytes;
  uint8_t build_id[sizeof(((struct ul_module *)0)->build_id)];
  ElfW(Phdr) phdrs[PHDRS];
};

static struct record *_Atomic chunks[RECORDS_MAX / CHUNK_RECORDS + 1];
static _Atomic uint32_t count;
static _Atomic uint32_t met_so_far;
_Atomic uint64_t module_generations;
static struct lock guard;

/* Which record is open at a place: its number + 1, by a hash of where the loader says
 * that the module begins. Read without the lock: what is found is compared, and who finds
 * nothing looks again under the lock, so it may be cleared and filled in place. */
struct places {
  uint32_t mask, used;
  _Atomic uint32_t slots[];
};
enum { PLACES_FIRST = 256 };
static struct places *_Atomic places;

/* Records with an index, by a hash of what stays the same: number + 1. */
enum { KINDS = 1024 };
static uint32_t kinds[KINDS];
/* Closed records without one: what they say is of no use any more. */
static uint32_t free_records;
static char name_of_module[NAME_BYTES];

static struct record *record_at(uint32_t i) {
  return &atomic_load_explicit(&chunks[i / CHUNK_RECORDS],
                               memory_order_acquire)[i % CHUNK_RECORDS];
}

static uint32_t now_ms(void) {
  return recording ? ul_ms32(recording_ms()) : 0;
}

/* ---- what the object says about itself ----------------------------------------- */

static void read_build_id(struct record *r, const char *note, size_t bytes) {
  while (bytes >= sizeof(ElfW(Nhdr))) {
    const ElfW(Nhdr) *n = (const void *)note;
    size_t name = (n->n_namesz + 3u) & ~(size_t)3, desc = (n->n_descsz + 3u) & ~(size_t)3;
    size_t all = sizeof *n + name + desc;
    if (all > bytes) return;
    if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 &&
        memcmp(note + sizeof *n, "GNU", 4) == 0) {
      size_t keep = n->n_descsz < sizeof r->build_id ? n->n_descsz : sizeof r->build_id;
      memcpy(r->build_id, note + sizeof *n + name, keep);
      r->build_id_bytes = (uint8_t)keep;
      return;
    }
    note += all;
    bytes -= all;
  }
}

/* The object is on a stack, so it stays mapped while it is read; but not all of
 * what its headers name need be mapped. */
static bool readable(uint64_t at, uint64_t bytes) {
  for (uint64_t p = at; p < at + bytes; p = (p | (UL_PAGE_BYTES - 1)) + 1)
    if (!os_readable(p & ~(uint64_t)7)) return false;
  return true;
}

static bool lies_within(const struct record *r, uint64_t at, uint64_t bytes) {
  return at >= r->start && at <= r->end && bytes <= r->end - at && readable(at, bytes);
}

/* Are these the headers that the loader followed? They can lie anywhere in the
 * file, and what is mapped at their offset be something else. */
static bool describes(const struct record *r, const ElfW(Phdr) * p, unsigned n) {
  bool starts = false, table = !r->eh_frame_hdr;
  for (unsigned i = 0; i < n; i++) {
    uint64_t at = r->bias + p[i].p_vaddr, align = p[i].p_align;
    if (p[i].p_type == PT_GNU_EH_FRAME && at == r->eh_frame_hdr) table = true;
    if (p[i].p_type != PT_LOAD) continue;
    if (at < r->start || at > r->end || p[i].p_memsz > r->end - at) return false;
    if (at - r->start < (align > OS_PAGE ? align : OS_PAGE)) starts = true;
  }
  return starts && table;
}

/* The kernel tells where the program's own are. Of a program with a gap in it the loader
 * knows each part by itself: the record is of all of them. */
static const ElfW(Phdr) * find_program_headers(struct record *r, unsigned *n) {
  const ElfW(Phdr) *p = (const void *)getauxval(AT_PHDR);
  struct record whole = *r;
  *n = (unsigned)getauxval(AT_PHNUM);
  if (!readable((uint64_t)p, *n * sizeof *p)) return NULL;
  for (unsigned i = 0; i < *n; i++) {
    uint64_t start = r->bias + p[i].p_vaddr, end = start + p[i].p_memsz;
    if (p[i].p_type != PT_LOAD) continue;
    start &= ~(uint64_t)(UL_PAGE_BYTES - 1);
    if (start < whole.start) whole.start = start;
    if (end > whole.end) whole.end = end;
  }
  if (!describes(&whole, p, *n)) return NULL;
  *r = whole;
  return p;
}

static const ElfW(Phdr) * find_headers(const struct record *r, unsigned *n) {
  const ElfW(Ehdr) *e = (const void *)r->start;
  if (!lies_within(r, r->start, sizeof *e) || memcmp(e->e_ident, ELFMAG, SELFMAG) != 0 ||
      e->e_phentsize != sizeof(ElfW(Phdr)) || e->e_phoff > r->end - r->start ||
      e->e_phoff % _Alignof(ElfW(Phdr)))
    return NULL;
  const ElfW(Phdr) *p = (const void *)(r->start + e->e_phoff);
  *n = e->e_phnum;
  if (!lies_within(r, (uint64_t)p, *n * sizeof *p) || !describes(r, p, *n)) return NULL;
  return p;
}

static bool holds_table(const struct record *r, const ElfW(Phdr) * p) {
  return p->p_type == PT_LOAD && p->p_flags & PF_R &&
         r->eh_frame_hdr - (r->bias + p->p_vaddr) < p->p_filesz;
}

/* An object whose headers are not found goes without build id. */
static void read_headers(struct record *r, const struct link_map *map) {
  unsigned n;
  const ElfW(Phdr) *p = *map->l_name ? NULL : find_program_headers(r, &n);
  if (!p) p = find_headers(r, &n);
  if (!p) return;
  for (unsigned i = 0; i < n; i++) {
    uint64_t at = r->bias + p[i].p_vaddr;
    if (p[i].p_type == PT_NOTE && !r->build_id_bytes && lies_within(r, at, p[i].p_memsz))
      read_build_id(r, (const char *)at, p[i].p_memsz);
    if (holds_table(r, &p[i])) {
      r->table_start = at;
      r->table_end = at + p[i].p_filesz;
    }
    bool wanted = p[i].p_type == PT_LOAD || p[i].p_type == PT_GNU_EH_FRAME ||
                  p[i].p_type == PT_DYNAMIC;
    if (wanted && r->phdrs_count < PHDRS) r->phdrs[r->phdrs_count++] = p[i];
  }
}

#define MAPS_BYTES ((size_t)256 * 1024)

/* The file mapped at `address`, by the kernel's account, into `name`. */
static void read_mapped_name(const char *maps, uint64_t address, char *name) {
  for (const char *line = maps; line; line = strchr(line, '\n')) {
    char *rest;
    line += *line == '\n';
    uint64_t start = strtoull(line, &rest, 16);
    if (*rest != '-' || start > address || strtoull(rest + 1, &rest, 16) <= address)
      continue;
    size_t bytes = strcspn(rest, "\n"), before = strcspn(rest, "/\n");
    if (before == bytes || bytes - before >= NAME_BYTES) return;
    memcpy(name, rest + before, bytes - before);
    name[bytes - before] = '\0';
    return;
  }
}

static void read_program_name(const struct record *r, char *name) {
  const char *known = recording ? table_at(UL_TEXT, recording->program) : "";
  size_t bytes = strnlen(known, NAME_BYTES - 1);
  ssize_t n = bytes ? 0 : os_link_target("/proc/self/exe", name, NAME_BYTES - 1);
  memcpy(name, known, bytes);
  name[n > 0 ? (size_t)n : bytes] = '\0';
  /* The kernel knows of no loader: it was itself asked to run the program. */
  if (getauxval(AT_BASE) != 0) return;
  char *maps = os_map(MAPS_BYTES, OS_PAGE, OS_TOOL);
  if (!maps) return;
  if (os_slurp("/proc/self/maps", maps, MAPS_BYTES) > 0)
    read_mapped_name(maps, r->start, name);
  os_unmap(maps, MAPS_BYTES, OS_TOOL);
}

static void read_name(const struct record *r, const struct link_map *map, char *name) {
  if (r->start == getauxval(AT_SYSINFO_EHDR)) {
    strcpy(name, "[vdso]");
    return;
  }
  const char *given = map->l_name;
  size_t bytes = 0;
  if (!*given) {
    read_program_name(r, name);
    return;
  }
  if (*given != '/') {
    if (os_directory(name, NAME_BYTES / 2) == 0) {
      bytes = strlen(name);
      if (bytes > 1) name[bytes++] = '/';
    }
    while (given[0] == '.' && given[1] == '/')
      given += 2;
  }
  size_t rest = strnlen(given, NAME_BYTES - 1 - bytes);
  memcpy(name + bytes, given, rest);
  name[bytes + rest] = '\0';
}

/* ---- records, under the lock --------------------------------------------------- */

static bool is_told(const struct record *r) {
  return atomic_load_explicit(&r->index, memory_order_acquire) != UL_NO_MODULE;
}

static struct ul_module *module_at(const struct record *r) {
  return table_at(UL_MODULES, atomic_load(&r->index));
}

static uint32_t *kind_of(const struct record *r) {
  uint64_t hash = hash_mix(HASH_SEED, r->end - r->start);
  for (unsigned i = 0; i < r->build_id_bytes; i++)
    hash = hash_mix(hash, r->build_id[i]);
  return &kinds[hash % KINDS];
}

/* Without a build id, a file may have been replaced by one that is laid out alike. */
static bool same_file(const struct record *a, const struct record *b,
                      const struct link_map *map) {
  if (a->build_id_bytes || a->start == b->start) return true;
  read_name(b, map, name_of_module);
  return strcmp(name_of_module, table_at(UL_TEXT, module_at(a)->name)) == 0;
}

static bool same_layout(const struct record *a, const struct record *b) {
  return a->end - a->start == b->end - b->start &&
         a->start - a->bias == b->start - b->bias &&
         a->eh_frame_hdr - a->bias == b->eh_frame_hdr - b->bias &&
         a->build_id_bytes == b->build_id_bytes &&
         memcmp(a->build_id, b->build_id, sizeof a->build_id) == 0 &&
         a->phdrs_count == b->phdrs_count &&
         memcmp(a->phdrs, b->phdrs, sizeof a->phdrs) == 0;
}

static void describe(struct ul_module *m, const struct record *r) {
  m->bias = r->bias;
  m->start = r->start;
  m->end = r->end;
  m->unloaded_ms = UINT32_MAX;
  if (m->loads < UINT16_MAX) m->loads++;
}

/* false: not now, or never. */
static bool may_be_told(void) {
  return recording && table_count(UL_MODULES) < UL_NO_MODULE;
}

static void publish(struct record *r, const struct link_map *map) {
  uint32_t i = may_be_told() ? table_append(UL_MODULES, 1) : TABLE_NONE;
  if (i >= UL_NO_MODULE) return;
  struct ul_module *m = table_at(UL_MODULES, i);
  describe(m, r);
  read_name(r, map, name_of_module);
  m->name = table_text(name_of_module, strlen(name_of_module));
  m->loaded_ms = now_ms();
  m->build_id_bytes = r->build_id_bytes;
  memcpy(m->build_id, r->build_id, sizeof m->build_id);
  uint32_t *kind = kind_of(r);
  r->next = *kind;
  *kind = r->number + 1;
  atomic_store_explicit(&r->index, (uint16_t)i, memory_order_release);
}

/* `place` is where the same object lies now. */
static void reopen(struct record *r, const struct record *place) {
  r->start = place->start;
  r->end = place->end;
  r->bias = place->bias;
  r->eh_frame_hdr = place->eh_frame_hdr;
  r->table_start = place->table_start;
  r->table_end = place->table_end;
  describe(module_at(r), r);
}

static void close_record(struct record *r) {
  atomic_store_explicit(&r->map, NULL, memory_order_release);
  if (is_told(r)) {
    module_at(r)->unloaded_ms = now_ms();
    return;
  }
  r->next = free_records;
  free_records = r->number + 1;
}

static struct record *take_free(void) {
  struct record *r = record_at(free_records - 1);
  free_records = r->next;
  return r;
}

static struct record *new_record(void) {
  uint32_t n = atomic_load(&count);
  if (free_records) return take_free();
  if (n == RECORDS_MAX) return NULL;
  if (!atomic_load(&chunks[n / CHUNK_RECORDS])) {
    size_t bytes = os_whole_pages(CHUNK_RECORDS * sizeof(struct record));
    struct record *chunk = os_map(bytes, OS_PAGE, OS_TOOL);
    if (!chunk) return NULL;
    atomic_store_explicit(&chunks[n / CHUNK_RECORDS], chunk, memory_order_release);
  }
  record_at(n)->number = n;
  return record_at(n);
}

/* ---- finding ------------------------------------------------------------------- */

static bool matches(struct record *r, const struct dl_find_object *o) {
  return atomic_load_explicit(&r->map, memory_order_acquire) == o->dlfo_link_map &&
         (uint64_t)o->dlfo_map_start - r->start < r->end - r->start &&
         r->eh_frame_hdr == (uint64_t)o->dlfo_eh_frame;
}

static uint32_t home_of(uint64_t start) {
  return (uint32_t)((start >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static struct record *lookup(const struct dl_find_object *o) {
  struct places *p = atomic_load_explicit(&places, memory_order_acquire);
  if (!p) return NULL;
  for (uint32_t i = home_of((uint64_t)o->dlfo_map_start);; i++) {
    uint32_t slot = atomic_load_explicit(&p->slots[i & p->mask], memory_order_acquire);
    if (!slot) return NULL;
    if (matches(record_at(slot - 1), o)) return record_at(slot - 1);
  }
}

static void place_put(struct places *p, uint64_t start, uint32_t number) {
  uint32_t i = home_of(start), slot;
  while ((slot = atomic_load(&p->slots[i & p->mask]))) {
    if (slot == number + 1) return;
    i++;
  }
  atomic_store_explicit(&p->slots[i & p->mask], number + 1, memory_order_release);
  p->used++;
}

static uint32_t open_records(void) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < atomic_load(&count); i++)
    n += atomic_load(&record_at(i)->map) != NULL;
  return n;
}

/* The same one, cleared, unless a larger one is needed. That one stays then, for somebody
 * may be reading it; all of them together are no larger than the new one. */
static struct places *places_renewed(struct places *old) {
  uint32_t size = old ? old->mask + 1 : PLACES_FIRST, open = open_records();
  while (size < open * 4)
    size *= 2;
  struct places *p = old;
  if (!old || size > old->mask + 1) p = meta_alloc(sizeof *p + size * sizeof *p->slots);
  if (!p) return NULL;
  p->mask = size - 1;
  p->used = 0;
  for (uint32_t i = 0; i < size; i++)
    atomic_store_explicit(&p->slots[i], 0, memory_order_release);
  for (uint32_t i = 0; i < atomic_load(&count); i++)
    if (atomic_load(&record_at(i)->map)) place_put(p, record_at(i)->start, i);
  atomic_store_explicit(&places, p, memory_order_release);
  return p;
}

/* Open, and found where the loader says that it begins. */
static struct record *open_at(struct record *r, const struct dl_find_object *o) {
  atomic_store_explicit(&r->map, o->dlfo_link_map, memory_order_release);
  struct places *p = atomic_load(&places);
  if (!p || p->used * 2 > p->mask) p = places_renewed(p);
  if (p) place_put(p, (uint64_t)o->dlfo_map_start, r->number);
  return r;
}

/* Its record, if it is closed, or of this very object (which has a gap). */
static struct record *known(const struct record *met, const struct link_map *map) {
  struct record *r;
  for (uint32_t i = *kind_of(met); i; i = r->next) {
    r = record_at(i - 1);
    const struct link_map *is = atomic_load(&r->map);
    if (!same_layout(r, met)) continue;
    if (is ? is == map && r->start == met->start : same_file(r, met, map)) return r;
  }
  return NULL;
}

/* An object that has not been met, or not since it came back. */
static struct record *meet(const struct dl_find_object *o) {
  struct record *r = lookup(o);
  if (r) return r;
  struct record met = {.start = (uint64_t)o->dlfo_map_start,
                       .end = (uint64_t)o->dlfo_map_end,
                       .bias = o->dlfo_link_map->l_addr,
                       .eh_frame_hdr = (uint64_t)o->dlfo_eh_frame,
                       .index = UL_NO_MODULE};
  read_headers(&met, o->dlfo_link_map);
  atomic_fetch_add(&met_so_far, 1);
  r = known(&met, o->dlfo_link_map);
  if (r && !atomic_load(&r->map)) reopen(r, &met);
  if (r) return open_at(r, o);
  r = new_record();
  if (!r) return NULL;
  met.number = r->number;
  *r = met;
  publish(r, o->dlfo_link_map);
  if (recording && !is_told(r)) fallback(UL_FB_MODULES_FULL);
  if (r->number == atomic_load(&count)) atomic_store(&count, r->number + 1);
  return open_at(r, o);
}

static struct record *find(uint64_t address) {
  struct dl_find_object o;
  if (_dl_find_object((void *)address, &o) != 0) return NULL;
  struct record *r = lookup(&o);
  if (r && (is_told(r) || !may_be_told())) return r;
  uint64_t signals;
  lock_take_masked(&guard, &signals);
  r = meet(&o);
  if (r && !is_told(r)) publish(r, o.dlfo_link_map);
  lock_give_masked(&guard, signals);
  return r;
}

uint64_t module_code(uint64_t address) {
  int saved = errno;
  struct record *r = find(address - 1);
  errno = saved;
  uint16_t module =
      r ? atomic_load_explicit(&r->index, memory_order_acquire) : UL_NO_MODULE;
  return ul_code(module, module == UL_NO_MODULE ? address : address - r->bias);
}

bool module_find(uint64_t address, struct module_unwind *found) {
  int saved = errno;
  struct record *r = find(address);
  errno = saved;
  if (!r) return false;
  *found = (struct module_unwind){r->start, r->end, r->eh_frame_hdr, r->table_start,
                                  r->table_end};
  return true;
}

/* Closes one record whose module has gone. */
static bool close_one(uint32_t *next, uint64_t *start, uint64_t *end) {
  bool closed = false;
  uint64_t signals;
  lock_take_masked(&guard, &signals);
  for (uint32_t n = atomic_load(&count); *next < n && !closed; ++*next) {
    struct record *r = record_at(*next);
    struct dl_find_object o;
    if (!atomic_load(&r->map) ||
        (_dl_find_object((void *)r->start, &o) == 0 && matches(r, &o)))
      continue;
    close_record(r);
    *start = r->start;
    *end = r->end;
    closed = true;
  }
  lock_give_masked(&guard, signals);
  return closed;
}

bool module_poll(void (*gone)(uint64_t start, uint64_t end)) {
  uint64_t start, end;
  uint32_t next = 0;
  bool any = false;
  while (close_one(&next, &start, &end)) {
    gone(start, end);
    any = true;
  }
  if (!any) return false;
  atomic_fetch_add_explicit(&module_generations, 1, memory_order_release);
  page_next_epoch();
  return true;
}

uint64_t module_loader(void) {
  return _r_debug.r_ldbase;
}

uint32_t module_count(void) {
  return atomic_load_explicit(&met_so_far, memory_order_acquire);
}

int module_iterate(int (*visit)(struct dl_phdr_info *, size_t, void *), void *data) {
  uint32_t n = atomic_load_explicit(&count, memory_order_acquire);
  for (uint32_t i = 0; i < n; i++) {
    struct record *r = record_at(i);
    if (!atomic_load_explicit(&r->map, memory_order_acquire)) continue;
    uint16_t index = atomic_load(&r->index);
    const struct ul_module *m =
        index == UL_NO_MODULE ? NULL : table_at(UL_MODULES, index);
    struct dl_phdr_info info = {
        .dlpi_addr = r->bias,
        .dlpi_name = m ? table_at(UL_TEXT, m->name) : "",
        .dlpi_phdr = r->phdrs,
        .dlpi_phnum = r->phdrs_count,
        .dlpi_adds = module_count(),
        .dlpi_subs = module_generation(),
    };
    int ret = visit(&info, sizeof info, data);
    if (ret) return ret;
  }
  return 0;
}

void module_fork_prepare(void) {
  lock_take(&guard);
}

void module_fork_parent(void) {
  lock_give(&guard);
}

void module_fork_child(void) {
  lock_renew(&guard);
}
