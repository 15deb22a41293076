#!/bin/sh
# graphviz 2.42 (Debian 12): each layout of a graph with a cluster loses the cluster's skeleton
# (ellson/MOTHBALLED-graphviz #649)
# right: dot's cleanup, which forgets what build_skeleton (of class2) has made for the layout.
. "$(dirname "$0")/common.sh"
N=${1:-1000}
need gcc libgraphviz-dev
only libgraphviz-dev 2.42
cat >layouts.c <<'C'
#include <graphviz/gvc.h>
#include <stdio.h>
#include <stdlib.h>

static void draw(GVC_t *gvc) {
  Agraph_t *graph = agopen("g", Agdirected, 0);
  Agraph_t *cluster = agsubg(graph, "cluster_g0", 1);
  agedge(cluster, agnode(cluster, "A", 1), agnode(cluster, "B", 1), 0, 1);
  gvLayout(gvc, graph, "dot");
  gvFreeLayout(gvc, graph);
  agclose(graph);
}

int main(int argc, char *argv[]) {
  GVC_t *gvc = gvContext();
  for (int i = 0; argc == 2 && i < atoi(argv[1]); i++)
    draw(gvc);
  gvFreeContext(gvc);
  puts("done");
}
C
gcc -g -O1 layouts.c -o layouts -lgvc -lcgraph
exec ${TOOL:-} ./layouts "$N"
