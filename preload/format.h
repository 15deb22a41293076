/* format.h - the binary layout of a recording: the one contract between the
 * preload (which writes it, mapped, while the program runs) and the analyzer
 * (which reads it, perhaps at the same moment).
 *
 * A recording is one file: a header of UL_HEADER_BYTES, then segments.
 *
 *     0          struct ul_header   (with the segment directory)
 *     64 KiB     segment 0, segment 1, ...   in order of allocation
 *
 * A segment belongs to one table and holds a run of that table's bytes:
 * the table is the concatenation of its segments in directory order. A
 * segment's file offset and size are multiples of UL_SEGMENT_GRAIN. Tables are arrays of
 * fixed-size elements (element sizes are in the header and never change for a
 * format version; `count` elements are in use; no element straddles two
 * segments, but UL_TEXT strings may).
 *
 * Byte order is the machine's (x86-64: little endian); the header says so.
 *
 * Version rule. `version` is raised when an old reader would misread the file;
 * readers refuse a larger one. Additions that an old reader can ignore (a new
 * table, a new header field in reserved space, a new fallback) do not raise it; their bit
 * in header.features says whether they are there.
 *
 * The writer never waits for a reader. What may be seen half-done:
 *  - header.table[].count and segment_count are stored (release) after what
 *    they cover, so elements below count are initialised;
 *  - ledger entries are single aligned 8-byte stores; 0 means "no live block";
 *  - a snapshot slot carries a sequence number, odd while it is rewritten;
 *  - counters of one site are read one word at a time, so a live reader may
 *    see an allocation counted whose bytes are not yet.
 *
 * Units: bytes; milliseconds since the start of the recording ("ms"), unless
 * a name says otherwise. No pointer in the file is to be dereferenced by the
 * reader: addresses are the recorded program's. */
#ifndef ULLAGE_FORMAT_H
#define ULLAGE_FORMAT_H

#include <stdint.h>

/* CR LF and a high byte, as in PNG: a transfer in text mode is noticed. */
#define UL_MAGIC "\x8bULL\r\n\x1a\n"
#define UL_VERSION 2u
#define UL_BYTE_ORDER 0x01020304u
#define UL_HEADER_BYTES (64u * 1024u)
#define UL_SEGMENTS 1024u
#define UL_SEGMENT_GRAIN 64u
#define UL_NO_MODULE 0xffffu

/* Geometry of the heap (heap/geometry.h has the same, word for word); also written to the
 * header. */
#define UL_ARENA_BYTES (1u << 20)
#define UL_UNIT_BYTES (1u << 14)
#define UL_UNITS (UL_ARENA_BYTES / UL_UNIT_BYTES)
#define UL_CLASSES 64 /* class 0 is a span: one block of whole pages */
#define UL_SPAN 0
#define UL_PAGE_BYTES 4096u
#define UL_ARENA_PAGES (UL_ARENA_BYTES / UL_PAGE_BYTES)

/* ---- tables -------------------------------------------------------------------- */

enum ul_table {
  UL_TEXT,          /* bytes: NUL-terminated strings; offset 0 is "" */
  UL_MODULES,       /* struct ul_module */
  UL_CODES,         /* uint64_t: each return address of the call stacks once */
  UL_NODES,         /* struct ul_node: callers, the trie of call stacks */
  UL_SITES,         /* struct ul_site: the leaves of that trie */
  UL_CHUNKS,        /* struct ul_chunk: whose counters, for which sites */
  UL_COUNTERS,      /* struct ul_counter, UL_CHUNK_SITES for each chunk */
  UL_ARENAS,        /* struct ul_arena */
  UL_ENTRIES,       /* uint64_t ledger entries of blocks in pools */
  UL_LARGES,        /* struct ul_large */
  UL_SNAPSHOTS,     /* struct ul_snapshot, a fixed number of slots */
  UL_ROWS,          /* bytes: the rows of snapshots */
  UL_HEAPS,         /* struct ul_heap_record: one for each thread heap */
  UL_LEAKS,         /* struct ul_leak: what the scan at exit found */
  UL_MAPPINGS,      /* struct ul_mapping: the address space at exit */
  UL_CARRIES,       /* struct ul_carry: what counters have no room for */
  UL_VERDICT_WORDS, /* uint64_t: of each entry in UL_ENTRIES, the scan's verdict */
  UL_DRAGS,         /* struct ul_drag: which lost sites drag which along */
  UL_FILLS,         /* struct ul_fill: what was never written, element i of site i */
  UL_TABLES
};

struct ul_table_head {
  uint64_t count; /* elements in use */
  uint32_t element_bytes;
  uint32_t reserved;
};

struct ul_segment {
  uint64_t file_offset; /* multiple of 4096, at least UL_HEADER_BYTES */
  uint64_t bytes;       /* multiple of 4096 */
  uint32_t table;       /* enum ul_table */
  uint32_t reserved;
};

