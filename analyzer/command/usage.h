/* usage.h - what is said about a command line that cannot be used. */
#ifndef ULLAGE_USAGE_H
#define ULLAGE_USAGE_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* Exit statuses of ullage itself; `run` ends with its program's. */
enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* "ullage: MESSAGE" and a newline on stderr. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
/* The same of an error. Returns EXIT_FAILED. */
__attribute__((format(printf, 1, 2))) int say_failed(const char *format, ...);
/* "ullage: MESSAGE" and where to look it up. verb NULL: ullage itself. Returns
 * EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int say_usage(const char *verb, const char *format,
                                                    ...);
/* For '?' and ':' of getopt_long (with opterr 0 and a leading ':'): names the option. */
int say_bad_option(const char *verb, char *const argv[], int result,
                   const struct option *options);
/* How wide lines to `fd` may be: COLUMNS, else the terminal's; 0: neither says. */
unsigned page_columns(int fd);
/* Whether it is "yes" or "no"; false: neither. */
bool parse_yes_no(const char *text, bool *value);
/* A decimal number in a range; false: not one. */
bool parse_number(const char *text, unsigned least, unsigned most, unsigned *value);
/* Bytes, or so many: "4096", "64K", "64KiB", "2M", "1G"; false: not one. */
bool parse_size(const char *text, uint64_t *value);
#endif
