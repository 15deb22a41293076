#!/bin/sh
# commonmarker 0.23.6 (Debian 12): each page that is rendered is copied, and the original lost
# (gjtorikian/commonmarker #320)
# right: rb_markdown_to_html, static, "markdown_to_html"; the text is cmark_render_html's, last
# made larger by houdini_escape_html0.
. "$(dirname "$0")/common.sh"
N=${1:-2000}
need ruby-commonmarker
only ruby-commonmarker 0.23.6
cat >pages.rb <<'R'
# renders pages
require "commonmarker"
size = 0
ARGV[0].to_i.times { |i| size += CommonMarker.render_html("hello, page #{i}\n" * 100).size }
puts size
R
exec ${TOOL:-} ruby pages.rb "$N"
