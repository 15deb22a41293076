#!/bin/sh
# mpack 1.0.7 for Lua (Debian 12): the callback of each request stays in the registry, with what it
# refers to (libmpack-lua #19)
# right: lmpack_session_receive, static, "receive": it takes the callback out, and does not unref it.
. "$(dirname "$0")/common.sh"
N=${1:-100000}
need lua5.3 lua-mpack
only lua-mpack 1.0.7
cat >client.lua <<'L'
-- Sends requests with a callback, and calls it with the answer.
local mpack = require "mpack"
local client = mpack.Session({ unpack = mpack.Unpacker() })
local server = mpack.Session({ unpack = mpack.Unpacker() })
local pack = mpack.Packer()
local answered, n = 0, tonumber(arg[1]) or 1
for i = 1, n do
  local function callback(result) if result == "fine" then answered = answered + i // i end end
  local request = client:request(callback) .. pack("method") .. pack({ i })
  local _, id = server:receive(request, 1)
  local reply = server:reply(id) .. pack(mpack.NIL) .. pack("fine")
  local _, call, _, result = client:receive(reply, 1)
  call(result)
end
print(answered .. " of " .. n .. " answered")
os.exit(0)
L
exec ${TOOL:-} lua5.3 client.lua "$N"
