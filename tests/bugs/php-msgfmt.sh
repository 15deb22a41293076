#!/bin/sh
# php 8.2 (Debian 12): msgfmt_parse_message of a format that is wrong loses the formatter (#19261)
# right: msgfmt_parse_message, static, a method as well; it never closes what umsg_open has made.
. "$(dirname "$0")/common.sh"
N=${1:-5000}
need php8.2-cli php8.2-intl
cat >parse.php <<'P'
<?php // reads answers by a format that is wrong
$failed = 0;
for ($i = 0; $i < (int)$argv[1]; $i++)
  if (@msgfmt_parse_message('root', '{0,whatever} would not work!', 'failing') === false) $failed++;
echo $failed, " could not be read\n";
P
exec ${TOOL:-} php8.2 parse.php "$N"
