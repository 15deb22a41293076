/* recording.c - access to a recording that was read. */
#include "read/parts.h"

#include <string.h>

const char *recording_path(const struct recording *r) {
  return r->path;
}

const struct ul_header *recording_header(const struct recording *r) {
  return &r->header;
}

uint64_t recording_file_bytes(const struct recording *r) {
  uint64_t held = r->header.file_bytes;
  return held && held < r->file_bytes ? held : r->file_bytes;
}

uint64_t recording_unsettled(const struct recording *r) {
  return r->unsettled;
}

uint64_t recording_count(const struct recording *r, enum ul_table table) {
  return r->tables[table].count;
}

const void *recording_at(const struct recording *r, enum ul_table table, uint64_t i) {
  return i < r->tables[table].count ? part_at(r, table, i) : NULL;
}

const struct ul_module *recording_module(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_MODULES, i);
}

uint64_t recording_code(const struct recording *r, uint64_t i) {
  const uint64_t *code = recording_at(r, UL_CODES, i);
  return code ? *code : 0;
}

const struct ul_node *recording_node(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_NODES, i);
}

const struct ul_site *recording_site(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_SITES, i);
}

const struct ul_arena *recording_arena(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_ARENAS, i);
}

const struct ul_large *recording_large(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_LARGES, i);
}

const struct ul_snapshot *recording_snapshot(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_SNAPSHOTS, i);
}

const struct ul_leak *recording_leak(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_LEAKS, i);
}

const struct ul_drag *recording_drag(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_DRAGS, i);
}

const struct ul_fill *recording_fill(const struct recording *r, uint64_t site) {
  return recording_at(r, UL_FILLS, site);
}

const struct ul_mapping *recording_mapping(const struct recording *r, uint64_t i) {
  return recording_at(r, UL_MAPPINGS, i);
}

uint64_t recording_entry(const struct recording *r, uint64_t i) {
  const uint64_t *e = recording_at(r, UL_ENTRIES, i);
  return e ? *e : 0;
}

enum ul_verdict recording_verdict(const struct recording *r, uint64_t entry) {
  const uint64_t *word = recording_at(r, UL_VERDICT_WORDS, entry / UL_WORD_VERDICTS);
  if (!(r->header.features & UL_FEATURE_VERDICTS) || !word) return UL_NO_VERDICT;
  enum ul_verdict verdict = (*word >> ul_verdict_shift(entry) & 3) + 1;
  bool known = r->header.scan.state == UL_SCAN_DONE || verdict == UL_REACHABLE;
  return known ? verdict : UL_NO_VERDICT;
}

const char *recording_text(const struct recording *r, uint32_t offset) {
  const char *text = recording_at(r, UL_TEXT, offset);
  return offset && text ? text : "";
}

const char *recording_argument(const struct recording *r, uint32_t i) {
  if (i >= r->header.command_count) return NULL;
  const char *text = part_at(r, UL_TEXT, r->header.command);
  while (i--)
    text += strlen(text) + 1;
  return text;
}

/* The next caller's code; 0: there is none. Parents have smaller numbers: this ends. */
static uint32_t caller(const struct recording *r, uint32_t *node) {
  if (*node < UL_NODE_RESERVED) return 0;
  const struct ul_node *n = (const struct ul_node *)r->tables[UL_NODES].data + *node;
  *node = n->parent;
  return n->code;
}

size_t recording_stack(const struct recording *r, uint32_t site, uint64_t *codes,
                       size_t max, uint32_t *end) {
  const struct ul_site *s = recording_site(r, site);
  uint32_t node = s ? s->parent : UL_NODE_ROOT;
  size_t n = 0;
  for (uint32_t code = s ? ul_site_code(s) : 0; code; code = caller(r, &node), n++)
    if (codes && n < max) codes[n] = recording_code(r, code);
  if (end) *end = node < UL_NODE_RESERVED ? node : UL_NODE_BROKEN;
  return n;
}

uint64_t recording_address(const struct recording *r, uint64_t code) {
  const struct ul_module *m = recording_module(r, ul_code_module(code));
  return ul_code_offset(code) + (m ? m->bias : 0);
}

const char *recording_site_note(uint32_t site) {
  static const char *const notes[UL_SITE_RESERVED] = {
      [UL_SITE_NONE] = "(no site)",
      [UL_SITE_EARLY] = "(allocated before ullage was up)",
      [UL_SITE_NO_STACK] = "(no call stack could be had)",
      [UL_SITE_ULLAGE] = "(allocated on behalf of ullage)",
      [UL_SITE_OVERFLOW] = "(the table of call sites was full)",
      [UL_SITE_LOADER] = "(allocated by the dynamic loader)"};
  return site < UL_SITE_RESERVED ? notes[site] : NULL;
}

uint64_t recording_block_bytes(const struct recording *r, const struct ul_pool *pool) {
  if (pool->class == UL_SPAN && pool->pages) return (uint64_t)pool->pages * UL_PAGE_BYTES;
  if (pool->class == UL_SPAN) return (uint64_t)pool->units * UL_UNIT_BYTES;
  return r->header.class_bytes[pool->class];
}

uint64_t recording_pool_blocks(const struct recording *r, const struct ul_pool *pool) {
  if (pool->class == UL_SPAN) return 1;
  return (uint64_t)pool->units * UL_UNIT_BYTES / r->header.class_bytes[pool->class];
}
