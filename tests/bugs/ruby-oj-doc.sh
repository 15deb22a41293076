#!/bin/sh
# oj 3.14.2 for ruby (Debian 12): each document that is opened for a block is lost (#1027)
# right: parse_json, static: it forgets the document and its copy of the text; Doc.open calls it.
. "$(dirname "$0")/common.sh"
N=${1:-30000}
need ruby3.1 ruby-oj
only ruby-oj 3.14
cat >doc.rb <<'R'
# sums up what many small documents say
require 'oj'
sum = 0
ARGV[0].to_i.times { |i| Oj::Doc.open("[1,2,#{i % 10}]") { |doc| sum += doc.fetch('/3') } }
puts sum
R
exec ${TOOL:-} ruby3.1 doc.rb "$N"
