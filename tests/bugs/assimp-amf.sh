#!/bin/sh
# assimp 5.2.5 (Debian 12): importing an AMF scene whose objects are used by a constellation loses nodes
# right: AMFImporter::Postprocess_BuildScene, which drops nodes from its list without deleting
# them. They are made in Postprocess_BuildNodeAndObject; neither has a name there.
. "$(dirname "$0")/common.sh"
N=${1:-4000}
need g++ libassimp-dev
cat > load.cpp <<'C'
// a viewer's import loop: loads the same AMF scene again and again
#include <assimp/Importer.hpp>
#include <assimp/postprocess.h>
#include <assimp/scene.h>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
int main(int argc, char** argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 2000;
    std::ostringstream amf;
    amf << "<?xml version=\"1.0\"?>\n<amf unit=\"millimeter\">\n";
    for (int o = 1; o <= 3; o++)
        amf << "<object id=\"" << o << "\"><mesh><vertices>"
            "<vertex><coordinates><x>0</x><y>0</y><z>" << o << "</z></coordinates></vertex>"
            "<vertex><coordinates><x>1</x><y>0</y><z>0</z></coordinates></vertex>"
            "<vertex><coordinates><x>0</x><y>1</y><z>0</z></coordinates></vertex>"
            "</vertices><volume><triangle><v1>0</v1><v2>1</v2><v3>2</v3></triangle></volume></mesh></object>\n";
    amf << "<constellation id=\"9\">";
    for (int o = 1; o <= 3; o++)
        amf << "<instance objectid=\"" << o << "\"><deltax>" << o << "</deltax><deltay>0</deltay><deltaz>0</deltaz><rx>0</rx><ry>0</ry><rz>0</rz></instance>";
    amf << "</constellation>\n</amf>\n";
    std::string s = amf.str();
    std::ofstream("scene.amf") << s;
    unsigned meshes = 0, bad = 0;
    for (int i = 0; i < n; i++) {
        Assimp::Importer imp;
        const aiScene* sc = imp.ReadFile("scene.amf", aiProcess_Triangulate);
        if (sc) meshes += sc->mNumMeshes; else { if (!bad++) fprintf(stderr, "%s\n", imp.GetErrorString()); }
    }
    printf("%u meshes, %u failed\n", meshes, bad);
}
C
g++ -g -O1 -o load load.cpp -lassimp
exec ${TOOL:-} ./load "$N"
