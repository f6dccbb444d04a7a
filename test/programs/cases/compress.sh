# Round trips through the compressors; what they write must be the same, too.
# seconds-quick: 200
# seconds-full: 1800
# each: xz bzip2 gzip zstd
source /programs/support/steps.bash
need "$1"
cd /tmp || exit
megabytes=$(size 2 50)
words $((megabytes * 20000)) >data
cat /usr/bin/bash /usr/lib/i386-linux-gnu/libc.so.6 >>data
while [ "$(stat -c %s data)" -lt $((megabytes << 20)) ]; do
  cat /usr/lib/i386-linux-gnu/lib*.so.* | head -c 8000000 >>data
done
truncate -s ${megabytes}M data
touch -d '2001-02-03 04:05:06' data # gzip stores it
md5sum data
case $1 in
  xz) levels=(-0 -6 '-9e' '-6 --x86 --lzma2' '-6 -T2' '--format=lzma -3' '-1 --check=sha256 --block-size=500000') ;;
  bzip2) levels=(-1 -9) ;;
  gzip) levels=(-1 -6 -9) ;;
  zstd) levels=(-1 -3 -19 '-3 -T2' '--fast=3' '-6 --long --check') ;;
esac
[ "$SIZE" = quick ] || levels=("${levels[@]:0:3}")
for level in "${levels[@]}"; do
  echo "== $1 $level"
  # shellcheck disable=SC2086 # several options
  "$1" $level -c <data >packed
  echo "[$?]"
  stat -c %s packed
  md5sum packed
  "$1" -dc <packed | cmp - data
  echo "${PIPESTATUS[@]}"
  head -c 5000 packed | "$1" -dc 2>&1 | tail -c 100 | md5sum
  "$1" -tv - <packed 2>&1 | tr -d '\r' | sed -E 's/, ([0-9]+:[0-9]+|[0-9.]+ [KM]iB\/s)//g'
done
cp data named && "$1" -kf named && ls named* && rm named && "$1" -d named.* && cmp named data
echo "[$?]"
