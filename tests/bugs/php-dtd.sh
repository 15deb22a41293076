#!/bin/sh
# php 8.2 (Debian 12): a document type that is appended to a document is lost (php/php-src #15513)
# right: DOM's appendChild, which makes a second one of it for libxml; "createDocumentType" has
# made it.
. "$(dirname "$0")/common.sh"
N=${1:-20000}
need php8.2-cli php8.2-xml
only php8.2-cli 8.2
cat >documents.php <<'P'
<?php
$children = 0;
for ($i = 0; $i < (int)$argv[1]; $i++) {
  $document = new DOMDocument();
  $type = $document->implementation->createDocumentType('page');
  $document->appendChild($type);
  $children += $document->childNodes->length;
}
echo $children, "\n";
P
exec ${TOOL:-} php8.2 documents.php "$N"
