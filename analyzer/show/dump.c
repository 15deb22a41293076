/* dump.c - `ullage dump`: the whole recording as text for grep and diff, one element a
 * line ("kind key=value ..."), or as JSON: one array for each kind of element.
 *
 * Nothing is symbolized, sorted or left out, but for elements that are all zero.
 * JSON is written element by element: a recording may be larger than memory for
 * its tree of objects. */
#include "answers/answers.h"
#include "answers/sites.h"
#include "read/blocks.h"
#include "read/rows.h"
#include "show/json.h"
#include "show/text.h"

#include <inttypes.h>
#include <string.h>

struct dump {
  const struct recording *r;
  FILE *f;
  bool json;
  const char *kind; /* of the JSON array that is open */
  json_t *object;
  uint64_t total; /* scratch of a visit */
};

/* ---- elements ------------------------------------------------------------------ */

static void begin(struct dump *d, const char *kind) {
  if (!d->json) {
    fputs(kind, d->f);
    return;
  }
  bool same = d->kind && strcmp(d->kind, kind) == 0;
  if (same)
    fputs(",\n  ", d->f);
  else
    fprintf(d->f, "%s\n \"%s\": [\n  ", d->kind ? "\n ]," : "{", kind);
  d->kind = kind;
  d->object = json_object();
}

static void end(struct dump *d) {
  if (!d->json) {
    fputc('\n', d->f);
    return;
  }
  json_dumpf(d->object, d->f, JSON_COMPACT);
  json_decref(d->object);
  d->object = NULL;
}

static void number(struct dump *d, const char *key, uint64_t value) {
  if (d->json)
    json_put(d->object, key, json_bytes(value));
  else
    fprintf(d->f, " %s=%" PRIu64, key, value);
}

static void integer(struct dump *d, const char *key, int64_t value) {
  if (d->json)
    json_put(d->object, key, json_integer(value));
  else
    fprintf(d->f, " %s=%" PRId64, key, value);
}

static void hex(struct dump *d, const char *key, uint64_t value) {
  char text[24];
  snprintf(text, sizeof text, "0x%" PRIx64, value);
  if (d->json)
    json_put(d->object, key, json_text(text));
  else
    fprintf(d->f, " %s=%s", key, text);
}

static void word(struct dump *d, const char *key, const char *value) {
  if (d->json)
    json_put(d->object, key, json_text(value));
  else
    fprintf(d->f, " %s=%s", key, value);
}

/* In quotes, on one line whatever it holds. */
static void quoted(struct dump *d, const char *key, const char *value) {
  if (d->json) {
    json_put(d->object, key, json_text(value));
    return;
  }
  fprintf(d->f, " %s=\"", key);
  for (const unsigned char *p = (const unsigned char *)value; *p; p++)
    if (*p < 0x20 || *p >= 0x7f)
      fprintf(d->f, "\\x%02x", *p);
    else if (*p == '"' || *p == '\\')
      fprintf(d->f, "\\%c", *p);
    else
      fputc(*p, d->f);
  fputc('"', d->f);
}

/* A name for a value of an enum, or the number. */
static void name(struct dump *d, const char *key, const char *const *names, size_t count,
                 uint64_t value) {
  if (value < count && names[value])
    word(d, key, names[value]);
  else
    number(d, key, value);
}
#define NAME(d, key, names, value)                                                       \
  name(d, key, names, sizeof names / sizeof *names, value)

/* ---- names --------------------------------------------------------------------- */

static const char *const table_names[UL_TABLES] = {
    [UL_TEXT] = "text",           [UL_MODULES] = "modules",
    [UL_CODES] = "codes",         [UL_NODES] = "nodes",
    [UL_SITES] = "sites",         [UL_CHUNKS] = "chunks",
    [UL_COUNTERS] = "counters",   [UL_ARENAS] = "arenas",
    [UL_ENTRIES] = "entries",     [UL_LARGES] = "larges",
    [UL_SNAPSHOTS] = "snapshots", [UL_ROWS] = "rows",
    [UL_HEAPS] = "heaps",         [UL_LEAKS] = "leaks",
    [UL_MAPPINGS] = "mappings",   [UL_VERDICT_WORDS] = "verdict_words",
    [UL_DRAGS] = "drags",         [UL_CARRIES] = "carries",
    [UL_FILLS] = "fills"};
