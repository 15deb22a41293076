#include "names/demangle.h"

#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

/* Demangled text can be exponentially longer than the symbol; no compiler's names come
 * near this, and a damaged or hostile file must not cost memory. */
#define SYMBOL_MAX 4096

/* Length of the name proper: up to the version or the suffix of a compiler's copy. */
static size_t proper_length(const char *symbol) {
  static const char *const suffixes[] = {".constprop.", ".isra.",     ".part.",
                                         ".cold",       ".lto_priv.", ".localalias",
                                         ".llvm.",      ".clone.",    "@"};
  size_t length = strlen(symbol);
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    const char *at = strstr(symbol, suffixes[i]);
    if (at && at != symbol && (size_t)(at - symbol) < length)
      length = (size_t)(at - symbol);
  }
  return length;
}

static int style(const char *name) {
  if (name[0] != '_') return 0;
  if (name[1] == 'Z') return DMGL_AUTO; /* also the older names of Rust */
  if (name[1] == 'R') return DMGL_RUST;
  if (name[1] == 'D') return DMGL_DLANG;
  return 0;
}

bool is_mangled(const char *symbol) {
  return style(symbol) != 0;
}

static char *demangled(const char *symbol, int more) {
  char *name = strndup(symbol, proper_length(symbol));
  if (!name || !style(name) || strlen(name) > SYMBOL_MAX) return name;
  char *readable = cplus_demangle(name, style(name) | more);
  if (!readable) return name;
  free(name);
  return readable;
}

char *demangle(const char *symbol) {
  return demangled(symbol, 0);
}

char *demangle_fully(const char *symbol) {
  return demangled(symbol, DMGL_PARAMS | DMGL_ANSI);
}
