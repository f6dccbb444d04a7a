#!/bin/sh
# compare.sh UEMU PROGRAM: runs an i386 program by the kernel and by UEMU; their output and status must agree.
# 77 (skipped) where the kernel runs no i386 programs or lacks what UEMU needs.
set -u
uemu=$1 program=$2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

"$uemu" --check || exit 77
"$program" >"$folder/kernel" 2>&1 </dev/null
kernel_status=$?
[ $kernel_status -eq 126 ] && exit 77
"$uemu" "$program" >"$folder/uemu" 2>&1 </dev/null
uemu_status=$?
if [ $kernel_status -ne $uemu_status ]; then
  echo "status: kernel $kernel_status, uemu $uemu_status"
  failed=1
fi
diff -u "$folder/kernel" "$folder/uemu" || failed=1
exit ${failed:-0}
