#!/bin/sh
# xerces-c 3.2.4 (Debian 12): each document with an external DTD loses the DTD's declaration: so
# CVE-2018-1311, a use after free, is kept from doing harm (Debian's patch says so).
# right: IGXMLScanner::scanDocTypeDecl, whose Janitor the patch takes away.
. "$(dirname "$0")/common.sh"
N=${1:-4000}
need g++ libxerces-c-dev
only libxerces-c-dev 3.2.4+debian-1
cat >validate.cpp <<'C'
// Validates the orders that come in, each against its DTD.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <xercesc/framework/MemBufInputSource.hpp>
#include <xercesc/parsers/XercesDOMParser.hpp>
#include <xercesc/util/PlatformUtils.hpp>
using namespace xercesc;
static const char order[] =
    "<?xml version='1.0'?><!DOCTYPE order SYSTEM 'order.dtd'><order><item/></order>";
static unsigned validate() {
  XercesDOMParser parser;
  parser.setValidationScheme(XercesDOMParser::Val_Always);
  parser.parse(MemBufInputSource((const XMLByte *)order, strlen(order), "order"));
  return parser.getErrorCount();
}
int main(int argc, char **argv) {
  XMLPlatformUtils::Initialize();
  unsigned errors = 0;
  for (int n = argc > 1 ? atoi(argv[1]) : 1; n > 0; n--)
    errors += validate();
  printf("%u errors\n", errors);
  XMLPlatformUtils::Terminate();
}
C
echo '<!ELEMENT order (item*)><!ELEMENT item EMPTY>' >order.dtd
g++ -g -O1 -o validate validate.cpp -lxerces-c
exec ${TOOL:-} ./validate "$N"