/* A loaded object. Kept after dlclose: stacks recorded before still need it. One that
 * comes back is the same, wherever it is loaded then. Address a of the process is a -
 * bias in the object's own file. */
struct ul_module {
  uint64_t bias;        /* this and its span: as it was loaded last */
  uint64_t start, end;  /* span of its PT_LOAD segments */
  uint32_t loaded_ms;   /* first seen */
  uint32_t unloaded_ms; /* UINT32_MAX while loaded */
  uint32_t name;        /* UL_TEXT: absolute path, "[vdso]" */
  uint16_t loads;       /* how often it was loaded */
  uint8_t build_id_bytes;
  uint8_t reserved;
  uint8_t build_id[24];
}; /* 64 bytes */

/* A return address, known by the object in which it lies and its address in that object's
 * own file, so that it stays the same when the object is loaded elsewhere; of code in no
 * object, its address in the process. One word:
 *
 *     63..48 module: index in UL_MODULES, or UL_NO_MODULE (JIT code)   47..0 offset
 *
 * Symbolize offset - 1. Code 0 is none. */
#define UL_CODE_RESERVED 1u
static inline uint64_t ul_code(uint16_t module, uint64_t offset) {
  return (uint64_t)module << 48 | (offset & 0xffffffffffff);
}
static inline uint16_t ul_code_module(uint64_t code) {
  return (uint16_t)(code >> 48);
}
static inline uint64_t ul_code_offset(uint64_t code) {
  return code & 0xffffffffffff;
}

/* Trie node: a return address under the stack of its callers. The stack of a node is its
 * own code, then its parent's, and so on: innermost first. Node 0 is the outer end of
 * complete stacks, node 1 the outer end of stacks that were cut at the depth limit, node
 * 2 the outer end of stacks on which the unwinder gave up. */
#define UL_NODE_ROOT 0u
#define UL_NODE_CUT 1u
#define UL_NODE_BROKEN 2u
#define UL_NODE_RESERVED 3u
struct ul_node {
  uint32_t parent; /* a smaller index */
  uint32_t code;   /* 0: not in use */
};                 /* 8 bytes */

/* A call site: a stack on which something was allocated, by its innermost frame and the
 * node of that frame's caller. */
#define UL_SITE_NONE 0u     /* never in the ledger */
#define UL_SITE_EARLY 1u    /* allocated before the preload was up */
#define UL_SITE_NO_STACK 2u /* no stack could be had */
#define UL_SITE_ULLAGE 3u   /* allocated on behalf of ullage itself */
#define UL_SITE_OVERFLOW 4u /* the table of sites is full */
#define UL_SITE_LOADER 5u   /* of a sampled recording: allocated by the dynamic loader */
#define UL_SITE_RESERVED 6u
#define UL_SITES_MAX (1u << 24)
struct ul_site {
  uint32_t parent; /* node */
  uint32_t code;   /* ul_site_code(), and whether it is a sampled one */
};                 /* 8 bytes */

/* A stack of sampled blocks, so what the site has is an estimate (weight.h). What the
 * same stack had before there were samples has a site of its own, and is exact. */
#define UL_SITE_OF_SAMPLES (UINT32_C(1) << 31)
/* 0: it has no stack, or is not in use. */
static inline uint32_t ul_site_code(const struct ul_site *s) {
  return s->code & ~UL_SITE_OF_SAMPLES;
}

/* Each thread heap counts for itself; a site's totals are the sums over all
 * chunks. Live = allocations - frees, in blocks and in requested bytes; one
 * heap's share may be negative (allocated here, freed there), the sum is not.
 * Counter index i belongs to chunk i / UL_CHUNK_SITES and to site
 * chunk.first_site + i % UL_CHUNK_SITES. */
#define UL_CHUNK_SITES 8u
struct ul_chunk {
  uint32_t heap; /* index in UL_HEAPS */
  uint32_t first_site;
};
struct ul_counter {
  uint32_t allocations, allocated_bytes;
  uint32_t frees, freed_bytes;
  uint32_t temporary;   /* freed within 3 further allocations of the thread */
  uint32_t lifetime_ms; /* summed over the freed blocks, but temporary ones */
};                      /* 24 bytes */

/* A number of a counter that has reached 2^UL_CARRY_BITS goes down by so much, and one up
 * here: the whole is counter + carry * 2^UL_CARRY_BITS. At most one for each heap and
 * site. Between the two stores a reader finds it too small by that. In a forked child,
 * where counters begin with what is live, carries may be negative. */
#define UL_CARRY_BITS 31
struct ul_carry {
  uint32_t heap; /* index in UL_HEAPS */
  uint32_t site; /* 0: not in use */
  int32_t allocations, allocated_bytes;
  int32_t frees, freed_bytes;
  int32_t temporary, lifetime_ms;
}; /* 32 bytes */

/* Of the blocks of a site that were filled when they were allocated (UL_FEATURE_GUARDED):
 * what of the fill was there still when they were freed, resized, or live at the end. */
