#include "names/demangle.h"

#include <ctype.h>
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

/* ---- Emacs Lisp ---------------------------------------------------------------- */

/* Emacs' compiler writes "F", the name in hexadecimal digits, "_", as much of the name as
 * C allows, "_", and a number. The two must agree, or it is somebody's F00_0. */

static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_of_c(char c) {
  return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* The name; of no such symbol NULL. */
static char *lisp_name(const char *symbol) {
  size_t digits = *symbol == 'F' ? strspn(symbol + 1, "0123456789abcdef") : 0;
  if (digits == 0 || digits % 2 || symbol[1 + digits] != '_') return NULL;
  const char *readable = symbol + digits + 2;
  char *name = calloc(digits / 2 + 1, 1);
  for (size_t i = 0; name && i < digits / 2; i++) {
    char c = name[i] = (char)(digit(symbol[1 + 2 * i]) << 4 | digit(symbol[2 + 2 * i]));
    bool agrees = !is_of_c(c) || *readable++ == (c == '-' ? '_' : c);
    if (agrees && isprint((unsigned char)c)) continue;
    free(name);
    return NULL;
  }
  if (name && *readable == '_') return name;
  free(name);
  return NULL;
}

bool is_mangled(const char *symbol) {
  char *lisp = style(symbol) ? NULL : lisp_name(symbol);
  bool is = style(symbol) || lisp;
  free(lisp);
  return is;
}

static char *demangled(const char *symbol, int more) {
  char *name = strndup(symbol, proper_length(symbol));
  if (!name || strlen(name) > SYMBOL_MAX) return name;
  char *readable = lisp_name(name);
  if (!readable && !style(name)) return name;
  if (!readable) readable = cplus_demangle(name, style(name) | more);
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
