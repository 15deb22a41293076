/* itself.h - the names that functions of a stripped file say of themselves:
 *
 *     LogMagickEvent(TraceEvent, __FILE__, __func__, __LINE__, "enter");
 *     ERR_set_debug("ssl/ssl_conf.c", 902, "ssl_conf_cmd_lookup");
 *     log_debug("%s: client %s", __func__, client->name);
 *
 * An argument is the caller's own name if the functions that have names pass theirs there
 * (at least four of them, nine of ten); or if a source file's name, or a format that
 * begins with "%s", is passed as well, in nine of ten calls, and if each of at least eight
 * functions has a text of its own there, four of five. A function with two texts says
 * nothing: it has another's code in it. Nor does one with the text of another. */
#ifndef ULLAGE_ITSELF_H
#define ULLAGE_ITSELF_H

#include "names/registered.h"

/* To be freed, by function; NULL: none. Those that have a name anyway are left out. */
struct registered *itself_in(Elf *, const struct code *, size_t *count);
#endif
