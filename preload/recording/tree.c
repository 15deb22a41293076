#include "recording/tree.h"

#include "recording/table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Of tree_kib: what all have, and whether the bound was reached. */
#define FULL (UINT32_C(1) << 31)

struct ul_header *tree;

static struct os_file where;             /* the file whose page that is */
static uint64_t wish, most = UINT64_MAX; /* bytes */
static uint32_t alone;                   /* in place of tree_kib */

static uint32_t *kib(void) {
  return tree ? &tree->tree_kib : &alone;
}

static uint64_t used(void) {
  return (uint64_t)(__atomic_load_n(kib(), __ATOMIC_RELAXED) & ~FULL) << 10;
}

void tree_wish(uint64_t bytes) {
  wish = bytes;
}

uint64_t tree_most(const struct os_room *room) {
  uint64_t tenth = (room->free + used()) / 10;
  most = wish ? wish : tenth < TREE_MOST ? tenth : TREE_MOST;
  return most;
}

/* ---- the page ------------------------------------------------------------------ */

void tree_found(struct ul_header *ours, const struct os_file *file) {
  tree = ours;
  where = *file;
  __atomic_fetch_add(&tree->tree_kib, alone, __ATOMIC_RELAXED);
  alone = 0;
}

/* It is mapped in a place of our own. Anywhere else it might be where the program has
 * left a hole on purpose, which is to fault: a page fits everywhere. */
static _Alignas(OS_PAGE) char place[OS_PAGE];

/* Read before it is mapped, for a file that is somebody else's must not even get another
 * time of change. To back it is to know that it is as long as that. */
static bool map(int fd) {
  void *page = place;
  struct os_file file;
  if (os_identify(fd, &file) || os_map_file(&page, fd, 0, OS_PAGE)) return false;
  if (os_back(page, OS_PAGE)) {
    os_map_over(page, OS_PAGE);
    return false;
  }
  tree = page;
  where = file;
  return true;
}

static bool starts_with(int fd, const char *magic, int pid) {
  struct {
    char magic[8];
    char others[offsetof(struct ul_header, pid) - 8];
    int32_t pid;
  } head;
  return os_read_at(fd, &head, sizeof head, 0) == 0 &&
         !memcmp(head.magic, magic, sizeof head.magic) && (!pid || head.pid == pid);
}

static int open_existing(const char *path) {
  return os_open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
}

bool tree_join(const char *path, int pid) {
  int fd = open_existing(path);
  if (fd < 0) return false;
  bool joined = starts_with(fd, UL_MAGIC, pid) && map(fd);
  os_close(fd);
  return joined;
}

bool tree_is_at(const char *path) {
  struct os_file there;
  return tree && os_identify_at(path, &there) == 0 && os_same_file(&there, &where);
}

static const char beside[] = "ULLTREE\n";

static bool join_beside(int fd) {
  if (fd < 0) return false;
  bool joined = starts_with(fd, beside, 0) && map(fd);
  os_close(fd);
  return joined;
}

bool tree_join_beside(const char *path) {
  return join_beside(open_existing(path));
}

static int make(const char *path, unsigned mode) {
  int fd = os_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  if (fd < 0) return fd;
  int error = os_set_length(fd, OS_PAGE);
  if (!error) error = os_write_all(fd, beside, sizeof beside - 1, 0);
  if (!error) return fd;
  os_close(fd);
  os_unlink(path);
  return error;
}

void tree_found_beside(const char *path, unsigned mode) {
  int fd = make(path, mode);
  join_beside(fd == -EEXIST ? open_existing(path) : fd);
}

void tree_fork_prepare(void) {
  if (tree && tree == recording && os_take_place(recording, 0, place, OS_PAGE) == 0)
    tree = (struct ul_header *)place;
}

/* ---- the bound ----------------------------------------------------------------- */

bool tree_full(void) {
  return __atomic_load_n(kib(), __ATOMIC_RELAXED) & FULL;
}

bool tree_charge(size_t bytes) {
  uint32_t more = (uint32_t)(bytes >> 10);
  uint32_t now = __atomic_add_fetch(kib(), more, __ATOMIC_RELAXED);
  if (now < FULL && (uint64_t)now << 10 <= most) return true;
  __atomic_fetch_or(kib(), FULL, __ATOMIC_RELAXED);
  tree_charge_back(bytes);
  return false;
}

void tree_charge_back(size_t bytes) {
  __atomic_fetch_sub(kib(), (uint32_t)(bytes >> 10), __ATOMIC_RELAXED);
}

void tree_count_unrecorded(void) {
  if (tree)
    __atomic_fetch_add(&tree->fallbacks[UL_FB_CHILD_UNRECORDED], 1, __ATOMIC_RELAXED);
}
