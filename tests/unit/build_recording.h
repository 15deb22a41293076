/* build_recording.h - composes recordings in memory, for the tests of the analyzer
 * and as seeds of the fuzzer. What is built is valid unless a test damages it.
 *
 * Out of memory aborts. Indexes returned are those of the tables; pointers from
 * build_at() are good until the next element of that table is added. */
#ifndef ULLAGE_BUILD_RECORDING_H
#define ULLAGE_BUILD_RECORDING_H

#include "format.h"

#include <stddef.h>
#include <stdint.h>

struct build {
  struct ul_header header;
  struct {
    char *data;
    uint64_t count;
  } tables[UL_TABLES];
  uint32_t last_row; /* number of the row added last */
};

/* A finished program, exit status 0 after 10,000 ms, one module, one heap, the
 * reserved nodes and sites, nothing allocated. */
struct build *build_new(void);
void build_free(struct build *b);

uint64_t build_append(struct build *b, enum ul_table table, uint64_t n); /* zeroed */
void *build_at(struct build *b, enum ul_table table, uint64_t i);
uint32_t build_text(struct build *b, const char *text);
/* A site whose stack is these return addresses, innermost first, ended by 0. */
uint32_t build_site(struct build *b, const uint64_t *addresses);

/* Addresses are BUILD_HEAP + index MiB. */
#define BUILD_HEAP 0x7f0000000000u
uint32_t build_arena(struct build *b);
void build_pool(struct build *b, uint32_t arena, unsigned unit, unsigned class,
                unsigned units);
/* Block i of the pool at that unit, born at `ms`; counted for its site. */
void build_block(struct build *b, uint32_t arena, unsigned unit, unsigned i,
                 uint32_t site, uint64_t ms, uint64_t requested);
uint32_t build_large(struct build *b, uint32_t site, uint64_t ms, uint64_t requested);
/* Pages first..first+n-1 of an arena are resident (header.residency is set). */
void build_resident(struct build *b, uint32_t arena, unsigned first, unsigned n);

struct ul_counter *build_counter(struct build *b, uint32_t site);
/* A snapshot that balances, all live bytes in large blocks; add rows after it. */
uint32_t build_snapshot(struct build *b, enum ul_snapshot_kind kind, uint64_t ms,
                        uint64_t live_bytes, uint64_t rss_bytes);
/* To the snapshot added last: of sites, then nodes, then codes, each by number. */
void build_row(struct build *b, uint32_t site, uint64_t blocks, uint64_t bytes);
void build_node_row(struct build *b, uint32_t node, uint64_t blocks, uint64_t bytes);
void build_code_row(struct build *b, uint32_t code, uint64_t blocks, uint64_t bytes);
void build_leak(struct build *b, uint32_t site, enum ul_verdict verdict, uint64_t blocks,
                uint64_t bytes);
void build_mapping(struct build *b, enum ul_mapping_kind kind, uint64_t bytes,
                   uint64_t rss, uint64_t heap_rss, uint64_t tool_rss, const char *name);

/* The file; the caller frees it. Tables are split into segments of `segment_pages`
 * pages, interleaved as a growing file would have them. */
char *build_file(struct build *b, unsigned segment_pages, size_t *bytes);

unsigned build_class_bytes(unsigned class);
/* A recording with something in every table. */
struct build *build_example(void);
#endif
