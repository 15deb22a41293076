#!/bin/sh
# rapidjson 1.1 (Tencent/rapidjson #970): each document keeps a chunk of 64 KiB, however
# small it is, and most of it is never touched.
# right: rapidjson::MemoryPoolAllocator's AddChunk; for the user, what keeps documents.
# Killed, as a service for want of memory.
. "$(dirname "$0")/common.sh"
N=${1:-2000}
need g++ rapidjson-dev
cat >cache.cc <<'C'
// a cache of small documents, as of settings
#include <cstdlib>
#include <memory>
#include <rapidjson/document.h>
#include <signal.h>
#include <string>
#include <unistd.h>
#include <vector>
static std::vector<std::unique_ptr<rapidjson::Document>> cache;
__attribute__((noinline)) static void remember(int i) {
  auto d = std::make_unique<rapidjson::Document>();
  d->Parse(("{\"name\": \"user " + std::to_string(i) + "\", \"age\": 7}").c_str());
  cache.push_back(std::move(d));
}
int main(int argc, char **argv) {
  for (int i = 0, n = argc > 1 ? atoi(argv[1]) : 100; i < n; i++) {
    remember(i);
    usleep(1000);
  }
  raise(SIGKILL);
}
C
g++ -O2 -g -o cache cache.cc
exec ${TOOL:-} ./cache "$N"
