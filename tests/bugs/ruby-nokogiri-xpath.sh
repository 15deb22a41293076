#!/bin/sh
# nokogiri 1.13.10 (Debian 12): an XPath function of Ruby that raises loses all that libxml2 has
# made for the expression (sparklemotion/nokogiri #2097, #3648)
# right: "evaluate" of XPathContext, whose callback jumps over xmlXPathEval's end.
. "$(dirname "$0")/common.sh"
N=${1:-3000}
need ruby3.1 ruby-nokogiri
only ruby-nokogiri 1.13.10
cat >xpath.rb <<'R'
# rules as XPath, of which some do not hold
require 'nokogiri'
class Rules
  def holds(nodes)
    raise 'it does not'
  end
end
broken = 0
ARGV[0].to_i.times do
  doc = Nokogiri::XML('<order><item/></order>')
  begin
    doc.xpath('//item[holds(.)]', Rules.new)
  rescue RuntimeError
    broken += 1
  end
end
puts broken
R
exec ${TOOL:-} ruby3.1 xpath.rb "$N"