struct ul_fill {
  uint64_t blocks, bytes; /* requested */
  uint64_t never_written; /* of these bytes, in whole words of 8 */
  uint64_t reserved;
}; /* 32 bytes */

struct ul_heap_record {
  int32_t tid;      /* last owner */
  uint32_t state;   /* enum ul_heap_state */
  uint32_t born_ms; /* first used */
  uint32_t adopted; /* how many threads took it over */
};
enum ul_heap_state { UL_HEAP_OWNED, UL_HEAP_QUARANTINED };

/* A pool, described in the slot of its first unit. units == 0: no pool starts
 * here. Blocks: class_bytes[class] bytes each, capacity = units * unit_bytes /
 * class_bytes, entry i of the pool is UL_ENTRIES[entry + i]; block i starts at
 * arena base + unit * unit_bytes + i * class_bytes. A span (class UL_SPAN) has
 * one block of `pages` whole pages; UL_ENTRIES[entry + 1] is its requested size; what
 * is left of its units is tail. */
struct ul_pool {
  uint32_t entry;
  uint8_t class;
  uint8_t units;
  uint16_t pages; /* of a span: of its block; 0: all of its units */
};
struct ul_arena {
  uint64_t base;                          /* 0: the slot is not in use */
  uint64_t resident[UL_ARENA_PAGES / 64]; /* bit a page; see header.residency */
  uint64_t written[UL_ARENA_PAGES / 64];  /* bit a page; see header.writes */
  struct ul_pool pools[UL_UNITS];
  uint64_t reserved[55];
}; /* 1024 bytes */

/* A block with a mapping of its own. */
struct ul_large {
  uint64_t base;         /* 0: the slot is not in use */
  uint64_t mapped_bytes; /* whole pages */
  uint64_t requested_bytes;
  uint64_t entry;          /* as in UL_ENTRIES; its slack field is 0 */
  uint64_t resident_bytes; /* see header.residency */
  uint64_t resident_end;   /* bytes up to the end of the last resident page */
  uint64_t written_bytes;  /* see header.writes */
  uint32_t verdict;        /* enum ul_verdict; see UL_FEATURE_VERDICTS */
  uint32_t reserved;
}; /* 64 bytes */

/* Ledger entry: one word for each block that can be live.
 *
 *     63..61 family   60..48 slack   47..24 birth   23..0 site
 *
 * Bit 63 says that one lives. If none does, site and birth are those of the block that
 * was here last, or 0: not known; with bit 62 set, the slack is, too, and the site where
 * it was freed is in place of its birth; with bit 61, it is kept from being given out
 * again.
 *
 * slack = usable - requested bytes, at most UL_SLACK_MAX by the choice of classes
 * (class.h) and by realloc; birth is a 24-bit float of milliseconds: exact below
 * 2^19 ms (8.7 minutes), later a relative precision of 2^-18. Births compare
 * as the times they stand for. */
#define UL_SLACK_MAX 0x1fffu
#define UL_ENTRY_BIRTH (UINT64_C(0xffffff) << 24)
#define UL_ENTRY_LIVE (UINT64_C(1) << 63)
#define UL_ENTRY_FREED_AT (UINT64_C(1) << 62)
#define UL_ENTRY_KEPT (UINT64_C(1) << 61)
enum ul_family {
  UL_FAMILY_MALLOC = 4,
  UL_FAMILY_NEW,
  UL_FAMILY_NEW_ARRAY,
  UL_FAMILY_ALIGNED
};

static inline uint64_t ul_entry(uint32_t site, uint32_t birth, uint64_t slack,
                                enum ul_family family) {
  return (uint64_t)site | (uint64_t)birth << 24 | slack << 48 | (uint64_t)family << 61;
}
static inline int ul_entry_is_live(uint64_t e) {
  return (e & UL_ENTRY_LIVE) != 0;
}
static inline uint32_t ul_entry_site(uint64_t e) {
  return e & 0xffffff;
}
static inline uint32_t ul_entry_birth(uint64_t e) {
  return e >> 24 & 0xffffff;
}
static inline uint32_t ul_entry_slack(uint64_t e) {
  return e >> 48 & 0x1fff;
}
static inline enum ul_family ul_entry_family(uint64_t e) {
  return (enum ul_family)(e >> 61);
}

/* Birth: values below 2^19 stand for themselves; above, 18 bits of mantissa
 * (the leading one is implied) and an exponent in the bits above. */
static inline uint32_t ul_birth(uint64_t ms) {
  if (ms < 1u << 19) return (uint32_t)ms;
  unsigned shift = 45 - (unsigned)__builtin_clzll(ms); /* keeps 19 bits */
  if (shift > 30) return 0xffffff;
  return (shift + 1) << 18 | (uint32_t)(ms >> shift & 0x3ffff);
}
static inline uint64_t ul_birth_ms(uint32_t birth) {
  if (birth < 1u << 19) return birth;
  return ((uint64_t)(birth & 0x3ffff) | 1u << 18) << ((birth >> 18) - 1);
}