static const char *const states[] = {"running", "exited", "signaled", "execed",
                                     "aborted"};
static const char *const ends[] = {"running",  "killed", "exited",
                                   "signaled", "execed", "aborted"};
static const char *const stops[] = {"none", "no_space", "reopen", "full", "memory"};
static const char *const evidences[] = {"none", "pagemap", "mincore"};
static const char *const heap_states[] = {"owned", "quarantined"};
static const char *const families[] = {"malloc", "new", "new[]", "aligned"};
static const char *const kinds[] = {"free", "timed", "peak", "final", "mark"};
static const char *const verdicts[] = {"none", "definite", "indirect", "possible",
                                       "reachable"};
static const char *const heuristics[] = UL_HEURISTIC_NAMES;
static const char *const scans[] = {"none", "running", "done", "failed", "partial"};
static const char *const mapping_kinds[] = {"anonymous", "stack",  "brk",      "code",
                                            "data",      "shared", "recording"};
static const char *const misuses[] = {
    "freed_twice", "freed_inside", "resized_after_free", "resized_inside", "mismatched",
    "missized",    "overrun",      "written_freed"};
static const char *const fallbacks[] = {
#define X(name_, text_) #name_,
    UL_FALLBACKS(X)
#undef X
};

/* ---- header -------------------------------------------------------------------- */

static void dump_format(struct dump *d) {
  const struct ul_header *h = recording_header(d->r);
  begin(d, "format");
  number(d, "version", h->version);
  number(d, "header_bytes", h->header_bytes);
  number(d, "page_bytes", h->page_bytes);
  number(d, "arena_bytes", h->arena_bytes);
  number(d, "unit_bytes", h->unit_bytes);
  number(d, "classes", h->classes);
  number(d, "segments", h->segment_count);
  number(d, "file_bytes", h->file_bytes);
  number(d, "unsettled", recording_unsettled(d->r));
  end(d);
}

static void dump_program(struct dump *d) {
  const struct ul_header *h = recording_header(d->r);
  const char *argument;
  begin(d, "program");
  quoted(d, "path", recording_text(d->r, h->program));
  quoted(d, "directory", recording_text(d->r, h->directory));
  quoted(d, "ullage", recording_text(d->r, h->ullage));
  integer(d, "pid", h->pid);
  integer(d, "ppid", h->ppid);
  number(d, "pid_start", h->pid_start);
  number(d, "start_real_ns", h->start_real_ns);
  number(d, "start_mono_ns", h->start_mono_ns);
  number(d, "forked", h->forked);
  number(d, "forked_ms", h->forked_ms);
  number(d, "features", h->features);
  number(d, "inherited_sites", h->inherited_sites);
  number(d, "inherited_bytes", h->inherited.bytes);
  number(d, "inherited_blocks", h->inherited.blocks);
  number(d, "inherited_lost_bytes", h->inherited_lost.bytes);
  number(d, "inherited_lost_blocks", h->inherited_lost.blocks);
  number(d, "ppid_start", h->ppid_start);
  number(d, "programs_before", h->programs_before);
  number(d, "limit_group", h->limits.group);
  number(d, "limit_address_space", h->limits.address_space);
  number(d, "limit_data", h->limits.data);
  number(d, "machine_bytes", h->limits.machine);
  number(d, "depth_limit", h->depth_limit);
  end(d);
  for (uint32_t i = 0; (argument = recording_argument(d->r, i)); i++) {
    begin(d, "argument");
    number(d, "index", i);
    quoted(d, "text", argument);
    end(d);
  }
}

