#!/bin/sh
# ruby 3.1.2 (Debian 12): String#grapheme_clusters of a string that is not UTF-8 loses a regular expression
# right: what calls onig_new for it in string.c, and never onig_free; without names.
. "$(dirname "$0")/common.sh"
N=${1:-6000}
need ruby3.1
cat > g.rb <<'R'
# splits UTF-32 strings into what a reader sees as characters
n = (ARGV[0] || 3000).to_i
words = %w[naive resume cafe].map { |w| w.encode(Encoding::UTF_32LE) }
total = 0
n.times { |i| total += words[i % 3].grapheme_clusters.size }
puts total
R
exec ${TOOL:-} ruby3.1 g.rb "$N"
