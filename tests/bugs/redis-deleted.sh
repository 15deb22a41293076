#!/bin/sh
# redis 7.0.15 (redis/redis #2860, #354): most of the keys are deleted, but the memory stays.
# right: no leak. The keys that are left pin what is free around them: fragmentation. They
# are made by createEmbeddedStringObject / sdsnewlen for processInputBuffer's commands.
. "$(dirname "$0")/common.sh"
N=${1:-400000}
need redis-server python3
cat >fill.py <<'P'
# sets N keys, then deletes nine of ten; what is left is spread over all of them
import random, socket, sys, time
path, n = sys.argv[1], int(sys.argv[2])
random.seed(1)
for _ in range(100):
    try:
        s = socket.socket(socket.AF_UNIX); s.connect(path); break
    except OSError:
        time.sleep(0.1)
def ask(*commands):
    s.sendall(b"".join(b"*%d\r\n" % len(c) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a)
              for a in c) for c in commands))
    answers = b""
    while answers.count(b"\r\n") < len(commands):
        answers += s.recv(1 << 16)
for i in range(0, n, 1000):
    ask(*[(b"SET", b"session:%09d" % j, b"x" * random.randrange(100, 200))
          for j in range(i, i + 1000)])
for i in range(0, n, 1000):
    ask(*[(b"DEL", b"session:%09d" % j) for j in range(i, i + 1000) if random.random() < 0.9])
time.sleep(1)
s.sendall(b"*1\r\n$8\r\nSHUTDOWN\r\n")
P
rm -f r.sock
python3 fill.py r.sock "$N" &
${TOOL:-} redis-server --port 0 --unixsocket "$PWD/r.sock" --save "" --appendonly no --loglevel warning --hz 10
wait