static void dump_end(struct dump *d) {
  const struct ul_header *h = recording_header(d->r);
  begin(d, "end");
  NAME(d, "state", states, h->state);
  NAME(d, "kind", ends, recording_end(d->r));
  integer(d, "status", h->status);
  number(d, "end_ms", h->end_ms);
  quoted(d, "exec", recording_text(d->r, h->exec));
  NAME(d, "stop", stops, h->stop);
  integer(d, "stop_errno", h->stop_errno);
  number(d, "stop_ms", h->stop_ms);
  NAME(d, "residency", evidences, h->residency);
  NAME(d, "writes", evidences, h->writes);
  number(d, "writes_ms", h->writes_ms);
  number(d, "rss_bytes", h->end_rss_bytes);
  number(d, "most_rss_bytes", h->most_rss_bytes);
  number(d, "children", h->children);
  number(d, "children_kept", h->children_kept);
  number(d, "peak_slot", h->peak_slot);
  number(d, "missed_bytes", h->missed_bytes);
  number(d, "missed_ms", h->missed_ms);
  number(d, "waste_slot", h->waste_slot);
  number(d, "copied_ms", h->copied_ms);
  number(d, "pid_space", h->pid_space);
  number(d, "kills_group", h->kills.group);
  number(d, "kills_machine", h->kills.machine);
  end(d);
}

static void dump_sampling(struct dump *d) {
  const struct ul_header *h = recording_header(d->r);
  if (!(h->features & UL_FEATURE_SAMPLED)) return;
  begin(d, "sampling");
  number(d, "bytes", h->sample_bytes);
  number(d, "site", h->sample_site);
  number(d, "from_ms", h->sampled_ms);
  number(d, "from_work", h->sampled_work);
  end(d);
}

static void dump_directory(struct dump *d) {
  const struct ul_header *h = recording_header(d->r);
  for (uint32_t c = 1; c < h->classes; c++) {
    begin(d, "class");
    number(d, "index", c);
    number(d, "bytes", h->class_bytes[c]);
    end(d);
  }
  for (int t = 0; t < UL_TABLES; t++) {
    begin(d, "table");
    NAME(d, "name", table_names, (uint64_t)t);
    number(d, "count", recording_count(d->r, t));
    number(d, "element_bytes", h->table[t].element_bytes);
    end(d);
  }
  for (uint32_t i = 0; i < h->segment_count; i++) {
    begin(d, "segment");
    NAME(d, "table", table_names, h->segments[i].table);
    number(d, "offset", h->segments[i].file_offset);
    number(d, "bytes", h->segments[i].bytes);
    end(d);
  }
}

static void dump_fallbacks(struct dump *d) {
  const struct ul_header *h = recording_header(d->r);
  for (uint64_t i = 0; i < UL_FB_SLOTS; i++) {
    if (!h->fallbacks[i]) continue;
    begin(d, "fallback");
    NAME(d, "name", fallbacks, i);
    number(d, "count", h->fallbacks[i]);
    end(d);
  }
}

static void dump_misuses(struct dump *d) {
  for (uint64_t i = 0; i < UL_MISUSES * UL_MISUSE_PLACES; i++) {
    const struct ul_misuse *m = &recording_header(d->r)->misuses[i];
    if (!m->count) continue;
    begin(d, "misuse");
    NAME(d, "kind", misuses, i / UL_MISUSE_PLACES);
    number(d, "site", m->site);
    number(d, "allocated", m->allocated);
    number(d, "freed", m->freed);
    number(d, "count", m->count);
    hex(d, "address", m->address);
    number(d, "ms", m->ms);
    if (m->changed) {
      number(d, "bytes", m->bytes);
      number(d, "offset", m->offset);
      number(d, "changed", m->changed);
    }
    end(d);
  }
}

/* ---- stacks -------------------------------------------------------------------- */

