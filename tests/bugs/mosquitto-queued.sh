#!/bin/sh
# mosquitto 2.0.11 (Debian 12): subscribers that were away have their messages, and the memory stays
# (eclipse/mosquitto #2267, #13)
# right: nothing is lost: the messages of the one that did not come back lie among all that are gone.
. "$(dirname "$0")/common.sh"
N=${1:-2000}
need python3 mosquitto
only mosquitto 2.0.11
cat >clients.py <<'P'
# Twenty subscribers that are away; each is sent messages. All but one come back for theirs.
import socket, struct, sys, time
port, n, away = int(sys.argv[1]), int(sys.argv[2]), 20
def text(s):
    return struct.pack(">H", len(s)) + s
def packet(kind, body):
    length, n = b"", len(body)
    while True:
        n, digit = n >> 7, n & 127
        length += bytes([digit | (128 if n else 0)])
        if not n:
            return bytes([kind]) + length + body
def connect(name, clean):
    for _ in range(100):
        try:
            s = socket.create_connection(("127.0.0.1", port))
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    s.sendall(packet(0x10, text(b"MQTT") + bytes([4, 2 if clean else 0]) + struct.pack(">H", 600) + text(name)))
    return s, s.makefile("rb")
def read(f):
    kind, shift, length = f.read(1)[0], 0, 0
    while True:
        digit = f.read(1)[0]
        length |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return kind, f.read(length)
def resident():
    pid = int(open("m.pid").read())
    return int(open(f"/proc/{pid}/statm").read().split()[1]) * 4 >> 10
for i in range(away):
    s, f = connect(b"away%d" % i, False)
    read(f)
    s.sendall(packet(0x82, struct.pack(">H", 1) + text(b"to/%d" % i) + b"\x01"))
    read(f)
    s.sendall(b"\xe0\0")
    s.close()
s, f = connect(b"sender", True)
read(f)
for k in range(n):
    for i in range(away):
        s.sendall(packet(0x32, text(b"to/%d" % i) + struct.pack(">H", 1) + b"%06d" % k + b"x" * 294))
        read(f)
print(resident(), "MB with all that wait", file=sys.stderr)
for i in range(1, away):
    s, f = connect(b"away%d" % i, False)
    read(f)
    for k in range(n):
        kind, body = read(f)
        start = 2 + struct.unpack(">H", body[:2])[0]
        s.sendall(packet(0x40, body[start:start + 2]))
    s.sendall(b"\xe0\0")
    s.close()
time.sleep(1)
print(resident(), "MB when all but one have theirs", file=sys.stderr)
P
PORT=${PORT:-18832}
PATH=$PATH:/usr/sbin
printf '%s\n' "listener $PORT 127.0.0.1" 'allow_anonymous true' 'user root' 'log_type none' \
  'max_queued_messages 0' 'max_inflight_messages 0' "pid_file $PWD/m.pid" >m.conf
${TOOL:-} mosquitto -c m.conf &
tool=$!
python3 clients.py "$PORT" "$N"
kill -TERM "$(cat m.pid)"
wait "$tool"
