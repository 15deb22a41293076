#!/bin/sh
# XML 3.99 for R (Debian 12): a document with an error loses all that libxml2 has made of it (of the
# kind of omegahat/XML #4)
# right: RS_XML_ParseTree (C), whose R_xmlStructuredErrorHandler leaves it by an error of R's.
. "$(dirname "$0")/common.sh"
N=${1:-10000}
need r-base-core r-cran-xml
only r-cran-xml 3.99-0.13
cat >orders.R <<'R'
# Reads orders that come in, some of which are no XML.
library(XML)
n <- as.integer(commandArgs(TRUE)[1])
bad <- 0
for (i in seq_len(n)) {
  order <- try(xmlParse("<order><item><title>A title</title></order>", asText = TRUE, error = NULL),
               silent = TRUE)
  if (inherits(order, "try-error")) bad <- bad + 1
}
cat(bad, "are bad\n")
R
exec ${TOOL:-} Rscript orders.R "$N"
