/* xml.c - see xml.h. */
#include "show/xml.h"

#include "utf8.h"

void xml_put(FILE *out, const char *text) {
  char part[256];
  while (*text) {
    text = utf8_escape(part, sizeof part, text);
    for (const char *s = part; *s; s++) {
      const char *as = *s == '<'   ? "&lt;"
                       : *s == '>' ? "&gt;"
                       : *s == '&' ? "&amp;"
                       : *s == '"' ? "&quot;"
                                   : NULL;
      if (as)
        fputs(as, out);
      else
        fputc(*s, out);
    }
  }
}

void xml_element(FILE *out, unsigned indent, const char *name, const char *text) {
  fprintf(out, "%*s<%s>", (int)indent, "", name);
  xml_put(out, text);
  fprintf(out, "</%s>\n", name);
}
