/* types.h - the nouns of the heap, and what must add up.
 *
 * The allocator has CPython's layers and words: the OS gives arenas, an arena
 * is cut into pools, a pool into blocks of one size class.
 *
 *   arena   UL_ARENA_BYTES (1 MiB), aligned to its size; UL_UNITS (64) units
 *   pool    1..32 units (16 KiB each), all blocks of one class, one owner heap
 *   block   what malloc returns; starts at pool base + i * block size
 *   span    a pool with a single block of whole pages, for sizes between the classes
 *           and large
 *   large   a block with a mapping of its own, above UL_SPAN_MAX
 *   heap    a thread's pools: the owner allocates and frees without atomics
 *
 * Descriptors live beside the memory they describe, never in it, so that an
 * overrun of a block cannot damage them, and so that blocks keep the alignment
 * of their size: a class whose size is a multiple of A has A-aligned blocks.
 * Every pointer we hand out is the start of its block; there are no interior
 * blocks, whatever the alignment.
 *
 * Size classes: class.h. Class 0 is the span.
 *
 * The heap knows of no recording. Who wants to know what it does sets heap_watch
 * (watch.h), and may keep a pointer of its own in pools, arenas and large blocks. */
#ifndef ULLAGE_TYPES_H
#define ULLAGE_TYPES_H

#include "heap/geometry.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

struct block {
  struct block *next;
};

/* A block found or made: in a pool, or large; exactly one is not NULL. */
struct spot {
  struct pool *pool;
  struct large *large;
};

/* States, and the one list each is on:
 *   used   some blocks free:   heap->used[class], doubly linked
 *   full   no block free:      no list
 *   empty  no block live:      units back in arena->free_units; or kept as the
 *                              only pool of its class (spare): heap->used[class]
 * A span is on no list.
 * Counting, at every moment, as the owner sees it:
 *   capacity = live + on the free list + virgin      (in blocks)
 *   bytes    = capacity * size + tail
 * where capacity = carved + virgin, but for a span.
 * `live` includes blocks that were freed, but are not back yet: in a magazine
 * (magazine.h), in an outbox (outbox.h), or on the owner's remote stack. */
struct pool {
  _Alignas(64) struct block *free; /* LIFO */
  uint64_t *entries;               /* the watcher's, NULL when the pool is opened */
  struct heap *heap;
  struct pool *next, *prev;
  char *base;
  uint32_t size;                   /* of a block, bytes */
  uint32_t recip;                  /* ceil(2^32 / size): index = offset * recip >> 32 */
  uint16_t carved, capacity, live; /* blocks; of a span none is carved (heap_spot) */
  uint8_t class;
  uint8_t units : 6;
  bool zeroed : 1; /* what was never carved reads as zeros */
  bool spare : 1;  /* the only one of its class, of which heap_pool_empty said that it
                      stays */
};
/* A line of memory: free waits for it. */
_Static_assert(sizeof(struct pool) == 64, "a pool is a cache line");

/* An arena is mapped while some pool in it is in use, and as long as retain.h lets free
 * memory stay.
 *   UL_UNITS = units of its pools + free units       (popcount(free_units))
 * List membership: usable arenas hang on arenas.by_free[popcount(free_units)],
 * full arenas on none. Guarded by the arena lock. */
struct arena {
  char *base;
  uint64_t free_units;         /* bit set: unit free */
  uint64_t clean_units;        /* bit set: a free unit that reads as zeros */
  struct arena *next, *prev;   /* among arenas with as many free units */
  struct arena *link, *back;   /* among all that are mapped (descriptor.h) */
  struct arena_group *group;   /* whose memory this is */
  struct ul_arena *record;     /* the watcher's */
  uint32_t record_index;       /* the watcher's */
  uint16_t pool_at[UL_UNITS];  /* unit -> where its pool is, bytes from here */
  uint32_t entry_at[UL_UNITS]; /* the watcher's, of the pool with that head unit */
  struct pool pools[UL_UNITS]; /* valid at the head unit of a pool; else none is carved */
};

struct large {
  char *base;
  size_t mapped;             /* whole pages */
  size_t reserve;            /* further pages behind them, retained (retain.h) */
  size_t requested;          /* the watcher's: what it counts as live of it */
  struct ul_large *record;   /* the watcher's */
  uint32_t record_index;     /* the watcher's */
  struct large *next, *prev; /* all large blocks in use */
  bool zeroed;               /* fresh from the OS */
  bool in_use;               /* not in the cache */
};

/* What the map of addresses knows about the megabyte around a pointer: an
 * arena (low bit set), a large block, or nothing of ours (0). */
typedef uintptr_t map_slot;

/* A block in a magazine, and where the watcher notes it (NULL: nowhere). */
struct round {
  void *block;
  uint64_t *entry;
};

/* Blocks on their way home (outbox.h), linked. */
struct outbox {
  struct heap *home;
  struct block *first, *last;
  uint32_t bytes, blocks;
  _Atomic bool at_work; /* a handler that finds this leaves it alone */
};

/* A heap is owned by one living thread, or its owner is dead and it waits to be
 * adopted whole, or (in a forked child) it is quarantined for ever: its owner
 * does not exist here and may have been in the middle of an update.
 * The owner alone touches used[] and its pools, while `inside`; or whoever has `taken`
 * it over meanwhile (heap.c). `remote` is pushed by others.
 * The watcher may keep something behind each heap (watch.h). */
struct heap {
  struct round *_Atomic magazines[UL_CLASSES]; /* the round on top (magazine.h) */
  struct pool *used[UL_CLASSES];
  _Atomic uint64_t remote; /* address of its first block, and a weight (heap.c) */
  _Atomic uint32_t inside, taken;
  _Atomic uint32_t drains, drains_seen; /* by the owner; when somebody last looked */
  _Atomic uint32_t patience;            /* 0, or what must wait until somebody looks */
  uint8_t few[UL_CLASSES];   /* blocks of a class that shared pools have served */
  uint8_t freed[UL_CLASSES]; /* before a class has a magazine */
  _Atomic uint64_t shut;     /* bit c: the magazine of class c takes no block */
  uint64_t without;          /* bit c: class c has no magazine, and gets none */
  char *magazine_memory, *magazine_memory_end; /* for those to come */
  unsigned magazines_made;
  struct outbox outbox;
  uint64_t spares; /* bit c: the only pool of class c was kept when it became empty */
  uint64_t pool_bytes, tail_bytes; /* of the pools it owns; arena lock */
  _Atomic int tid;                 /* owner */
  _Atomic bool quarantined;
  struct heap *next; /* all heaps ever made; never removed */
};
#endif