/* A time in 32 bits; from 49.7 days on all are the last. (UINT32_MAX has a meaning of its
 * own: not yet.) */
static inline uint32_t ul_ms32(uint64_t ms) {
  return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX - 1;
}

/* ---- snapshots ----------------------------------------------------------------- */

#define UL_SNAPSHOT_SLOTS 128u
enum ul_snapshot_kind {
  UL_SNAPSHOT_FREE,  /* slot not in use */
  UL_SNAPSHOT_TIMED, /* by the clock */
  UL_SNAPSHOT_PEAK,  /* live bytes at a new peak; the newest one counts */
  UL_SNAPSHOT_FINAL, /* at exit */
  UL_SNAPSHOT_MARK,  /* asked for, and kept under its name; one of a name */
  UL_SNAPSHOT_KINDS
};
#define UL_MARKS 32u      /* names at most */
#define UL_MARK_BYTES 56u /* of a name, with its NUL; it may be part of a file's name */
static inline int ul_mark_is_name(const char *name) {
  unsigned n = 0;
  while (n < UL_MARK_BYTES && (unsigned char)name[n] >= ' ' && name[n] != 0x7f &&
         name[n] != '/' && name[n] != '@')
    n++;
  return n && n < UL_MARK_BYTES && !name[n];
}

enum ul_row_kind { UL_ROW_SITE, UL_ROW_NODE, UL_ROW_CODE, UL_ROW_WASTE, UL_ROW_KINDS };

/* The accounting identity, all at one moment:
 *   mapped = arena + large + cached
 *   arena  = pool + empty
 *   pool   = small_requested + small_slack + free + tail
 *   large  = large_requested + large_slack
 *   live   = small_requested + large_requested
 * "small" is everything in pools, spans included. */
struct ul_snapshot {
  uint32_t sequence; /* odd while the slot is being rewritten */
  uint32_t kind;
  uint64_t ms;
  uint64_t row; /* first byte of its rows in UL_ROWS */
  uint32_t row_bytes;
  uint32_t rows[UL_ROW_KINDS];
  uint8_t least_log2[UL_ROW_KINDS]; /* what has a row has 2^this bytes or more */
  uint64_t live_bytes, live_blocks;
  uint64_t allocations, allocated_bytes; /* frees = allocations - live_blocks */
  uint64_t rss_bytes;                    /* 0: could not be read */
  uint64_t mapped_bytes, arena_bytes, large_bytes, cached_bytes;
  uint64_t pool_bytes, empty_bytes;
  uint64_t small_requested, small_slack, free_bytes, tail_bytes;
  uint64_t large_requested, large_slack;
  uint64_t tool_bytes; /* private memory of ullage itself, mapped */
  uint64_t recording_bytes;
  uint32_t arenas, larges;
  /* Of live_*, allocations and allocated_bytes: not this process's doing, but that of
   * ullage's libraries (UL_SITE_ULLAGE), or of its parent before the fork. */
  uint64_t other_bytes, other_blocks;
  uint64_t other_allocations, other_allocated_bytes;
  uint64_t waste_bytes; /* of the heap: resident, as far as that is known, but not live */
  uint32_t mark;        /* UL_TEXT: the name of a UL_SNAPSHOT_MARK */
  uint32_t reserved;
}; /* 256 bytes */

/* Rows: who holds what was live then. First those of sites, then of nodes, then of codes,
 * each by number. A row is three numbers,
 *
 *     what is added to the number of the row before (of the first of a kind: to 0)
 *     blocks
 *     bytes
 *
 * each in groups of 7 bits, the lowest first, with bit 7 set in all but the last.
 *
 * A site that holds less than the least has no row: what it holds is handed to its parent
 * node. A node to which less than the least of nodes was handed hands it to its own
 * parent; the reserved nodes keep what comes to them. So the rows of sites and nodes add
 * up to live_bytes - other_bytes and live_blocks - other_blocks.
 *
 * A code's row is what lives at all sites in whose stacks it is, once or more often.
 *
 * A row of waste is of a site, and has other numbers: bytes of free blocks in pools,
 * which the blocks of the site keep from going back (a pool's are shared by its live
 * blocks, in equal parts), and bytes of slack. Few snapshots have such rows: peaks, and
 * the one of most waste; what is missing to free_bytes and the slacks is in no row.
 *
 * The least are powers of two: of sites, nodes and codes not above live_bytes /
 * UL_ROWS_COARSEST (or 1), nor less than half of live_bytes / UL_ROWS_FINEST. */
#define UL_ROWS_COARSEST 1024u
#define UL_ROWS_FINEST 16384u
static inline uint64_t ul_row_least(const struct ul_snapshot *s, enum ul_row_kind kind) {
  return UINT64_C(1) << (s->least_log2[kind] & 63);
}

/* ---- the scan at exit ---------------------------------------------------------- */

