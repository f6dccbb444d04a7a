#!/bin/sh
# dump.sh UEMU GUEST OTHER-GUEST OPT LLVM-DIS CC: what --dump-ir=ITEMS writes while the guest runs: a file for each stage of
# what is compiled of one function, which LLVM's tools and the assembler accept, and for nothing else.
set -u
uemu=$1 guest=$2 other=$3 opt=$4 dis=$5 cc=$6
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
mkdir ir bitcode region

fail() {
  echo "$*"
  ls ir bitcode region
  exit 1
}
"$uemu" "$guest" >expected
run() {
  "$uemu" --tier=llvm "$@" "$guest" >output 2>&1
  [ $? = 42 ] && cmp expected output || fail "wrong with $*"
}

run --dump-ir=lifted,optimized,asm,function=mix --dump-dir ir
for kind in lifted.ll optimized.ll s; do
  ls ir | grep -q "^[0-9a-f]*-mix\.$kind\$" || fail "no $kind of mix's entry"
done
ls ir | grep -q -v -e '-mix[.+]' && fail "another function's files"
count=$(ls ir/*.lifted.ll | wc -l)
[ "$count" -ge 2 ] || fail "$count blocks"
[ "$(ls ir/*.optimized.ll | wc -l)" = "$count" ] && [ "$(ls ir/*.s | wc -l)" = "$count" ] || fail "stages are missing"
for module in ir/*.ll; do
  "$opt" -passes=verify -disable-output "$module" || fail "$module is not valid"
  grep -q '!uemu.insn' "$module" || fail "$module does not tell its instructions"
  grep -q '^  ; [0-9a-f]\{8\}  ' "$module" || fail "$module has no comments"
done
grep -q 'getelementptr (%cpu_state, ' ir/*.lifted.ll || fail "no field of the register file"
for file in ir/*.s; do
  "$cc" -c -o object.o "$file" || fail "$file cannot be assembled"
  grep -q '# [0-9a-f]\{8\}  ' "$file" || fail "$file has no comments"
done

entry=$(ls ir | sed -n 's/-mix\.s$//p')
UEMU_DUMP_DIR=bitcode UEMU_DUMP_IR=optimized,bitcode,range=$entry-$entry run
[ "$(ls bitcode)" = "$entry-mix.optimized.bc" ] || fail "bitcode of more, or less, than $entry"
"$dis" "bitcode/$entry-mix.optimized.bc" -o - | grep -q '!uemu.insn' || fail "bitcode does not tell its instructions"

# A region: a loop of a function of the other guest, which gets long work.
long=$(printf "%03000d" 7)
"$uemu" --tier=region --region-count 500 --compile-threads 0 --dump-ir=lifted,optimized,asm,function=crc32 --dump-dir region \
  "$other" "$long" >output || fail "wrong with regions"
"$uemu" "$other" "$long" | cmp - output || fail "another result with regions"
for module in region/*.ll; do
  "$opt" -passes=verify -disable-output "$module" || fail "$module is not valid"
  grep -q '^define .*@region_' "$module" || fail "$module has no region"
  grep -q '!uemu.insn' "$module" || fail "$module does not tell its instructions"
done
grep -q '# [0-9a-f]\{8\}  ' region/*.s || fail "no assembly of a region"
exit 0
