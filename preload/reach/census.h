/* census.h - the live blocks, as the scan finds them in its frozen copy of the process.
 *
 * A side table of the scan's own: what the heap and the ledger say is taken down once, in
 * a form that is small and quick to look up, and nothing of theirs is written. Each block
 * has a number: its index in UL_ENTRIES, and for a large one the number of these and its
 * index in UL_LARGES. By it there are a state, for whoever marks (mark.c), and a note.
 *
 * Only in the scan's own process: module state, no locks. Once it is taken only states
 * and notes change. */
#ifndef ULLAGE_CENSUS_H
#define ULLAGE_CENSUS_H

#include "base/os.h"
#include "format.h"
#include "heap/types.h"

/* The scan reads whatever is there, red zones too. */
#define READS_ANYTHING __attribute__((no_sanitize("address")))

/* What a state is at first; the others are the marker's, up to 15. */
enum { CENSUS_DEAD, CENSUS_LIVE };

/* A place for a block. */
struct found {
  uintptr_t start;
  size_t usable; /* bytes */
  size_t number;
  uint32_t unit;  /* whose strip has its entry; CENSUS_LARGE: a large block */
  uint32_t index; /* in its pool, or among the large blocks */
  bool single;    /* its requested size is beside its entry */
};

/* Take it. Once, before all else here, and before the program's threads run on; the
 * heap's locks were held when the process was copied. `moves`: somebody can change the
 * ledger while the scan looks. false: no memory, and the rest cannot be used. */
bool census_take(bool moves);
/* All of the heap lies in [low, low + bytes). */
struct census_extent {
  uintptr_t low, bytes;
};
static inline struct census_extent census_extent(void);
/* The live block around an address, any address; false: none. */
static inline bool census_at(uintptr_t address, struct found *f);
/* Is it free memory of the heap: of a block that was freed, or given back? Not where
 * blocks are not recorded. */
bool census_free(uintptr_t address);
/* Visit every live block, by address. */
void census_each(void (*visit)(const struct found *f));
/* Call scan(start, end) for each piece of the heap whose blocks are not recorded, so that
 * nobody can say which are live: pools up to where they were ever carved, and whole
 * large blocks, which may be huge (`large`). */
typedef void census_piece(uintptr_t start, uintptr_t end);
void census_unrecorded(census_piece *pool, census_piece *large);

/* Of a block that lives: */
static inline uint64_t found_entry(const struct found *f);   /* in the ledger */
static inline size_t found_requested(const struct found *f); /* bytes; <= usable */
static inline uint8_t found_state(const struct found *f);    /* never CENSUS_DEAD */
static inline void found_set_state(const struct found *f, uint8_t state); /* alone */
/* From one state to the other; false: it is in another. */
static inline bool found_change(const struct found *f, uint8_t from, uint8_t to);
static inline uint32_t *found_note(const struct found *f); /* 0 at first */
/* What it holds, and what is said of it, will be asked for soon. */
static inline void found_expect_words(const struct found *f);
static inline uint8_t census_state(size_t number); /* by number */

/* ---- the table ----------------------------------------------------------------- */

/* A unit of an arena. */
struct census_unit {
  uint32_t first; /* number of the first block of its pool; if that is not recorded, the
                     bytes of it that were ever carved */
  uint8_t class;  /* of its pool, or one of these: */
  uint8_t back;   /* units to the first of its pool */
  uint16_t count; /* blocks of its pool, or 0; of a span the pages of its block */
};
enum { CENSUS_NO_POOL = 0xff, CENSUS_UNRECORDED_POOL = 0xfe, CENSUS_NO_ARENA = 0xfd };

struct census_large {
  uintptr_t start;
  size_t mapped, number;
  uint64_t entry[2]; /* and the requested size, as in a strip; 0: not recorded */
};

/* What is known of a megabyte: which arena (the first of its units) or which large block
 * it is, above a mark that says what it is. */
enum census_mark {
  CENSUS_NOTHING, /* the whole slot */
  CENSUS_ARENA,
  CENSUS_BLOCK,      /* a large one */
  CENSUS_FREE,       /* kept for reuse */
  CENSUS_UNRECORDED, /* a large one */
};
#define CENSUS_LARGE UINT32_MAX

extern struct census {
  struct census_extent extent;
  size_t live;      /* blocks */
  size_t entries;   /* in UL_ENTRIES: numbers below are of blocks in pools */
  uint32_t *slots;  /* by megabyte from extent.low on */
  uint32_t *firsts; /* likewise: the first of its units, if it is an arena; else of
                       UL_UNITS of no arena */
  struct census_unit *units; /* UL_UNITS an arena */
  const uint64_t **strips;   /* by unit: the entries of its pool */
  uint8_t *slacks;           /* by unit: of all blocks that live in its pool, or UNEVEN */
  struct census_large *larges;
  bool shared; /* states may be changed by others, too */
  size_t numbers;
  uint8_t *states; /* four bits each, by number; and CENSUS_STATES_MORE bytes */
  uint32_t *notes; /* by number */
  struct {
    uint32_t size, recip; /* as in struct pool; 0: there is one block, or none */
  } shapes[UINT8_MAX + 1];
} census;
enum { CENSUS_UNEVEN = UINT8_MAX, CENSUS_STATES_MORE = 4 };