enum ul_verdict {
  UL_NO_VERDICT, /* not known */
  UL_DEFINITE,   /* nothing points to it (a cycle has one such leader) */
  UL_INDIRECT,   /* reached only from definitely lost blocks */
  UL_POSSIBLE,   /* reached only through pointers into the middle of blocks */
  UL_REACHABLE,
  UL_VERDICTS
};
enum ul_heuristic { /* interior pointers that keep a block reachable */
                    UL_STDSTRING,
                    UL_LENGTH64,
                    UL_NEWARRAY,
                    UL_MULTIPLE_INHERITANCE,
                    UL_CONSTANT_OFFSET,
                    UL_HEURISTICS
};
#define UL_HEURISTIC_NAMES                                                               \
  { "stdstring", "length64", "newarray", "multipleinheritance", "constantoffset" }
#define UL_HEURISTICS_OF_SCAN 4u /* these are in the scan, the others in the header */

struct ul_amount {
  uint64_t blocks, bytes;
};
static inline void ul_amount_add(struct ul_amount *to, struct ul_amount more) {
  to->blocks += more.blocks;
  to->bytes += more.bytes;
}

/* All blocks of one site with one verdict. */
struct ul_leak {
  uint32_t site;
  uint32_t verdict;
  uint64_t blocks, bytes;                   /* requested bytes */
  uint64_t indirect_blocks, indirect_bytes; /* dragged along by leaders */
  uint32_t oldest_birth, newest_birth;      /* as in a ledger entry */
  uint64_t example;                         /* address of the oldest block */
  uint64_t reserved;
}; /* 64 bytes */

/* Indirect blocks of one site that leaders of another (or the same) lead to: all of them,
 * but that each counts for one leader only. Both 0: those that found no row. */
struct ul_drag {
  uint32_t leader, dragged; /* sites */
  uint64_t blocks, bytes;
}; /* 24 bytes */

/* The verdict of the live block with entry i: two bits of word i / UL_WORD_VERDICTS of
 * UL_VERDICT_WORDS, the lowest first; the verdict - 1. After a scan that is partial, all
 * but UL_REACHABLE stands for UL_NO_VERDICT. */
#define UL_WORD_VERDICTS 32u
static inline uint32_t ul_verdict_shift(uint64_t entry) {
  return (uint32_t)(entry % UL_WORD_VERDICTS) * 2;
}

enum ul_scan_state {
  UL_SCAN_NONE,    /* not asked for, or the process did not get there */
  UL_SCAN_RUNNING, /* also what a crash of the scan leaves behind */
  UL_SCAN_DONE,
  UL_SCAN_FAILED, /* scan.error says why */
  /* The limit came before all that can be reached was met: what is called reachable is,
   * and nothing is known of the others (UL_NO_VERDICT). */
  UL_SCAN_PARTIAL
};
struct ul_scan {
  uint32_t state;
  int32_t error; /* errno */
  uint64_t at_ms, took_us;
  uint64_t root_bytes, heap_bytes; /* looked at */
  uint32_t threads;                /* whose stacks were roots */
  uint32_t threads_unstopped;      /* whose registers could not be had */
  uint64_t unreadable_pages;
  uint32_t limit_seconds; /* 0: there was none */
  /* 1: the limit came before all leaders were found: lost blocks of which it is not known
   * whether another leads to them count as definite. */
  uint32_t leaders_unknown;
  struct ul_amount totals[UL_VERDICTS], rescued[UL_HEURISTICS_OF_SCAN];
};

enum ul_mapping_kind {
  UL_MAP_ANONYMOUS,
  UL_MAP_STACK,    /* the main thread's stack */
  UL_MAP_BRK,      /* "[heap]" */
  UL_MAP_CODE,     /* private file mapping, not writable */
  UL_MAP_DATA,     /* private file mapping, writable */
  UL_MAP_SHARED,   /* shared, file or shmem */
  UL_MAP_RECORDING /* this file */
};
/* A line of /proc/PID/smaps, or what it would say. rss - heap_rss - tool_rss is not ours. */
struct ul_mapping {
  uint64_t start, end;
  uint64_t rss;
  uint64_t heap_rss; /* of it, in arenas and large blocks */
  uint64_t tool_rss; /* of it, private memory of ullage */
  uint32_t kind;
  uint32_t name; /* UL_TEXT, "" if anonymous */
  uint64_t reserved[2];
}; /* 64 bytes */

/* ---- header -------------------------------------------------------------------- */

enum ul_state {
  UL_STATE_RUNNING,  /* or killed: ask the kernel whether pid still runs */
  UL_STATE_EXITED,   /* status: exit status */
  UL_STATE_SIGNALED, /* status: signal number (written by `ullage run`) */
  UL_STATE_EXECED,   /* replaced itself by another program */
  UL_STATE_ABORTED   /* abort() was called; the signal may follow */
};

