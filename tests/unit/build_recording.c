#include "build_recording.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t element_bytes[UL_TABLES] = {
    [UL_TEXT] = 1,
    [UL_MODULES] = sizeof(struct ul_module),
    [UL_CODES] = sizeof(uint64_t),
    [UL_NODES] = sizeof(struct ul_node),
    [UL_SITES] = sizeof(struct ul_site),
    [UL_CHUNKS] = sizeof(struct ul_chunk),
    [UL_COUNTERS] = sizeof(struct ul_counter),
    [UL_ARENAS] = sizeof(struct ul_arena),
    [UL_ENTRIES] = sizeof(uint64_t),
    [UL_LARGES] = sizeof(struct ul_large),
    [UL_SNAPSHOTS] = sizeof(struct ul_snapshot),
    [UL_ROWS] = 1,
    [UL_HEAPS] = sizeof(struct ul_heap_record),
    [UL_LEAKS] = sizeof(struct ul_leak),
    [UL_MAPPINGS] = sizeof(struct ul_mapping),
    [UL_CARRIES] = sizeof(struct ul_carry),
    [UL_VERDICT_WORDS] = sizeof(uint64_t),
    [UL_DRAGS] = sizeof(struct ul_drag),
    [UL_FILLS] = sizeof(struct ul_fill)};

static void *grown(void *data, size_t bytes) {
  void *more = realloc(data, bytes ? bytes : 1);
  if (!more) abort();
  return more;
}

uint64_t build_append(struct build *b, enum ul_table t, uint64_t n) {
  uint64_t first = b->tables[t].count, size = element_bytes[t];
  b->tables[t].data = grown(b->tables[t].data, (first + n) * size);
  memset(b->tables[t].data + first * size, 0, n * size);
  b->tables[t].count += n;
  return first;
}

void *build_at(struct build *b, enum ul_table t, uint64_t i) {
  if (i >= b->tables[t].count) abort();
  return b->tables[t].data + i * element_bytes[t];
}

uint32_t build_text(struct build *b, const char *text) {
  uint64_t n = strlen(text) + 1, at = build_append(b, UL_TEXT, n);
  memcpy(b->tables[UL_TEXT].data + at, text, n);
  return (uint32_t)at;
}

unsigned build_class_bytes(unsigned class) {
  if (class <= 32) return class * 16;
  unsigned step = class - 33;
  return (512u << step / 4) / 4 * (5 + step % 4);
}

static void describe_program(struct build *b) {
  struct ul_header *h = &b->header;
  h->program = build_text(b, "/usr/bin/example");
  h->command = build_text(b, "example");
  build_text(b, "--serve");
  h->command_count = 2;
  h->directory = build_text(b, "/tmp");
  h->ullage = build_text(b, "0.2.0");
  h->pid = 4242;
  h->ppid = 1;
  h->state = UL_STATE_EXITED;
  h->end_ms = 10000;
  h->depth_limit = 64;
  h->peak_slot = h->waste_slot = UINT32_MAX;
}

struct build *build_new(void) {
  struct build *b = calloc(1, sizeof *b);
  if (!b) abort();
  struct ul_header *h = &b->header;
  memcpy(h->magic, UL_MAGIC, sizeof h->magic);
  h->version = UL_VERSION;
  h->header_bytes = UL_HEADER_BYTES;
  h->byte_order = UL_BYTE_ORDER;
  h->page_bytes = UL_PAGE_BYTES;
  h->arena_bytes = UL_ARENA_BYTES;
  h->unit_bytes = UL_UNIT_BYTES;
  h->classes = UL_CLASSES;
  for (unsigned c = 1; c < UL_CLASSES; c++)
    h->class_bytes[c] = build_class_bytes(c);
  build_append(b, UL_TEXT, 1);
  build_append(b, UL_CODES, UL_CODE_RESERVED);
  build_append(b, UL_NODES, UL_NODE_RESERVED);
  build_append(b, UL_SITES, UL_SITE_RESERVED);
  build_append(b, UL_HEAPS, 1);
  describe_program(b);
  uint32_t name = build_text(b, "/usr/bin/example");
  build_append(b, UL_MODULES, 1);
  *(struct ul_module *)build_at(b, UL_MODULES, 0) =
      (struct ul_module){.start = 0x400000,
                         .end = 0x500000,
                         .unloaded_ms = UINT32_MAX,
                         .name = name,
                         .loads = 1};
  return b;
}

void build_free(struct build *b) {
  for (int t = 0; t < UL_TABLES; t++)
    free(b->tables[t].data);
  free(b);
}

