#!/bin/sh
# tiers.sh UEMU GUEST OPT: the guest does the same in both tiers, and the IR that --dump-ir logs passes LLVM's
# verifier.
set -u
uemu=$1 guest=$2 opt=$3
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1

"$uemu" --tier=stencil "$guest" >stencil 2>&1
echo "status $?" >>stencil
"$uemu" --dump-ir -D ir "$guest" >llvm 2>&1
echo "status $?" >>llvm
diff stencil llvm || exit 1
grep -q '^status 42$' llvm || { cat llvm; exit 1; }

# A comment line "; lifted NAME" or "; optimised NAME" begins each module.
awk '/^; (lifted|optimised) block_/ { close(file); file = sprintf("%05d.ll", n++) } { print > file }' ir
lifted=$(grep -c '^; lifted block_' ir) optimised=$(grep -c '^; optimised block_' ir)
if [ "$lifted" -lt 20 ] || [ "$lifted" -ne "$optimised" ]; then
  echo "$lifted blocks lifted, $optimised optimised"
  exit 1
fi
for module in *.ll; do
  "$opt" -passes=verify -disable-output "$module" || { cat "$module"; exit 1; }
done
echo "$lifted blocks"