static void dump_modules(struct dump *d) {
  const struct ul_module *m;
  for (uint64_t i = 0; (m = recording_module(d->r, i)); i++) {
    char id[2 * sizeof m->build_id + 1] = "";
    for (unsigned k = 0; k < m->build_id_bytes; k++)
      snprintf(id + 2 * k, 3, "%02x", m->build_id[k]);
    begin(d, "module");
    number(d, "index", i);
    quoted(d, "name", recording_text(d->r, m->name));
    hex(d, "start", m->start);
    hex(d, "end", m->end);
    hex(d, "bias", m->bias);
    number(d, "loaded_ms", m->loaded_ms);
    if (m->unloaded_ms != UINT32_MAX) number(d, "unloaded_ms", m->unloaded_ms);
    number(d, "loads", m->loads);
    quoted(d, "build_id", id);
    end(d);
  }
}

static void dump_codes(struct dump *d) {
  for (uint64_t i = 0; i < recording_count(d->r, UL_CODES); i++) {
    uint64_t code = recording_code(d->r, i);
    begin(d, "code");
    number(d, "index", i);
    hex(d, "offset", ul_code_offset(code));
    if (ul_code_module(code) != UL_NO_MODULE) number(d, "module", ul_code_module(code));
    hex(d, "address", recording_address(d->r, code));
    end(d);
  }
}

static void dump_nodes(struct dump *d) {
  const struct ul_node *n;
  for (uint64_t i = 0; (n = recording_node(d->r, i)); i++) {
    begin(d, "node");
    number(d, "index", i);
    number(d, "parent", n->parent);
    number(d, "code", n->code);
    end(d);
  }
}

static void dump_sites(struct dump *d) {
  const struct ul_site *s;
  for (uint64_t i = 0; (s = recording_site(d->r, i)); i++) {
    begin(d, "site");
    number(d, "index", i);
    number(d, "parent", s->parent);
    number(d, "code", ul_site_code(s));
    number(d, "sampled", s->code / UL_SITE_OF_SAMPLES);
    number(d, "depth", recording_stack(d->r, (uint32_t)i, NULL, 0, NULL));
    end(d);
  }
}

/* ---- counters ------------------------------------------------------------------ */

static void dump_counter(struct dump *d, const struct ul_counter *c, uint64_t site,
                         uint32_t heap) {
  if (!c->allocations && !c->frees) return;
  begin(d, "counter");
  number(d, "site", site);
  number(d, "heap", heap);
  number(d, "allocations", c->allocations);
  number(d, "allocated_bytes", c->allocated_bytes);
  number(d, "frees", c->frees);
  number(d, "freed_bytes", c->freed_bytes);
  number(d, "temporary", c->temporary);
  number(d, "lifetime_ms", c->lifetime_ms);
  end(d);
}

static void dump_counters(struct dump *d) {
  const struct ul_chunk *c;
  for (uint64_t i = 0; (c = recording_at(d->r, UL_CHUNKS, i)); i++)
    for (uint64_t k = 0; k < UL_CHUNK_SITES; k++)
      dump_counter(d, recording_at(d->r, UL_COUNTERS, i * UL_CHUNK_SITES + k),
                   c->first_site + k, c->heap);
}

/* In units of 2^UL_CARRY_BITS. */
static void dump_carries(struct dump *d) {
  const struct ul_carry *c;
  for (uint64_t i = 0; (c = recording_at(d->r, UL_CARRIES, i)); i++) {
    if (!c->site) continue;
    begin(d, "carry");
    number(d, "site", c->site);
    number(d, "heap", c->heap);
    integer(d, "allocations", c->allocations);
    integer(d, "allocated_bytes", c->allocated_bytes);
    integer(d, "frees", c->frees);
    integer(d, "freed_bytes", c->freed_bytes);
    integer(d, "temporary", c->temporary);
    integer(d, "lifetime_ms", c->lifetime_ms);
    end(d);
  }
}

static void dump_heaps(struct dump *d) {
  const struct ul_heap_record *h;
  for (uint64_t i = 0; (h = recording_at(d->r, UL_HEAPS, i)); i++) {
    begin(d, "heap");
    number(d, "index", i);
    integer(d, "tid", h->tid);
    NAME(d, "state", heap_states, h->state);
    number(d, "born_ms", h->born_ms);
    number(d, "adopted", h->adopted);
    end(d);
  }
}

