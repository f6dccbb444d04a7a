# Perl's own regression tests, each folder of its source a case.
# seconds: 900
# each: base cmd comp io re op uni mro lib cpan/Digest-MD5 cpan/Digest-SHA cpan/JSON-PP cpan/Math-BigInt cpan/Scalar-List-Utils cpan/Socket cpan/Text-Balanced cpan/Time-Piece cpan/IO-Compress cpan/MIME-Base64 cpan/Compress-Raw-Zlib cpan/Memoize cpan/Encode dist/Storable dist/Data-Dumper dist/Text-Abbrev dist/Time-HiRes dist/threads dist/threads-shared dist/IO dist/Tie-File ext/POSIX ext/Hash-Util ext/Fcntl ext/File-Glob ext/B ext/IPC-Open3 ext/PerlIO-scalar ext/SDBM_File ext/mro ext/re
source /programs/support/steps.bash
need perl
[ -d /usr/src/perl/t ] || {
  echo "no source of perl in the sysroot (/usr/src/perl)"
  exit 77
}
folder=/usr/src/perl/t/$1
[ -d "$folder" ] || folder=/usr/src/perl/$1/t
[ -d "$folder" ] || { echo "no folder $1"; exit 77; }
# The tests of the core look for perl and its modules in the tree they were built in.
ln -sf /usr/bin/perl /usr/src/perl/perl
ln -sf /usr/bin/perl /usr/src/perl/t/perl
cd "${folder%/t*}" || exit
[[ $folder != */perl/t/* ]] || cd /usr/src/perl/t || exit
tests=("$folder"/*.t)
[ "$SIZE" = full ] || tests=("${tests[@]:0:25}")
unset PERL_CORE
export PERL_HASH_SEED=0
# What does not differ from run to run; threads report in the order in which they happen to run.
results() {
  grep -aE '^(not )?ok|^1\.\.|^Bail' |
    sed -E 's/0x[0-9a-f]{6,8}|\b5[0-9a-f]{7}\b/ADDRESS/g; s/(pid|PID|tmp|time|HiC_|tst)[^ ]*[ =:]*[0-9]+/\1/g; s/# [0-9]+:[0-9]+, on.*//' |
    case $1 in dist/[tT]hread*) sed -E 's/ok [0-9]+/ok/' | sort ;; *) cat ;; esac
}
for test in "${tests[@]}"; do
  echo "== ${test#/usr/src/perl/}"
  timeout 300 perl -I/usr/lib/i386-linux-gnu/perl-base -I. "$test" 2>/dev/null </dev/null | results "$1"
  echo "[${PIPESTATUS[0]}]"
done
