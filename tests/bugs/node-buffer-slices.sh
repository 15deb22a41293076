#!/bin/sh
# node 20: a few bytes of each buffer are kept, and keep all of it (nodejs/node #21967)
# right: no leak of node's; the script keeps slices. What they hold is allocUnsafe's, by
# node's NodeArrayBufferAllocator.
. "$(dirname "$0")/common.sh"
N=${1:-40000}
command -v node >/dev/null || need nodejs
cat >slices.js <<'J'
// keeps the beginning of each message
const kept = [];
for (let i = 0; i < +process.argv[2]; i++) {
  const message = Buffer.allocUnsafe(65536);
  message.write('message ' + i);
  kept.push(message.subarray(0, 128));
}
setTimeout(() => console.log(kept.length), 1500);
J
exec ${TOOL:-} node slices.js "$N"
