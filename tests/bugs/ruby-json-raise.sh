#!/bin/sh
# ruby-json of ruby 3.1.2 (ruby/json #251, #574): the generator loses its buffer when a
# to_json raises.
# right: cState_partial_generate (static, in generator.so), which allocates the buffer and
# does not free it when it is left by an exception.
. "$(dirname "$0")/common.sh"
N=${1:-60000}
need ruby3.1
cat >raise.rb <<'R'
require "json"
# an attribute that cannot be told is met in one of the records
class Secret
  def to_json(*)
    raise "not for you"
  end
end
lost = 0
(ARGV[0] || "1000").to_i.times do |i|
  JSON.generate([{ "user" => "user #{i}", "city" => "somewhere" }, Secret.new])
rescue RuntimeError
  lost += 1
end
puts lost
R
exec ${TOOL:-} ruby3.1 raise.rb "$N"
