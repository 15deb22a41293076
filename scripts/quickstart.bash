# quickstart.bash - a rule checker in bash. The program under test is bash itself:
# it loses memory (bash 5.2, a bug), it grows, and it keeps memory unused.
#
#   leaks   a command that ends too early, as in `eval "if true; then"`, makes bash
#           drop the tree it has parsed so far; nothing points to it any more
#   grows   every address ever seen stays in the table `seen`
#   wastes  of each batch of lines one in a hundred is kept, and pins the rest

declare -A seen
declare -a kept

check_rule() { # is it well-formed? (it is not)
  eval "if [ \$1 -gt 10 ]; then echo rule $1; for i in 1 2 3; do" 2>/dev/null
}

count_address() {
  seen[10.0.$(($1 >> 8)).$(($1 & 255))]=$1 # never expires
}

read_batch() {
  local -a lines
  local i
  for ((i = 0; i < 20000; i++)); do
    lines[i]="batch $1 line $i: some text of which little is of interest"
    ((i % 100)) || kept+=("batch $1, line $i: here is something of interest")
  done
}

read_batch 1
read_batch 2
for ((n = 1; n <= 30000; n++)); do
  count_address "$n"
  ((n % 10)) || check_rule "$n"
done
echo "${#seen[@]} addresses, ${#kept[@]} interesting lines"