static uint32_t code_of(struct build *b, uint64_t address) {
  const struct ul_module *m = build_at(b, UL_MODULES, 0);
  uint64_t code = ul_code(0, address - m->bias);
  for (uint64_t i = UL_CODE_RESERVED; i < b->tables[UL_CODES].count; i++)
    if (*(uint64_t *)build_at(b, UL_CODES, i) == code) return (uint32_t)i;
  uint64_t i = build_append(b, UL_CODES, 1);
  *(uint64_t *)build_at(b, UL_CODES, i) = code;
  return (uint32_t)i;
}

static uint32_t child_node(struct build *b, uint32_t parent, uint64_t address) {
  uint32_t code = code_of(b, address);
  for (uint64_t i = UL_NODE_RESERVED; i < b->tables[UL_NODES].count; i++) {
    struct ul_node *n = build_at(b, UL_NODES, i);
    if (n->parent == parent && n->code == code) return (uint32_t)i;
  }
  uint64_t i = build_append(b, UL_NODES, 1);
  *(struct ul_node *)build_at(b, UL_NODES, i) = (struct ul_node){parent, code};
  return (uint32_t)i;
}

uint32_t build_site(struct build *b, const uint64_t *addresses) {
  unsigned depth = 0;
  while (addresses[depth])
    depth++;
  uint32_t node = UL_NODE_ROOT;
  for (unsigned i = depth; i-- > 1;)
    node = child_node(b, node, addresses[i]);
  uint32_t code = code_of(b, addresses[0]);
  uint64_t site = build_append(b, UL_SITES, 1);
  *(struct ul_site *)build_at(b, UL_SITES, site) = (struct ul_site){node, code};
  return (uint32_t)site;
}

uint32_t build_arena(struct build *b) {
  uint64_t i = build_append(b, UL_ARENAS, 1);
  ((struct ul_arena *)build_at(b, UL_ARENAS, i))->base = BUILD_HEAP + i * UL_ARENA_BYTES;
  return (uint32_t)i;
}

static unsigned pool_blocks(unsigned class, unsigned units) {
  return class == UL_SPAN ? 1 : units * UL_UNIT_BYTES / build_class_bytes(class);
}

void build_pool(struct build *b, uint32_t arena, unsigned unit, unsigned class,
                unsigned units) {
  uint64_t entry = build_append(b, UL_ENTRIES, pool_blocks(class, units) + (class == 0));
  struct ul_arena *a = build_at(b, UL_ARENAS, arena);
  a->pools[unit] = (struct ul_pool){
      .entry = (uint32_t)entry, .class = (uint8_t) class, .units = (uint8_t)units};
}

struct ul_counter *build_counter(struct build *b, uint32_t site) {
  uint32_t first = site / UL_CHUNK_SITES * UL_CHUNK_SITES;
  uint64_t i = 0;
  while (i < b->tables[UL_CHUNKS].count &&
         ((struct ul_chunk *)build_at(b, UL_CHUNKS, i))->first_site != first)
    i++;
  if (i == b->tables[UL_CHUNKS].count) {
    build_append(b, UL_CHUNKS, 1);
    build_append(b, UL_COUNTERS, UL_CHUNK_SITES);
    ((struct ul_chunk *)build_at(b, UL_CHUNKS, i))->first_site = first;
  }
  return build_at(b, UL_COUNTERS, i * UL_CHUNK_SITES + site % UL_CHUNK_SITES);
}

static void count_block(struct build *b, uint32_t site, uint64_t requested) {
  struct ul_counter *c = build_counter(b, site);
  c->allocations++;
  c->allocated_bytes += requested;
}

void build_block(struct build *b, uint32_t arena, unsigned unit, unsigned i,
                 uint32_t site, uint64_t ms, uint64_t requested) {
  const struct ul_arena *a = build_at(b, UL_ARENAS, arena);
  const struct ul_pool *p = &a->pools[unit];
  uint64_t usable =
      p->class == UL_SPAN ? p->units * UL_UNIT_BYTES : build_class_bytes(p->class);
  uint64_t slack = usable - requested;
  if (slack > UL_SLACK_MAX) slack = UL_SLACK_MAX;
  uint64_t *e = build_at(b, UL_ENTRIES, p->entry + i);
  if (p->class == UL_SPAN) e[1] = requested;
  *e = ul_entry(site, ul_birth(ms), (uint32_t)slack, UL_FAMILY_MALLOC);
  count_block(b, site, requested);
}

