#!/bin/sh
# libarchive 3.6.2 (Debian 12): an archive that was given up loses its buffers (#1568)
# right: archive_write_fail's user gets nothing freed of what archive_write_open2 has begun: the
# buffer of 10 KiB that archive_write_client_open (static, a filter's) made.
. "$(dirname "$0")/common.sh"
N=${1:-2000}
need gcc libarchive-dev
only libarchive-dev 3.6.2
cat >give_up.c <<'C'
/* Archives that are begun and given up. */
#include <archive.h>
#include <stdlib.h>

static void give_up(void) {
  struct archive *a = archive_write_new();
  archive_write_set_format_pax_restricted(a);
  archive_write_open_filename(a, "given-up.tar");
  archive_write_fail(a);
  archive_write_free(a);
}

int main(int argc, char **argv) {
  for (int n = argc > 1 ? atoi(argv[1]) : 1; n > 0; n--)
    give_up();
  return 0;
}
C
gcc -g -O1 -o give_up give_up.c -larchive
exec ${TOOL:-} ./give_up "$N"
