#!/bin/sh
# yaml-cpp 0.7 (jbeder/yaml-cpp #1436): a node that is assigned again and again keeps all
# its old values.
# right: YAML::detail::memory::create_node, whose set only ever grows; for the user, the
# place that assigns.
. "$(dirname "$0")/common.sh"
N=${1:-200000}
need g++ libyaml-cpp-dev
cat >settings.cc <<'C'
// counts what it does in its settings, as a status that can be saved
#include <cstdio>
#include <cstdlib>
#include <unistd.h>
#include <yaml-cpp/yaml.h>
static struct Settings {
  YAML::Node root;
  void count(int i) { root["done"] = i; }
} settings;
int main(int argc, char **argv) {
  settings.root["name"] = "worker";
  int n = argc > 1 ? atoi(argv[1]) : 1000;
  for (int i = 0; i < n; i++) settings.count(i);
  printf("%d\n", settings.root["done"].as<int>());
  fflush(stdout);
  _exit(0); // as a service that is stopped
}
C
g++ -O2 -g -o settings settings.cc -lyaml-cpp
exec ${TOOL:-} ./settings "$N"
