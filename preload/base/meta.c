/* meta.c - a bump allocator with free lists by power of two.
 *
 * Pieces up to PIECE_MAX are rounded up to a power of two and cut from chunks;
 * larger ones are mappings of their own and are unmapped when freed. Chunks are
 * never returned: what ullage keeps for the heap's peak stays with it. */
#include "base/meta.h"

#include "base/lock.h"
#include "base/os.h"

#include <string.h>

enum {
  PIECE_MIN = 16,
  PIECE_MAX = 32 * 1024,
  CHUNK_MIN = 64 * 1024,
  CHUNK_MAX = 4 * 1024 * 1024,
  RANGES = 4096
};

struct piece {
  struct piece *next;
};
struct range {
  uintptr_t start;
  size_t bytes;
};

static struct lock lock;
static struct piece *free_pieces[12]; /* 16 << i bytes */
static char *chunk, *chunk_end;
static size_t next_chunk = CHUNK_MIN;
static struct range ranges[RANGES];
static unsigned range_count;

static unsigned size_index(size_t bytes) {
  if (bytes <= PIECE_MIN) return 0;
  return 60 - (unsigned)__builtin_clzll(bytes - 1);
}

static bool remember(void *p, size_t bytes) {
  unsigned i = 0;
  while (i < range_count && ranges[i].bytes)
    i++;
  if (i == RANGES) return false;
  ranges[i] = (struct range){(uintptr_t)p, bytes};
  if (i == range_count) range_count++;
  return true;
}

static void forget(void *p) {
  for (unsigned i = 0; i < range_count; i++)
    if (ranges[i].start == (uintptr_t)p) ranges[i].bytes = 0;
}

static void *map_range(size_t bytes) {
  void *p = os_map(bytes, OS_PAGE, OS_TOOL);
  if (!p) return NULL;
  if (remember(p, bytes)) return p;
  os_unmap(p, bytes, OS_TOOL);
  return NULL;
}

static void *cut(size_t bytes) {
  if ((size_t)(chunk_end - chunk) < bytes) {
    char *fresh = map_range(next_chunk);
    if (!fresh) return NULL;
    chunk = fresh;
    chunk_end = fresh + next_chunk;
    if (next_chunk < CHUNK_MAX) next_chunk *= 2;
  }
  void *p = chunk;
  chunk += bytes;
  return p;
}

static void *alloc_piece(size_t bytes) {
  unsigned i = size_index(bytes);
  struct piece *p = free_pieces[i];
  if (!p) return cut((size_t)PIECE_MIN << i);
  free_pieces[i] = p->next;
  return memset(p, 0, (size_t)PIECE_MIN << i);
}

void *meta_alloc(size_t bytes) {
  lock_take(&lock);
  void *p = bytes > PIECE_MAX ? map_range(os_whole_pages(bytes)) : alloc_piece(bytes);
  lock_give(&lock);
  return p;
}

void meta_free(void *p, size_t bytes) {
  if (!p) return;
  lock_take(&lock);
  if (bytes > PIECE_MAX) {
    forget(p);
    os_unmap(p, os_whole_pages(bytes), OS_TOOL);
  } else {
    struct piece *piece = p;
    unsigned i = size_index(bytes);
    piece->next = free_pieces[i];
    free_pieces[i] = piece;
  }
  lock_give(&lock);
}

bool meta_range(unsigned i, uintptr_t *start, size_t *bytes) {
  if (i >= range_count) return false;
  *start = ranges[i].start;
  *bytes = ranges[i].bytes;
  return true;
}

void meta_fork_prepare(void) {
  lock_take(&lock);
}
void meta_fork_parent(void) {
  lock_give(&lock);
}
void meta_fork_child(void) {
  lock_renew(&lock);
}
