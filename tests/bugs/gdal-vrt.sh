#!/bin/sh
# GDAL 3.6 (Debian 12): each virtual picture that is read leaves two entries in a map of its
# thread's (OSGeo/gdal #12932)
# right: GDALAntiRecursionGuard, which counts there and never erases, of VRTSourcedRasterBand.
. "$(dirname "$0")/common.sh"
N=${1:-40000}
need g++ libgdal-dev
only libgdal-dev 3.6
cat >tiles.cpp <<'C'
// A server of maps: each tile is a virtual picture of another name.
#include <cpl_vsi.h>
#include <cstdio>
#include <cstdlib>
#include <gdal_priv.h>
#include <string>
static bool serve_tile(GDALDriver *vrt, GDALDataset *picture, int i) {
  std::string name = "/vsimem/tiles/layer/" + std::to_string(i) + "/of-the-pyramid.vrt";
  GDALClose(vrt->CreateCopy(name.c_str(), picture, 0, nullptr, nullptr, nullptr));
  GDALDataset *tile = GDALDataset::Open(name.c_str());
  unsigned char row[16];
  bool good = tile && tile->GetRasterBand(1)->RasterIO(GF_Read, 0, 0, 16, 1, row, 16, 1, GDT_Byte,
                                                       0, 0, nullptr) == CE_None;
  GDALClose(tile);
  VSIUnlink(name.c_str());
  return good;
}
int main(int argc, char **argv) {
  GDALAllRegister();
  GDALDriver *tiff = GetGDALDriverManager()->GetDriverByName("GTiff");
  GDALDriver *vrt = GetGDALDriverManager()->GetDriverByName("VRT");
  GDALDataset *picture = tiff->Create("/vsimem/picture.tif", 16, 16, 1, GDT_Byte, nullptr);
  int served = 0;
  for (int i = 0, n = argc > 1 ? atoi(argv[1]) : 1; i < n; i++)
    served += serve_tile(vrt, picture, i);
  GDALClose(picture);
  printf("%d tiles\n", served);
}
C
g++ -g -O1 -o tiles tiles.cpp -I/usr/include/gdal -lgdal
exec ${TOOL:-} ./tiles "$N"