uint32_t build_large(struct build *b, uint32_t site, uint64_t ms, uint64_t requested) {
  uint64_t i = build_append(b, UL_LARGES, 1);
  uint64_t mapped = (requested + UL_PAGE_BYTES - 1) / UL_PAGE_BYTES * UL_PAGE_BYTES;
  *(struct ul_large *)build_at(b, UL_LARGES, i) =
      (struct ul_large){.base = BUILD_HEAP + (1ull << 40) + (i << 32),
                        .mapped_bytes = mapped,
                        .requested_bytes = requested,
                        .entry = ul_entry(site, ul_birth(ms), 0, UL_FAMILY_MALLOC),
                        .resident_bytes = mapped,
                        .resident_end = mapped};
  count_block(b, site, requested);
  return (uint32_t)i;
}

void build_resident(struct build *b, uint32_t arena, unsigned first, unsigned n) {
  struct ul_arena *a = build_at(b, UL_ARENAS, arena);
  b->header.residency = UL_EVIDENCE_PAGEMAP;
  for (unsigned i = first; i < first + n; i++)
    a->resident[i / 64] |= 1ull << i % 64;
}

uint32_t build_snapshot(struct build *b, enum ul_snapshot_kind kind, uint64_t ms,
                        uint64_t live_bytes, uint64_t rss_bytes) {
  uint64_t i = build_append(b, UL_SNAPSHOTS, 1);
  *(struct ul_snapshot *)build_at(b, UL_SNAPSHOTS, i) =
      (struct ul_snapshot){.sequence = 2,
                           .kind = kind,
                           .ms = ms,
                           .row = b->tables[UL_ROWS].count,
                           .live_bytes = live_bytes,
                           .live_blocks = 1,
                           .rss_bytes = rss_bytes,
                           .mapped_bytes = live_bytes,
                           .large_bytes = live_bytes,
                           .large_requested = live_bytes,
                           .larges = 1};
  return (uint32_t)i;
}

static void build_number(struct build *b, struct ul_snapshot *s, uint64_t n) {
  for (bool more = true; more; n >>= 7) {
    more = n > 0x7f;
    *(uint8_t *)build_at(b, UL_ROWS, build_append(b, UL_ROWS, 1)) =
        (uint8_t)((n & 0x7f) | (more ? 0x80 : 0));
    s->row_bytes++;
  }
}

static struct ul_snapshot *last_snapshot(struct build *b) {
  return build_at(b, UL_SNAPSHOTS, b->tables[UL_SNAPSHOTS].count - 1);
}

static void build_row_of(struct build *b, uint32_t *rows, uint32_t number,
                         uint64_t blocks, uint64_t bytes) {
  struct ul_snapshot *s = last_snapshot(b);
  if (!(*rows)++) b->last_row = 0;
  build_number(b, s, number - b->last_row);
  build_number(b, s, blocks);
  build_number(b, s, bytes);
  b->last_row = number;
}

void build_row(struct build *b, uint32_t site, uint64_t blocks, uint64_t bytes) {
  build_row_of(b, &last_snapshot(b)->rows[UL_ROW_SITE], site, blocks, bytes);
}
void build_node_row(struct build *b, uint32_t node, uint64_t blocks, uint64_t bytes) {
  build_row_of(b, &last_snapshot(b)->rows[UL_ROW_NODE], node, blocks, bytes);
}
void build_code_row(struct build *b, uint32_t code, uint64_t blocks, uint64_t bytes) {
  build_row_of(b, &last_snapshot(b)->rows[UL_ROW_CODE], code, blocks, bytes);
}

void build_leak(struct build *b, uint32_t site, enum ul_verdict verdict, uint64_t blocks,
                uint64_t bytes) {
  uint64_t i = build_append(b, UL_LEAKS, 1);
  *(struct ul_leak *)build_at(b, UL_LEAKS, i) =
      (struct ul_leak){.site = site,
                       .verdict = verdict,
                       .blocks = blocks,
                       .bytes = bytes,
                       .oldest_birth = ul_birth(100),
                       .newest_birth = ul_birth(9000),
                       .example = BUILD_HEAP};
  b->header.scan.state = UL_SCAN_DONE;
  b->header.scan.totals[verdict].blocks += blocks;
  b->header.scan.totals[verdict].bytes += bytes;
}

