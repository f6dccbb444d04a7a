#!/bin/sh
# run.sh UEMU GUEST OPT LLC CC: lifts crc32() out of the i386 program GUEST, links it into host.c, and lets both compute.
set -eu
uemu=$1 guest=$2 opt=$3 llc=$4 cc=$5
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# 1. One function, and what it calls, as IR.
"$uemu" --lift --function crc32 -o "$folder/crc32.ll" "$guest"

# 2. LLVM's own tools take it from there. (A pass of LLVM 19's code generator is wrong for 32-bit addresses.)
"$opt" -passes='default<O2>' "$folder/crc32.ll" -o "$folder/crc32.bc"
"$llc" -O2 -fixup-byte-word-insts=0 -filetype=obj "$folder/crc32.bc" -o "$folder/crc32.o"

# 3. A program of one's own.
"$cc" -std=gnu17 -O2 -Wall -Wextra -fPIE -pie -I "$here/../../lib" -o "$folder/host" "$here/host.c" "$here/glue.S" "$folder/crc32.o"

"$folder/host" "$guest" 123456789 "The quick brown fox" "" | tee "$folder/by_host"

# The standard's check value, and what the program itself says.
grep -q '^cbf43926  123456789$' "$folder/by_host"
"$uemu" "$guest" 123456789 "The quick brown fox" "" >"$folder/by_guest"
diff "$folder/by_guest" "$folder/by_host"
