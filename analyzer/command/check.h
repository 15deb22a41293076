/* check.h - `ullage check`: runs a program or a suite of tests, judges each process of
 * it, and fails if there is something. Options and statuses: docs/guide.md. */
#ifndef ULLAGE_CHECK_H
#define ULLAGE_CHECK_H

int check_main(int argc, char *argv[]);
#endif
