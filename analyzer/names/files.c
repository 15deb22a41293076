#include "names/files.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct entry {
  char *key;
  struct symbol_file *file;
  UT_hash_handle hh;
};
/* Each has a descriptor, of which a shell gives 1,024. */
#define FILES_MOST 128

struct symbol_files {
  struct entry *entries;
};

struct symbol_files *symbol_files_new(void) {
  return calloc(1, sizeof(struct symbol_files));
}

static void forget(struct symbol_files *files) {
  struct entry *e, *next;
  HASH_ITER(hh, files->entries, e, next) {
    HASH_DEL(files->entries, e);
    symbol_file_close(e->file);
    free(e->key);
    free(e);
  }
}

void symbol_files_free(struct symbol_files *files) {
  if (!files) return;
  forget(files);
  free(files);
}

void symbol_files_bound(struct symbol_files *files) {
  if (files && HASH_COUNT(files->entries) > FILES_MOST) forget(files);
}

/* What tells two files apart: whether one changed since a recording is asked of its build
 * id or, without one, of its time. NULL: no memory. */
static char *key_of(const struct symbol_id *id, size_t *bytes) {
  size_t path = strlen(id->path) + 1;
  size_t rest = id->build_id_bytes ? id->build_id_bytes : sizeof id->recorded_ns;
  char *key = malloc(path + rest);
  if (!key) return NULL;
  memcpy(key, id->path, path);
  memcpy(key + path, id->build_id_bytes ? id->build_id : (const void *)&id->recorded_ns,
         rest);
  *bytes = path + rest;
  return key;
}

struct symbol_file *symbol_files_get(struct symbol_files *files,
                                     const struct symbol_id *id) {
  size_t bytes;
  struct entry *e = NULL;
  char *key = key_of(id, &bytes);
  if (!key) return NULL;
  HASH_FIND(hh, files->entries, key, bytes, e);
  if (e) {
    free(key);
    return e->file;
  }
  struct symbol_file *file = symbol_file_open(id);
  if (!file || !(e = calloc(1, sizeof *e))) {
    symbol_file_close(file);
    free(key);
    return NULL;
  }
  *e = (struct entry){.key = key, .file = file};
  HASH_ADD_KEYPTR(hh, files->entries, e->key, bytes, e);
  return file;
}