static inline struct census_extent census_extent(void) {
  return census.extent;
}

static inline uint8_t census_state(size_t number) {
  uint8_t two = __atomic_load_n(&census.states[number / 2], __ATOMIC_RELAXED);
  return two >> number % 2 * 4 & 0xf;
}
static inline uint8_t found_state(const struct found *f) {
  return census_state(f->number);
}
static inline void found_set_state(const struct found *f, uint8_t state) {
  uint8_t *two = &census.states[f->number / 2];
  unsigned shift = f->number % 2 * 4;
  *two = (uint8_t)((*two & ~(0xf << shift)) | state << shift);
}
static inline bool found_change(const struct found *f, uint8_t from, uint8_t to) {
  uint8_t *two = &census.states[f->number / 2];
  unsigned shift = f->number % 2 * 4;
  uint8_t old = __atomic_load_n(two, __ATOMIC_RELAXED),
          flip = (from ^ to) << shift & 0xff;
  while ((old >> shift & 0xf) == from) {
    uint8_t now = old ^ flip;
    if (!census.shared) return *two = now, true;
    if (__atomic_compare_exchange_n(two, &old, now, true, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
      return true;
  }
  return false;
}
static inline uint32_t *found_note(const struct found *f) {
  return &census.notes[f->number];
}

static inline const uint64_t *found_line(const struct found *f) {
  return f->unit == CENSUS_LARGE ? census.larges[f->index].entry
                                 : census.strips[f->unit] + f->index;
}
static inline uint64_t found_entry(const struct found *f) {
  return *found_line(f);
}
static inline bool found_is_even(const struct found *f) {
  return f->unit != CENSUS_LARGE && census.slacks[f->unit] != CENSUS_UNEVEN;
}
static inline size_t found_requested(const struct found *f) {
  if (found_is_even(f)) return f->usable - census.slacks[f->unit];
  const uint64_t *line = found_line(f);
  if (f->single) return line[1] < f->usable ? line[1] : f->usable;
  uint32_t slack = ul_entry_slack(*line);
  return slack < f->usable ? f->usable - slack : 0;
}

static inline void found_expect_words(const struct found *f) {
  __builtin_prefetch((const void *)f->start);
  if (!found_is_even(f)) __builtin_prefetch(found_line(f));
}

static inline bool census_place_large(uintptr_t address, struct found *f) {
  uint32_t slot = census.slots[(address - census.extent.low) / UL_ARENA_BYTES];
  if (slot % UL_UNITS != CENSUS_BLOCK) return false;
  const struct census_large *l = &census.larges[slot / UL_UNITS];
  *f =
      (struct found){l->start, l->mapped, l->number, CENSUS_LARGE, slot / UL_UNITS, true};
  return address - l->start < l->mapped;
}

/* The unit around `offset` from extent.low on, and how far into its pool that is. */
static inline uint32_t census_unit_at(uintptr_t offset) {
  return census.firsts[offset / UL_ARENA_BYTES] +
         (uint32_t)(offset / UL_UNIT_BYTES % UL_UNITS);
}
static inline uint64_t census_at_in_pool(const struct census_unit *u, uintptr_t offset) {
  return offset % UL_UNIT_BYTES + (uint64_t)u->back * UL_UNIT_BYTES;
}
/* The index in a pool is exact: recip is (2^32 + e) / size with e < size, so
 * at * recip / 2^32 = at / size + at * e / size / 2^32 is less than 1 / size too large as
 * long as at * size <= 2^32; a pool of blocks has at most 2^17 bytes, and a block 2^15.
 */
static inline uint32_t census_index(const struct census_unit *u, uint64_t at) {
  return (uint32_t)(at * census.shapes[u->class].recip >> 32);
}

/* As census_at, of a block that need not live. */
static inline bool census_place(uintptr_t address, struct found *f) {
  uintptr_t offset = address - census.extent.low;
  if (offset >= census.extent.bytes) return false;
  f->unit = census_unit_at(offset);
  const struct census_unit u = census.units[f->unit];
  if (u.class == CENSUS_NO_ARENA) return census_place_large(address, f);
  if (u.class >= CENSUS_UNRECORDED_POOL) return false;
  uint64_t at = census_at_in_pool(&u, offset);
  f->single = u.class == UL_SPAN;
  f->index = 0;
  f->number = u.first;
  f->start = address - at;
  if (f->single) {
    f->usable = (size_t)u.count * OS_PAGE;
    return at < f->usable;
  }
  f->usable = census.shapes[u.class].size;
  f->index = census_index(&u, at);
  f->number += f->index;
  f->start += f->index * f->usable;
  return f->index < u.count;
}

static inline bool census_at(uintptr_t address, struct found *f) {
  return census_place(address, f) && found_state(f) != CENSUS_DEAD;
}
#endif
