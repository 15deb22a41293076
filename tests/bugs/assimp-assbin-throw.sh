#!/bin/sh
# assimp 5.2.5 (Debian 12): the stream of an .assbin from memory is lost when the import throws
# right: AssbinImporter::InternReadFile, which throws without closing its stream.
. "$(dirname "$0")/common.sh"
N=${1:-30000}
need g++ libassimp-dev
cat > assbin.cpp <<'C'
// a service that gets scenes over the network; some are damaged
#include <assimp/Importer.hpp>
#include <assimp/scene.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
int main(int argc, char** argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 20000, bad = 0;
    std::string s = "ASSIMP.binary-dump.";
    s.resize(2048, '\0');
    for (int i = 0; i < n; i++) {
        Assimp::Importer imp;
        if (!imp.ReadFileFromMemory(s.data(), s.size(), 0, "assbin")) bad++;
    }
    printf("%d of %d scenes are damaged\n", bad, n);
}
C
g++ -g -O1 -o assbin assbin.cpp -lassimp
exec ${TOOL:-} ./assbin "$N"
