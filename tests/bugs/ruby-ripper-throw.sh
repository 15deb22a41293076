#!/bin/sh
# ruby 3.1.2 (Debian 12): a parser whose compile_error leaves it loses the syntax tree (ruby/ruby #11287)
# right: Ripper's "parse" (ripper_parse), which does not free the tree then; its nodes are ripper_yyparse's.
. "$(dirname "$0")/common.sh"
N=${1:-10000}
need ruby3.1 libruby3.1
cat >check.rb <<'R'
# checks texts for faults, and stops at the first
require "ripper"
class Check < Ripper
  def initialize(text, &found) = (super(text); @found = found)
  def compile_error(message) = @found.call(message)
end
def good?(text)
  Check.new(text) { |message| return false }.parse
  true
end
puts (0...ARGV[0].to_i).count { |i| !good?("x = [1, 2, #{i}]\n/") }
R
exec ${TOOL:-} ruby3.1 check.rb "$N"