void build_mapping(struct build *b, enum ul_mapping_kind kind, uint64_t bytes,
                   uint64_t rss, uint64_t heap_rss, uint64_t tool_rss, const char *name) {
  uint32_t text = *name ? build_text(b, name) : 0;
  uint64_t i = build_append(b, UL_MAPPINGS, 1);
  uint64_t start = 0x10000000000 + (i << 36);
  *(struct ul_mapping *)build_at(b, UL_MAPPINGS, i) =
      (struct ul_mapping){.start = start,
                          .end = start + bytes,
                          .rss = rss,
                          .heap_rss = heap_rss,
                          .tool_rss = tool_rss,
                          .kind = kind,
                          .name = text};
  b->header.end_rss_bytes += rss;
}

static uint64_t table_bytes(const struct build *b, int t) {
  return b->tables[t].count * element_bytes[t];
}

/* Round after round one segment for each table that has bytes left. */
char *build_file(struct build *b, unsigned segment_pages, size_t *bytes) {
  uint64_t segment = (uint64_t)segment_pages * UL_PAGE_BYTES, offset = UL_HEADER_BYTES;
  struct ul_header *h = &b->header;
  uint64_t done[UL_TABLES] = {0};
  char *file = NULL;
  h->segment_count = 0;
  for (bool more = true; more;) {
    more = false;
    for (uint32_t t = 0; t < UL_TABLES; t++) {
      if (done[t] >= table_bytes(b, (int)t)) continue;
      if (h->segment_count == UL_SEGMENTS) abort();
      h->segments[h->segment_count++] =
          (struct ul_segment){.file_offset = offset, .bytes = segment, .table = t};
      uint64_t step = table_bytes(b, (int)t) - done[t];
      if (step > segment) step = segment;
      file = grown(file, offset + segment);
      memset(file + offset, 0, segment);
      memcpy(file + offset, b->tables[t].data + done[t], step);
      done[t] += step;
      offset += segment;
      more = true;
    }
  }
  for (int t = 0; t < UL_TABLES; t++)
    h->table[t] = (struct ul_table_head){.count = b->tables[t].count,
                                         .element_bytes = element_bytes[t]};
  h->file_bytes = offset;
  memset(file, 0, UL_HEADER_BYTES);
  memcpy(file, h, sizeof *h);
  *bytes = offset;
  return file;
}

static void example_timeline(struct build *b, uint32_t grows, uint32_t steady) {
  for (uint32_t i = 0; i < 20; i++) {
    uint64_t kept = 10000 + 5000 * i;
    uint32_t slot = build_snapshot(b, i < 19 ? UL_SNAPSHOT_TIMED : UL_SNAPSHOT_FINAL,
                                   i * 500, kept + 300000, kept + 1000000);
    build_row(b, grows, i + 1, kept);
    build_row(b, steady, 1, 300000);
    if (i == 19) b->header.peak_slot = slot;
  }
}

struct build *build_example(void) {
  struct build *b = build_new();
  uint32_t grows = build_site(b, (uint64_t[]){0x401010, 0x402020, 0x403030, 0});
  uint32_t steady = build_site(b, (uint64_t[]){0x401050, 0x402020, 0x403030, 0});
  uint32_t arena = build_arena(b);
  build_pool(b, arena, 0, 7, 1);
  for (unsigned i = 0; i < 10; i++)
    build_block(b, arena, 0, i * 3, grows, i * 1000, 100);
  build_pool(b, arena, 1, UL_SPAN, 4);
  build_block(b, arena, 1, 0, grows, 5000, 50000);
  build_resident(b, arena, 0, 20);
  build_large(b, steady, 10, 300000);
  example_timeline(b, grows, steady);
  build_leak(b, grows, UL_DEFINITE, 3, 300);
  build_leak(b, steady, UL_REACHABLE, 1, 300000);
  build_mapping(b, UL_MAP_CODE, 1 << 20, 500000, 0, 0, "/usr/bin/example");
  build_mapping(b, UL_MAP_ANONYMOUS, 4 << 20, 400000, 385024, 8192, "");
  b->header.fallbacks[UL_FB_EARLY] = 2;
  struct ul_carry *carry = build_at(b, UL_CARRIES, build_append(b, UL_CARRIES, 1));
  carry->site = UL_SITE_RESERVED;
  b->header.features |= UL_FEATURE_GUARDED;
  build_append(b, UL_FILLS, grows + 1);
  *(struct ul_fill *)build_at(b, UL_FILLS, grows) =
      (struct ul_fill){.blocks = 10, .bytes = 1000, .never_written = 480};
  b->header.fallbacks[UL_FB_OVERRUN] = 1;
  b->header.misuses[UL_OVERRUN * UL_MISUSE_PLACES] = (struct ul_misuse){
      .allocated = grows, .count = 1, .bytes = 100, .changed = 300, .found = "found"};
  return b;
}
