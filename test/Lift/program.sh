#!/bin/sh
# program.sh UEMU GUEST OPT LLVM-DIS: the whole guest as one module, which LLVM's tools accept; that it has what it should,
# and says so.
set -u
uemu=$1 guest=$2 opt=$3 dis=$4
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1

fail() {
  echo "$*"
  exit 1
}
has() { grep -q -e "$2" "$1" || fail "$1 lacks '$2'"; }

"$uemu" --lift -o all.ll "$guest" >report || fail "not lifted"
cat report
"$opt" -passes=verify -disable-output all.ll || fail "all.ll is not valid"
"$uemu" --lift -o all.bc "$guest" >/dev/null || fail "not lifted to bitcode"
"$dis" all.bc -o - | grep -q '@guest_by_table' || fail "all.bc lacks a function"

for function in main called only_a_symbol by_table cpu not_for_users _start; do
  has all.ll "^define .* @guest_$function("
done
has all.ll '%cpu_state = type'
has all.ll '^!uemu.cpu_state = '
has all.ll '; [0-9a-f]* * call 0x[0-9a-f]* <called>'
has all.ll '@helper_cpuid('
has all.ll '@helper_uncompiled('
has all.ll 'call x86_regcallcc %guest @guest_called('
# A direct call is one, and nothing is left over that the file has code for.
if grep -q '^declare .* @exit_' all.ll; then
  has report '  outside       [1-9]'
fi
has report '1 without a meaning: xbegin 1'
has report 'entry point 1, symbol tables [1-9]'
has report ' and [1-9][0-9]* gaps in'
covered=$(sed -n 's/.* padding: \([0-9]*\)\..*/\1/p' report)
[ "$covered" -ge 95 ] || fail "only $covered % of the code are covered"

# Every call and access says which instruction it is from.
total=$(grep -c -E '^  (store volatile|%[0-9]+ = load volatile|musttail)' all.ll)
marked=$(grep -E '^  (store volatile|%[0-9]+ = load volatile|musttail)' all.ll | grep -c '!uemu.insn')
[ "$total" -gt 50 ] || fail "$total accesses"
[ "$total" -le $((marked + 5)) ] || fail "of $total accesses and jumps $marked are marked"

"$uemu" --lift --function called -o one.ll "$guest" >/dev/null || fail "one function is not lifted"
[ "$(grep -c '^define ' one.ll)" = 1 ] || fail "$(grep -c '^define ' one.ll) functions"
"$uemu" --lift --function no_such -o none.ll "$guest" >/dev/null 2>message && fail "lifted what is not there"
has message "no function 'no_such'"
"$uemu" --lift -o none.ll /bin/sh >/dev/null 2>message && fail "lifted a 64-bit program"
has message 'not an ELF32 file'
head -c 3000 "$guest" >damaged
"$uemu" --lift -o none.ll damaged >/dev/null 2>message # whatever it says, it ends
[ $? -lt 128 ] || fail "a damaged file killed it"
exit 0
