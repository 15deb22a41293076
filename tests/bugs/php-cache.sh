#!/bin/sh
# A cache without a bound in PHP, whose values lie in pools of its own: what is in no call of malloc.
# right: no leak; the script's cache. By malloc (USE_ZEND_ALLOC=0) it is str_repeat's growth.
. "$(dirname "$0")/common.sh"
N=${1:-400000}
need php8.2-cli
cat >cache.php <<'P'
<?php // remembers all that was ever asked for
class Cache {
  private array $seen = [];
  function get(string $key) { return $this->seen[$key] ??= str_repeat($key, 20); }
}
[$cache, $n] = [new Cache, 0];
for ($i = 0; $i < (int)$argv[1]; $i++) $n += strlen($cache->get("key-$i"));
echo $n, "\n";
P
exec ${TOOL:-} php8.2 cache.php "$N"