enum ul_stop { /* why the recording stops before the program */
               UL_STOP_NONE,
               UL_STOP_NO_SPACE, /* the file could not be extended; stop_errno */
               UL_STOP_REOPEN,   /* the file could not be opened again; stop_errno */
               UL_STOP_FULL,     /* a limit of the format was reached */
               UL_STOP_MEMORY,   /* ullage could not map memory for itself */
               UL_STOP_BOUND     /* the bound of a tree's bytes on the disk was reached */
};

/* What is in a recording only if its bit in header.features is set: where it is not, the
 * fields say nothing, for "not recorded" is not 0. The bit is set after what it stands
 * for is there. Bits that a reader does not know are ignored. */
enum ul_feature {
  UL_FEATURE_INHERITED = 1 << 0, /* a forked child: inherited_sites and the like */
  UL_FEATURE_VERDICTS = 1 << 1,  /* of each block; and UL_DRAGS */
  UL_FEATURE_LIMITS = 1 << 2,    /* limits */
  UL_FEATURE_SAMPLED = 1 << 3,   /* sample_site and what follows it */
  UL_FEATURE_KILLS = 1 << 4,     /* kills: by who waited for its end */
  UL_FEATURE_GUARDED = 1 << 5,   /* overruns, writes after free, UL_FILLS */
  /* UL_LEAKS has no rows of UL_REACHABLE: the ledger and the verdicts say the same. */
  UL_FEATURE_LEAKS_ONLY = 1 << 6,
};

enum ul_evidence { UL_EVIDENCE_NONE, UL_EVIDENCE_PAGEMAP, UL_EVIDENCE_MINCORE };

/* Everything that did not go as it should is counted here and shown. */
#define UL_FALLBACKS(X)                                                                  \
  X(EARLY, "allocated before ullage was up")                                             \
  X(NESTED, "allocated by ullage's own libraries")                                       \
  X(NO_STACK, "no call stack could be had")                                              \
  X(STACK_CUT, "call stack cut at the depth limit")                                      \
  X(STACK_BROKEN, "call stack incomplete: no unwind information")                        \
  X(SLOW_WALK, "frames stepped by the unwind tables, not by a rule")                     \
  X(FRAME_POINTER, "frames stepped by frame pointer")                                    \
  X(WALK_MISMATCH, "call stacks that differ from libunwind's")                           \
  X(SITES_FULL, "stacks dropped: the table of sites is full")                            \
  X(MODULES_FULL, "modules dropped: the table is full")                                  \
  X(SNAPSHOT_SKIPPED, "snapshots skipped: another was being taken")                      \
  X(SNAPSHOT_BARE, "snapshots that do not say who holds what: no room")                  \
  X(RSS_UNKNOWN, "resident size could not be read")                                      \
  X(DOUBLE_FREE, "blocks freed twice (ignored)")                                         \
  X(INVALID_FREE, "frees of an address inside a block (ignored)")                        \
  X(FOREIGN_FREE, "frees passed on to another allocator")                                \
  X(QUARANTINED, "heaps of other threads set aside after fork")                          \
  X(EXEC_FAILED, "exec calls that failed after the recording was closed")                \
  X(THREAD_UNSTOPPED, "threads whose registers the scan could not get")                  \
  X(CHILD_UNRECORDED, "forked children not recorded")                                    \
  X(UNCOUNTED, "blocks without a counter for their call site: no room")                  \
  X(NO_BARRIER,                                                                          \
    "times that freed blocks had to wait for a sleeping thread: no membarrier")          \
  X(REALLOC_OF_FREED, "reallocs of a freed block (given another, or none)")              \
  X(INVALID_REALLOC, "reallocs of an address inside a block (refused)")                  \
  X(LET_GO, "times that the end waited for a stopped thread, and let all go on")         \
  X(DEEPBIND, "objects opened without RTLD_DEEPBIND, which hides malloc from them")      \
  X(STACKS_UNKNOWN, "scans that could not tell live frames of threads from old ones")    \
  X(PROGRAM_UNFIT,                                                                       \
    "programs started without ullage: 32-bit, another libc, a sanitizer, valgrind, or "  \
    "under a filter of system calls")                                                    \
  X(CALLER_UNKNOWN, "ends at which ullage's own frames were scanned, too")               \
  X(RULES_FULL, "frames of which the rule was learned anew: no memory to keep it")       \
  X(STACKS_MANY, "call stacks told by their innermost frames: there are too many of "    \
                 "them")                                                                 \
  X(ELSEWHERE,                                                                           \
    "blocks of signal handlers that interrupted malloc: from the next allocator")        \
  X(LEFT, "blocks that handlers which interrupted malloc could not give back")           \
  X(MARK_LOST, "marks not made: too many names, a name that is none, or no room")        \
  X(MISMATCHED_FREE, "blocks freed by another family than they are of (freed)")          \
  X(MISSIZED_FREE, "blocks freed with another size than they have (freed)")              \
  X(OVERRUN, "blocks written beyond the end")                                            \
  X(WRITTEN_FREED, "blocks written after free")

