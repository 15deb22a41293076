/* A DT_GNU_HASH table is four numbers (buckets, the first symbol that is in it, words of
 * the filter, a shift), the filter, the first symbol of each bucket, and for each symbol
 * that is in it the hash, whose last bit ends a bucket. What the file wants from others
 * is not in it, and so comes first. */
#include "command/symbols.h"

#include <gelf.h>
#include <stdint.h>
#include <string.h>

enum { BUCKETS, FIRST_HASHED, FILTER_WORDS, NUMBERS = 4 };

struct table { /* of symbols */
  Elf *elf;
  Elf_Data *data;
  size_t names; /* the section of their names */
};

struct hash {
  const uint32_t *word, *buckets, *chains; /* the latter from FIRST_HASHED on */
  size_t chained;
};

static Elf_Data *section_of(Elf *elf, GElf_Word type, GElf_Shdr *header) {
  Elf_Scn *section = NULL;
  while ((section = elf_nextscn(elf, section)))
    if (gelf_getshdr(section, header) && header->sh_type == type)
      return elf_getdata(section, NULL);
  return NULL;
}

static bool find_table(Elf *elf, GElf_Word type, struct table *t) {
  GElf_Shdr header;
  t->elf = elf;
  t->data = section_of(elf, type, &header);
  t->names = header.sh_link;
  return t->data;
}

static bool find_hash(Elf *elf, struct hash *h) {
  GElf_Shdr header;
  Elf_Data *data = section_of(elf, SHT_GNU_HASH, &header);
  size_t words = data ? data->d_size / sizeof *h->word : 0;
  if (words < NUMBERS) return false;
  h->word = data->d_buf;
  size_t before = NUMBERS + 2 * (size_t)h->word[FILTER_WORDS] + h->word[BUCKETS];
  if (!h->word[BUCKETS] || before > words) return false;
  h->chains = h->word + before;
  h->buckets = h->chains - h->word[BUCKETS];
  h->chained = words - before;
  return true;
}

static const char *name_of(const struct table *t, const GElf_Sym *symbol) {
  return elf_strptr(t->elf, t->names, symbol->st_name);
}

/* ---- by name ------------------------------------------------------------------- */

static uint32_t hash_of(const char *name) {
  uint32_t h = 5381;
  for (; *name; name++)
    h = h * 33 + (unsigned char)*name;
  return h;
}

static bool defines(const struct table *t, size_t i, const char *name) {
  GElf_Sym symbol;
  if (!gelf_getsym(t->data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF)
    return false;
  const char *other = name_of(t, &symbol);
  return other && strcmp(other, name) == 0;
}

static bool hash_has(const struct table *t, const struct hash *h, const char *name) {
  uint32_t wanted = hash_of(name), first = h->word[FIRST_HASHED];
  uint32_t begin = h->buckets[wanted % h->word[BUCKETS]];
  if (begin < first) return false; /* empty */
  for (size_t i = begin - first; i < h->chained; i++) {
    if ((h->chains[i] | 1) == (wanted | 1) && defines(t, first + i, name)) return true;
    if (h->chains[i] & 1) return false;
  }
  return false;
}

bool symbols_export(Elf *elf, const char *name) {
  struct table t;
  struct hash h;
  if (!find_table(elf, SHT_DYNSYM, &t)) return false;
  if (find_hash(elf, &h)) return hash_has(&t, &h, name);
  size_t n = t.data->d_size / sizeof(Elf64_Sym);
  for (size_t i = 0; i < n; i++)
    if (defines(&t, i, name)) return true;
  return false;
}

/* ---- one after the other ------------------------------------------------------- */

static bool is_wanted(const GElf_Sym *symbol) {
  int type = GELF_ST_TYPE(symbol->st_info);
  return symbol->st_shndx == SHN_UNDEF && (type == STT_FUNC || type == STT_NOTYPE);
}

static bool is_own(const GElf_Sym *symbol) {
  return symbol->st_shndx != SHN_UNDEF && GELF_ST_TYPE(symbol->st_info) == STT_FUNC;
}

static const char *look(const struct table *t, size_t end, bool (*fits)(const GElf_Sym *),
                        symbols_sign *sign) {
  GElf_Sym symbol;
  for (size_t i = 0; i < end && gelf_getsym(t->data, (int)i, &symbol); i++) {
    const char *name = fits(&symbol) ? name_of(t, &symbol) : NULL;
    const char *found = name ? sign(name) : NULL;
    if (found) return found;
  }
  return NULL;
}

const char *symbols_wanted(Elf *elf, symbols_sign *sign) {
  struct table t;
  struct hash h;
  if (!find_table(elf, SHT_DYNSYM, &t)) return NULL;
  return look(&t, find_hash(elf, &h) ? h.word[FIRST_HASHED] : SIZE_MAX, is_wanted, sign);
}

const char *symbols_own(Elf *elf, symbols_sign *sign) {
  struct table t;
  return find_table(elf, SHT_SYMTAB, &t) ? look(&t, SIZE_MAX, is_own, sign) : NULL;
}
