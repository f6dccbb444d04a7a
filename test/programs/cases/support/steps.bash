# For cases: source /programs/support/steps.bash

# need PROGRAM…: the case is skipped when the sysroot lacks one.
need() {
  local program
  for program; do
    command -v "$program" >/dev/null || {
      echo "no $program in the sysroot"
      exit 77
    }
  done
}

# Each line of standard input is a command for the shell; its text, its output and its status are printed.
steps() {
  local command status
  while IFS= read -r command <&9; do
    [[ $command == [!#]* ]] || continue
    echo "== $command"
    eval "$command" </dev/null
    status=$?
    echo "[$status]"
  done 9<&0
}

# quick FULL: the size of something.
size() { [ "$SIZE" = full ] && echo "$2" || echo "$1"; }

# words N [SEED]: N lines of text that look random and are always the same.
words() {
  awk -v n="$1" -v seed="${2:-1}" 'BEGIN {
    for (i = 0; i < n; i++) {
      line = ""
      for (w = 0; w < 1 + seed % 7; w++) {
        seed = (seed * 16807) % 2147483647
        line = line (w ? " " : "") sprintf("%c%c%s", 97 + seed % 26, 97 + int(seed / 31) % 26, seed % 1000)
      }
      print line
    }
  }'
}