enum ul_fallback {
#define X(name, text) UL_FB_##name,
  UL_FALLBACKS(X)
#undef X
      UL_FB_COUNT
};
#define UL_FB_SLOTS 64

/* What the program did to memory that is no live block of its own, and where: for each
 * kind the first UL_MISUSE_PLACES pairs of sites; all of them are in the fallbacks. */
enum ul_misuse_kind {
  UL_FREED_TWICE,
  UL_FREED_INSIDE,
  UL_RESIZED_AFTER_FREE,
  UL_RESIZED_INSIDE,
  UL_MISMATCHED,
  UL_MISSIZED,
  UL_OVERRUN,
  UL_WRITTEN_FREED,
  UL_MISUSES
};
static inline enum ul_fallback ul_misuse_counter(enum ul_misuse_kind kind) {
  static const uint8_t counters[UL_MISUSES] = {
      [UL_FREED_TWICE] = UL_FB_DOUBLE_FREE,
      [UL_FREED_INSIDE] = UL_FB_INVALID_FREE,
      [UL_RESIZED_AFTER_FREE] = UL_FB_REALLOC_OF_FREED,
      [UL_RESIZED_INSIDE] = UL_FB_INVALID_REALLOC,
      [UL_MISMATCHED] = UL_FB_MISMATCHED_FREE,
      [UL_MISSIZED] = UL_FB_MISSIZED_FREE,
      [UL_OVERRUN] = UL_FB_OVERRUN,
      [UL_WRITTEN_FREED] = UL_FB_WRITTEN_FREED,
  };
  return (enum ul_fallback)counters[kind];
}
#define UL_MISUSE_PLACES 32
struct ul_misuse {
  uint32_t site;      /* of the call; of the last two kinds, of the free or realloc of
                         the block, 0: there was none */
  uint32_t allocated; /* site of the block; 0: not known */
  uint32_t freed;     /* where the first was freed before; 0: not known */
  uint8_t family[2];  /* if mismatched: enum ul_family of the block, and of the free */
  uint16_t reserved;
  uint64_t count;         /* 0: this place is not in use */
  uint64_t address;       /* of the first */
  uint64_t ms;            /* of the first */
  uint64_t bytes, wanted; /* if missized, of the first: requested, and told when freed */
  /* Of the last two kinds, of the first: bytes were requested, and at `offset` from the
   * end (of an overrun) or the start of the block is the first of so many that were
   * found `changed`, or of that many among which some were. */
  uint32_t offset, changed;
  uint8_t found[16]; /* what was there */
};                   /* 80 bytes */

static inline int ul_misuse_is_write(enum ul_misuse_kind kind) {
  return kind == UL_OVERRUN || kind == UL_WRITTEN_FREED;
}
/* Where the program is to be changed: who has written is not known. */
static inline uint32_t ul_misuse_place(enum ul_misuse_kind kind,
                                       const struct ul_misuse *m) {
  return ul_misuse_is_write(kind) ? m->allocated : m->site;
}

/* What somebody else asks of the process (`ullage mark`), who holds a lock on the file
 * (flock): first the name, then the state. The process looks now and then while it
 * allocates. */
enum ul_ask_state {
  UL_ASK_NONE,
  UL_ASK_WANTED,
  UL_ASK_TAKEN, /* by the process, which is at it, as long as nobody takes it back */
  UL_ASK_DONE,
  UL_ASK_REFUSED
};
struct ul_ask {
  uint32_t state;
  char mark[UL_MARK_BYTES];
}; /* 60 bytes */

/* Bytes that the process may have, by its control group, by RLIMIT_AS and RLIMIT_DATA,
 * and that there are; UINT64_MAX: no limit. */
struct ul_limits {
  uint64_t group, address_space, data, machine;
};

/* Processes that the kernel killed for want of memory while this one ran: of the control
 * group in which it began, and in all. UINT32_MAX: not known. */
struct ul_kills {
  uint32_t group, machine;
};

struct ul_header {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes; /* UL_HEADER_BYTES */
  uint32_t byte_order;   /* UL_BYTE_ORDER */
  uint32_t page_bytes;
  uint32_t arena_bytes, unit_bytes;
  uint32_t classes;
  uint32_t segment_count;
  uint64_t file_bytes; /* allocated so far */

  /* Who. */
  int32_t pid, ppid;
  uint64_t pid_start;     /* field 22 of /proc/PID/stat: same pid, same process? */
  uint64_t start_real_ns; /* CLOCK_REALTIME at ms 0 */
  uint64_t start_mono_ns; /* CLOCK_MONOTONIC at ms 0 */
  uint32_t program;       /* UL_TEXT: path of the executable */
  uint32_t command;       /* UL_TEXT: arguments, each NUL-terminated ... */
  uint32_t command_count; /* ... this many, one after the other */
  uint32_t directory;     /* UL_TEXT: working directory at start */
  uint32_t ullage;        /* UL_TEXT: version of the preload */
  uint32_t forked;        /* 1: a fork without exec; 0: a program of its own */

