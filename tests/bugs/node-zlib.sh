#!/bin/sh
# node 20: many zlib contexts at once; what stays resident afterwards
# right: no leak: too many jobs at once. Each has a context of 268 KB (ZlibContext::InitZlib).
. "$(dirname "$0")/common.sh"
N=${1:-8000}
command -v node >/dev/null || need nodejs
cat > z.js <<'J'
// compresses many small messages at once, as a busy websocket server does
const zlib = require('zlib');
const n = +(process.argv[2] || 20000), rounds = +(process.argv[3] || 3);
const msg = Buffer.from(JSON.stringify({ kind: 'tick', value: 17 }));
const mb = () => Math.round(process.memoryUsage().rss / 1048576);
let r = 0;
function round() {
  let left = n, out = 0;
  for (let i = 0; i < n; i++) zlib.deflate(msg, (e, b) => { out += b.length; if (--left === 0) done(out); });
}
function done(out) {
  console.error(`round ${++r}: ${out} bytes, RSS ${mb()} MB`);
  if (r < rounds) return setTimeout(round, 200);
  setTimeout(() => { if (global.gc) global.gc(); console.error(`idle: RSS ${mb()} MB`); console.log(out); }, 3000);
}
round();
J
exec ${TOOL:-} node --expose-gc z.js "$N" ${ROUNDS:-2}
