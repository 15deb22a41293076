#!/bin/sh
# ruby 3.1.2 (Debian 12): String#tr_s that raises loses its buffer (ruby/ruby #9554)
# right: tr_trans of string.c, static, called by "tr_s".
. "$(dirname "$0")/common.sh"
N=${1:-20000}
need ruby3.1
cat >tr.rb <<'R'
# squeezes texts, some of which are of another encoding
text, failed = "\xE0\xA0\xA1#{" " * 100}".force_encoding("EUC-JP"), 0
ARGV[0].to_i.times do
  text.tr_s("", "a".force_encoding("Windows-31J"))
rescue
  failed += 1
end
puts "#{failed} could not be squeezed"
R
exec ${TOOL:-} ruby3.1 tr.rb "$N"