  /* How it ended. */
  uint32_t state; /* enum ul_state */
  int32_t status;
  uint64_t end_ms; /* 0 while running */
  uint32_t exec;   /* UL_TEXT: what it replaced itself by */
  uint32_t stop;   /* enum ul_stop */
  int32_t stop_errno;
  uint32_t depth_limit;
  uint64_t stop_ms;
  uint64_t forked_ms; /* when `forked`: the ms of the fork; ms 0 is the parent's */

  /* Evidence about pages, collected at end_ms. */
  uint32_t residency; /* enum ul_evidence, for resident bits and bytes */
  uint32_t writes;    /* UL_EVIDENCE_PAGEMAP: soft-dirty bits since writes_ms */
  uint64_t writes_ms;
  uint64_t end_rss_bytes; /* from smaps, with the mappings; 0: not collected */

  uint32_t peak_slot;       /* in UL_SNAPSHOTS; UINT32_MAX: none yet */
  uint32_t children;        /* forked or spawned so far, as far as seen */
  uint32_t class_bytes[64]; /* block size of each class; [UL_SPAN] is 0 */
  uint32_t children_kept;   /* main process: recordings that its children have left */
  uint32_t tree_kib;        /* main process: on the disk for it and its children */
  uint64_t missed_bytes;    /* live, at a peak without a snapshot: too many, too costly */
  uint64_t missed_ms;
  uint64_t features; /* bits by enum ul_feature */
  /* A forked child (UL_FEATURE_INHERITED). Sites below that number are the parent's: what
   * is live there was allocated before the fork, and counts as allocated once. A stack on
   * which both have allocated is two sites. Blocks without a stack are the child's. */
  uint32_t inherited_sites;
  uint32_t waste_slot; /* in UL_SNAPSHOTS: the one of most waste; UINT32_MAX: none */
  struct ul_amount inherited;      /* live at the fork */
  struct ul_amount inherited_lost; /* of it, at the scan: in no verdict */
  uint64_t ppid_start;             /* as pid_start; 0: not known */
  struct ul_limits limits;         /* UL_FEATURE_LIMITS */
  uint32_t programs_before;        /* that were executed in this process, and recorded */
  /* UL_FEATURE_SAMPLED; weight.h. */
  uint32_t sample_site;  /* of all blocks whose stack was not looked up: it was ... */
  uint64_t sample_bytes; /* ... once in so many bytes */
  uint64_t sampled_ms;   /* until then all were; 0: never */
  uint64_t sampled_work; /* allocations and frees by then */
  uint64_t pid_space;    /* the name space that pid is of, by inode; 0: not known */
  struct ul_kills kills; /* UL_FEATURE_KILLS */
  struct ul_table_head table[32];
  uint64_t fallbacks[UL_FB_SLOTS];
  struct ul_scan scan;
  struct ul_segment segments[UL_SEGMENTS];
  struct ul_misuse misuses[UL_MISUSES * UL_MISUSE_PLACES]; /* by kind */
  struct ul_amount rescued[12]; /* by heuristics from UL_HEURISTICS_OF_SCAN on */
  /* From then on the process forbids itself most system calls (seccomp), so there is no
   * scan, no account of the address space, and no word of its end. 0: it does not. */
  uint64_t confined_ms;
  struct ul_amount
      of_main; /* lost blocks that only main's frame held, which had called exit */
  struct ul_ask ask;
  uint64_t copied_ms; /* this is a copy (`ullage mark`) of what was there then; 0: none */
  uint64_t most_rss_bytes; /* that were ever resident, as of end_ms; 0: not collected */
};

static inline int ul_is_inherited(const struct ul_header *h, uint32_t site) {
  return site < h->inherited_sites &&
         (site >= UL_SITE_RESERVED || site == UL_SITE_EARLY || site == UL_SITE_LOADER);
}

_Static_assert(sizeof(struct ul_header) <= UL_HEADER_BYTES, "header");
_Static_assert(sizeof(struct ul_module) == 64, "module");
_Static_assert(sizeof(struct ul_node) == 8, "node");
_Static_assert(sizeof(struct ul_site) == 8, "site");
_Static_assert(sizeof(struct ul_counter) == 24, "counter");
_Static_assert(sizeof(struct ul_carry) == 32, "carry");
_Static_assert(sizeof(struct ul_arena) == 1024, "arena");
_Static_assert(sizeof(struct ul_large) == 64, "large");
_Static_assert(sizeof(struct ul_snapshot) == 256, "snapshot");
_Static_assert(sizeof(struct ul_leak) == 64, "leak");
_Static_assert(sizeof(struct ul_drag) == 24, "drag");
_Static_assert(sizeof(struct ul_mapping) == 64, "mapping");
_Static_assert(sizeof(struct ul_ask) == 60, "ask");
_Static_assert(sizeof(struct ul_misuse) == 80, "misuse");
_Static_assert(sizeof(struct ul_fill) == 32, "fill");
#endif