/* Sites whose counters and ledger tell different numbers of live blocks. */
static void dump_differences(struct dump *d) {
  struct sites *s = sites_load(d->r);
  for (size_t i = 0; s && s->disagreeing && i < s->count; i++) {
    const struct site_sum *sum = &s->sum[i];
    uint64_t blocks = sum->count.allocations - sum->count.frees;
    uint64_t bytes = sum->count.allocated_bytes - sum->count.freed_bytes;
    if (blocks == sum->blocks && bytes == sum->bytes) continue;
    begin(d, "difference");
    number(d, "site", i);
    integer(d, "counted_blocks", (int64_t)blocks);
    integer(d, "counted_bytes", (int64_t)bytes);
    number(d, "ledger_blocks", sum->blocks);
    number(d, "ledger_bytes", sum->bytes);
    end(d);
  }
  sites_free(s);
}

/* ---- ledger -------------------------------------------------------------------- */

static uint64_t ones(const uint64_t *bits) {
  uint64_t n = 0;
  for (unsigned i = 0; i < UL_ARENA_PAGES / 64; i++)
    n += (uint64_t)__builtin_popcountll(bits[i]);
  return n;
}

static void dump_arenas(struct dump *d) {
  const struct ul_arena *a;
  for (uint64_t i = 0; (a = recording_arena(d->r, i)); i++) {
    if (!a->base) continue;
    begin(d, "arena");
    number(d, "index", i);
    hex(d, "base", a->base);
    number(d, "resident_pages", ones(a->resident));
    number(d, "written_pages", ones(a->written));
    end(d);
  }
}

static void count_one(const struct live_block *b, void *context) {
  (void)b;
  ((struct dump *)context)->total++;
}

static void dump_pools(struct dump *d) {
  const struct ul_arena *a;
  for (uint64_t i = 0; (a = recording_arena(d->r, i)); i++)
    for (uint64_t unit = 0; a->base && unit < UL_UNITS; unit++) {
      const struct ul_pool *p = &a->pools[unit];
      if (!p->units) continue;
      d->total = 0;
      blocks_each_in_pool(d->r, a, p, count_one, d);
      begin(d, "pool");
      number(d, "arena", i);
      number(d, "unit", unit);
      number(d, "units", p->units);
      number(d, "class", p->class);
      number(d, "block_bytes", recording_block_bytes(d->r, p));
      number(d, "capacity", recording_pool_blocks(d->r, p));
      number(d, "live", d->total);
      number(d, "entry", p->entry);
      end(d);
    }
}

static void dump_block(const struct live_block *b, void *context) {
  struct dump *d = context;
  enum ul_verdict verdict = blocks_verdict(d->r, b);
  begin(d, "block");
  hex(d, "address", b->address);
  number(d, "requested", b->requested);
  number(d, "usable", b->usable);
  number(d, "site", ul_entry_site(b->entry));
  number(d, "birth_ms", ul_birth_ms(ul_entry_birth(b->entry)));
  NAME(d, "family", families, ul_entry_family(b->entry) - UL_FAMILY_MALLOC);
  if (verdict) NAME(d, "verdict", verdicts, verdict);
  end(d);
}

static void dump_larges(struct dump *d) {
  const struct ul_large *l;
  for (uint64_t i = 0; (l = recording_large(d->r, i)); i++) {
    if (!l->base) continue;
    begin(d, "large");
    number(d, "index", i);
    hex(d, "base", l->base);
    number(d, "mapped", l->mapped_bytes);
    number(d, "requested", l->requested_bytes);
    number(d, "resident", l->resident_bytes);
    number(d, "resident_end", l->resident_end);
    number(d, "written", l->written_bytes);
    end(d);
  }
}

/* ---- time, scan, mappings ------------------------------------------------------ */

