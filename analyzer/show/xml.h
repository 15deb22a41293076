/* xml.h - text in XML. */
#ifndef ULLAGE_XML_H
#define ULLAGE_XML_H

#include <stdio.h>

/* Good as content and in attributes. What XML cannot have at all, control characters and
 * what is no UTF-8, is written as in other answers. */
void xml_put(FILE *out, const char *text);
/* <name>text</name> on a line of its own. */
void xml_element(FILE *out, unsigned indent, const char *name, const char *text);
#endif
