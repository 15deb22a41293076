#!/bin/sh
# libcurl 7.88.1 (#17749): the trailer of each answer in chunks is lost but for the last of a
# connection
# right: Curl_httpchunk_read, which resets the trailer's buffer where it must free it; that
# is made larger by Curl_dyn_addn for it.
# Debian's source without its patch for it, stripped.
. "$(dirname "$0")/common.sh"
N=${1:-2000}
need gcc cmake ninja-build python3
if [ -z "${CURL:-}" ]; then
  apt-get source -qq curl && cd curl-7.88.1
  patch -s -R -p1 <debian/patches/0001-http_chunks-reset-the-trailer-to-avoid-memory-leak.patch
  mkdir b && cd b
  cmake .. -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$(dpkg-buildflags --get CFLAGS)" \
    -DHTTP_ONLY=ON -DCURL_ENABLE_SSL=OFF -DCURL_USE_LIBSSH2=OFF -DBUILD_CURL_EXE=OFF >/dev/null
  ninja >/dev/null && strip --strip-unneeded lib/libcurl.so.4
  CURL=$PWD/..
  cd "$WORK"
fi
cat >server.py <<'P'
# Answers each request in chunks, with a trailer, all on one connection.
import socket
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
c, _ = s.accept()
while c.recv(4096):
    c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
              b"5\r\nhello\r\n0\r\nX-Sum: 5d41402abc4b2a76b9719d911017c592\r\n\r\n")
P
cat >get.c <<'C'
/* asks a server again and again */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
static size_t eat(char *data, size_t size, size_t n, void *to) {
  (void)data, (void)to;
  return size * n;
}
int main(int argc, char **argv) {
  int good = 0;
  CURL *c = curl_easy_init();
  curl_easy_setopt(c, CURLOPT_URL, argv[1]);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, eat);
  for (int i = 0; i < atoi(argv[2]); i++)
    good += curl_easy_perform(c) == CURLE_OK;
  curl_easy_cleanup(c);
  printf("%d answers\n", good);
}
C
gcc -g -O1 -I"$CURL/include" -o get get.c -L"$CURL/b/lib" -lcurl -Wl,-rpath,"$CURL/b/lib"
mkfifo port
python3 server.py >port &
read -r PORT <port
exec ${TOOL:-} ./get "http://127.0.0.1:$PORT/" "$N"