static void dump_snapshot(struct dump *d, uint64_t i, const struct ul_snapshot *s) {
  begin(d, "snapshot");
  number(d, "index", i);
  NAME(d, "kind", kinds, s->kind);
  number(d, "ms", s->ms);
  number(d, "live_bytes", s->live_bytes);
  number(d, "live_blocks", s->live_blocks);
  number(d, "allocations", s->allocations);
  number(d, "allocated_bytes", s->allocated_bytes);
  number(d, "rss_bytes", s->rss_bytes);
  number(d, "mapped_bytes", s->mapped_bytes);
  number(d, "arena_bytes", s->arena_bytes);
  number(d, "large_bytes", s->large_bytes);
  number(d, "cached_bytes", s->cached_bytes);
  number(d, "pool_bytes", s->pool_bytes);
  number(d, "empty_bytes", s->empty_bytes);
  number(d, "small_requested", s->small_requested);
  number(d, "small_slack", s->small_slack);
  number(d, "free_bytes", s->free_bytes);
  number(d, "tail_bytes", s->tail_bytes);
  number(d, "large_requested", s->large_requested);
  number(d, "large_slack", s->large_slack);
  number(d, "tool_bytes", s->tool_bytes);
  number(d, "recording_bytes", s->recording_bytes);
  number(d, "arenas", s->arenas);
  number(d, "larges", s->larges);
  number(d, "other_bytes", s->other_bytes);
  number(d, "other_blocks", s->other_blocks);
  number(d, "other_allocations", s->other_allocations);
  number(d, "other_allocated_bytes", s->other_allocated_bytes);
  number(d, "row_bytes", s->row_bytes);
  number(d, "site_rows", s->rows[UL_ROW_SITE]);
  number(d, "node_rows", s->rows[UL_ROW_NODE]);
  number(d, "code_rows", s->rows[UL_ROW_CODE]);
  number(d, "waste_rows", s->rows[UL_ROW_WASTE]);
  number(d, "least_site_bytes", ul_row_least(s, UL_ROW_SITE));
  number(d, "least_node_bytes", ul_row_least(s, UL_ROW_NODE));
  number(d, "least_code_bytes", ul_row_least(s, UL_ROW_CODE));
  number(d, "least_waste_bytes", ul_row_least(s, UL_ROW_WASTE));
  number(d, "waste_bytes", s->waste_bytes);
  if (s->kind == UL_SNAPSHOT_MARK) quoted(d, "mark", recording_text(d->r, s->mark));
  end(d);
}

static void dump_rows(struct dump *d, uint64_t i, const struct ul_snapshot *s) {
  static const char *const of[] = {"site", "node", "code", "site"};
  struct rows rows = rows_of(d->r, s);
  struct row row;
  while (rows_next(&rows, &row)) {
    begin(d, "row");
    number(d, "snapshot", i);
    number(d, of[row.kind], row.number);
    number(d, row.kind == UL_ROW_WASTE ? "pinned" : "blocks", row.blocks);
    number(d, row.kind == UL_ROW_WASTE ? "slack" : "bytes", row.bytes);
    end(d);
  }
}

static void dump_snapshots(struct dump *d) {
  const struct ul_snapshot *s;
  for (uint64_t i = 0; (s = recording_snapshot(d->r, i)); i++)
    if (s->kind != UL_SNAPSHOT_FREE) dump_snapshot(d, i, s);
  for (uint64_t i = 0; (s = recording_snapshot(d->r, i)); i++)
    if (s->kind != UL_SNAPSHOT_FREE) dump_rows(d, i, s);
}

static void dump_scan(struct dump *d) {
  const struct ul_scan *s = &recording_header(d->r)->scan;
  begin(d, "scan");
  NAME(d, "state", scans, s->state);
  integer(d, "error", s->error);
  number(d, "at_ms", s->at_ms);
  number(d, "took_us", s->took_us);
  number(d, "root_bytes", s->root_bytes);
  number(d, "heap_bytes", s->heap_bytes);
  number(d, "threads", s->threads);
  number(d, "threads_unstopped", s->threads_unstopped);
  number(d, "unreadable_pages", s->unreadable_pages);
  number(d, "limit_seconds", s->limit_seconds);
  number(d, "leaders_unknown", s->leaders_unknown);
  end(d);
  for (uint64_t v = UL_NO_VERDICT; v < UL_VERDICTS; v++) {
    begin(d, "verdict");
    NAME(d, "name", verdicts, v);
    number(d, "blocks", s->totals[v].blocks);
    number(d, "bytes", s->totals[v].bytes);
    end(d);
  }
  for (uint64_t h = 0; h < UL_HEURISTICS; h++) {
    struct ul_amount by = leaks_rescued(d->r, (enum ul_heuristic)h);
    begin(d, "rescued");
    NAME(d, "name", heuristics, h);
    number(d, "blocks", by.blocks);
    number(d, "bytes", by.bytes);
    end(d);
  }
}

