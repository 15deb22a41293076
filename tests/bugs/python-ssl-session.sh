#!/bin/sh
# python 3.11.2 (Debian 12): each look at the session of a TLS connection copies it, and loses the copy (#116810)
# right: PySSL_get_session of _ssl.c, static, the getter of "session"; what is lost is SSL_SESSION_dup's work.
. "$(dirname "$0")/common.sh"
N=${1:-1500}
need python3 openssl
only python3.11 3.11.2
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost 2>/dev/null
cat >session.py <<'P'
# a client that remembers the session for its next connection
import ssl, sys
ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
ours.check_hostname, ours.verify_mode = False, ssl.CERT_NONE
theirs.load_cert_chain("cert.pem", "key.pem")
a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
client, server = ours.wrap_bio(a, b), theirs.wrap_bio(b, a, server_side=True)
def step(of):
    try:
        of.do_handshake()
        return True
    except ssl.SSLWantReadError:
        return False
while step(client) + step(server) < 2:
    pass
server.write(b"hello")
client.read(5)
print(sum(client.session is not None for _ in range(int(sys.argv[1]))), "sessions")
P
exec ${TOOL:-} /usr/bin/python3 session.py "$N"
