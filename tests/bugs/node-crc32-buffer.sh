#!/bin/sh
# @node-rs/crc32 1.5.1 for node, in Rust: each call keeps a reference to its buffer (napi-rs/node-rs #655)
# right: the addon's crc32c, whose argument (napi's Buffer) makes a reference and does not delete
# it; the addon has no names.
. "$(dirname "$0")/common.sh"
N=${1:-200000}
if ! [ -d node_modules/@node-rs/crc32 ]; then
  echo "npm install --prefix $WORK @node-rs/crc32@1.5.1" >&2
  exit 77
fi
cat >crc.js <<'J'
// checks the sums of many small messages
const { crc32c } = require('@node-rs/crc32');
const message = Buffer.alloc(1000);
let sum = 0;
for (let i = 0; i < +process.argv[2]; i++) sum ^= crc32c(message);
console.log(sum);
J
exec ${TOOL:-} node crc.js "$N"