static void dump_leaks(struct dump *d) {
  const struct ul_leak *l;
  for (uint64_t i = 0; (l = recording_leak(d->r, i)); i++) {
    if (!l->blocks) continue;
    begin(d, "leak");
    NAME(d, "verdict", verdicts, l->verdict);
    number(d, "site", l->site);
    number(d, "blocks", l->blocks);
    number(d, "bytes", l->bytes);
    number(d, "indirect_blocks", l->indirect_blocks);
    number(d, "indirect_bytes", l->indirect_bytes);
    number(d, "oldest_ms", ul_birth_ms(l->oldest_birth));
    number(d, "newest_ms", ul_birth_ms(l->newest_birth));
    hex(d, "example", l->example);
    end(d);
  }
}

static void dump_drags(struct dump *d) {
  const struct ul_drag *drag;
  for (uint64_t i = 0; (drag = recording_drag(d->r, i)); i++) {
    if (!drag->blocks) continue;
    begin(d, "drag");
    number(d, "leader", drag->leader);
    number(d, "dragged", drag->dragged);
    number(d, "blocks", drag->blocks);
    number(d, "bytes", drag->bytes);
    end(d);
  }
}

static void dump_fills(struct dump *d) {
  const struct ul_fill *f;
  for (uint64_t i = 0; (f = recording_fill(d->r, i)); i++) {
    if (!f->blocks) continue;
    begin(d, "fill");
    number(d, "site", i);
    number(d, "blocks", f->blocks);
    number(d, "bytes", f->bytes);
    number(d, "never_written", f->never_written);
    end(d);
  }
}

static void dump_mappings(struct dump *d) {
  const struct ul_mapping *m;
  for (uint64_t i = 0; (m = recording_mapping(d->r, i)); i++) {
    begin(d, "mapping");
    hex(d, "start", m->start);
    hex(d, "end", m->end);
    NAME(d, "kind", mapping_kinds, m->kind);
    number(d, "rss", m->rss);
    number(d, "heap_rss", m->heap_rss);
    number(d, "tool_rss", m->tool_rss);
    quoted(d, "name", recording_text(d->r, m->name));
    end(d);
  }
}

static int dump(void *model, bool json, const struct view_options *o) {
  struct recording *r = ((const struct context *)model)->named->recording;
  struct dump d = {.r = r, .f = o->out, .json = json};
  dump_format(&d);
  dump_program(&d);
  dump_end(&d);
  dump_sampling(&d);
  dump_directory(&d);
  dump_fallbacks(&d);
  dump_misuses(&d);
  dump_modules(&d);
  dump_codes(&d);
  dump_nodes(&d);
  dump_sites(&d);
  dump_heaps(&d);
  dump_counters(&d);
  dump_carries(&d);
  dump_differences(&d);
  dump_arenas(&d);
  dump_pools(&d);
  dump_larges(&d);
  blocks_each(r, dump_block, &d);
  dump_snapshots(&d);
  dump_scan(&d);
  dump_leaks(&d);
  dump_drags(&d);
  dump_fills(&d);
  dump_mappings(&d);
  if (d.json) fputs("\n ]\n}\n", d.f);
  return text_finish(o);
}

int dump_text(void *model, const struct view_options *o) {
  return dump(model, false, o);
}

int dump_json(void *model, const struct view_options *o) {
  return dump(model, true, o);
}
