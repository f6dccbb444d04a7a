# Every applet of busybox that needs neither privileges nor a network nor a terminal.
# seconds: 300
source /programs/support/steps.bash
need busybox
mkdir -p /tmp/bb/bin && cd /tmp/bb || exit
busybox --install -s /tmp/bb/bin 2>&1
ls bin | wc -l
PATH=/tmp/bb/bin
words 300 >text
words 300 2 >other
printf 'one\ttwo\nthree\tfour\n' >tabs
printf 'a,1\nb,2\nc,3\n' >left
printf 'a,x\nc,y\n' >right
mkdir -p tree/a/b tree/c
echo inner >tree/a/b/file
echo second >tree/c/file2
ln -s ../a tree/c/link
touch -h -d '2001-02-03 04:05:06' text other tabs tree/a/b/file tree/c/file2 tree/c/link tree/a/b tree/a tree/c tree
steps <<'STEPS'
[ 1 -lt 2 ]
[[ abc = a* ]]
arch
ar -p /usr/lib/i386-linux-gnu/libdl.a
ascii | head -20
ash -c 'f() { local x=$1; echo $((x * 2)); }; for i in 1 2 3; do f $i; done; echo ${0%h}; set -- a b; echo $# "$@"; trap "echo bye" EXIT'
awk '{ n += NF; c[substr($1, 1, 1)]++ } END { print n; for (k in c) s += c[k]; print s; printf "%.6f %e %x\n", sqrt(2), exp(1), 255 }' text
awk 'BEGIN { x = "hello world"; gsub(/o/, "0", x); print toupper(x), index(x, "w"), match(x, /w.*/), RSTART, RLENGTH; print log(10), sin(1), atan2(1, 2), int(-3.7), 2^31 }'
base64 text | md5sum
base64 text | base64 -d | cmp - text
basename /a/b/c.txt .txt
bc -l <<<'scale=30; 4*a(1); 2^100; sqrt(2)'
bunzip2 -c <(bzip2 -c text) | md5sum
bzip2 -c text | bzcat | md5sum
cal 2 2024
cat -n tabs
cat -vet tabs
chgrp 0 text; stat -c %g text
chmod 640 text; stat -c %a text
chown 0:0 text; stat -c %u:%g text
cksum text
clear | od -c
cmp text other
comm left right
cp -a tree copy; find copy | sort
find tree | sort | cpio -o -H newc 2>/dev/null | cpio -t 2>/dev/null
crc32 text
cut -d' ' -f1,3 text | md5sum
cut -c2-5 text | head -3
date -u -d @1000000000 '+%Y-%m-%d %H:%M:%S %a %b %j %U'
date -d '2004-02-29 12:00' +%s
dc -e '3 5 ^ p 2 k 7 3 / p 16 o 255 p'
dd if=text bs=100 skip=2 count=3 2>/dev/null | md5sum
dd if=/dev/zero of=zeros bs=1k count=64 2>/dev/null; ls -l zeros | cut -d' ' -f5
df / >/dev/null
diff left right
diff -u text other | tail -n +3 | md5sum
dirname /a/b/c
dos2unix <<<$'a\r'
unix2dos <<<a | od -c
du -s tree >/dev/null
echo -e 'a\tb\x41\0101'
egrep -c 'a|b' text
env -i A=1 B=2 env
expand tabs
expr 7 '*' 6
expr abcdef : 'abc\(.*\)'
expr 1 + 2 '<' 4
factor 1234567890 999999999989 18446744073709551557 97
fallocate -l 5000 grown; stat -c %s grown
false
fgrep -c 'aa' text
find tree -type f -name 'f*' | sort
find tree -newermt 2000-01-01 -exec echo found {} + | tr ' ' '\n' | sort
find tree -type f -exec md5sum {} \; | sort
fold -w 20 text | md5sum
free >/dev/null
getopt -o ab: -l long -- -a -b x --long rest
grep -n 'a[0-9]*b\?' text | md5sum
grep -io 'B[A-Z]' text | md5sum
groups
gzip -c text | gunzip -c | md5sum
head -5 text
head -c 50 text
hexdump -C text | head -20
hexdump -e '4/4 "%08x " "\n"' text | head -5
hostid >/dev/null
id
id -un
install -D -m 755 text inst/deep/file; stat -c '%a %s' inst/deep/file
ipcalc -n -b -m 192.168.10.77/20
kill -l 9
kill -0 $$
less tabs
link text hard; stat -c %h text
ln -s text soft; readlink soft; readlink -f soft
logname 2>/dev/null
ls -l tree | tail -n +2 | cut -c1-10
ls -aF tree
ls -R tree
lzma -c text 2>/dev/null | lzcat | md5sum
lzop -c text | lzop -dc | md5sum
md5sum text other
md5sum text >sums; md5sum -c sums
microcom --help 2>&1 | head -2
mkdir -p -m 700 new/dirs; stat -c %a new/dirs
mkfifo pipe; cat pipe & echo through >pipe; wait
mkpasswd -m sha512 -S saltsalt password
mkpasswd -m md5 -S saltsalt password
mktemp -u XXXXXX | wc -c
more tabs | cat
mv soft soft2; readlink soft2
nice nice
nice -n 5 nice
nl text | head -5
nproc >/dev/null
nuke --help 2>&1 | head -2
od -An -tx1 text | head -5
od -tu4z text | md5sum
od -tfF text | head -3
paste -d: left right
patch --help 2>&1 | head -1
cp left patched; diff -u left right >p; patch patched p; cat patched
pidof no-such-program
printf '%5d|%-5s|%05.2f|%x|%o|%c|%b|%q\n' 42 ab 3.14159 255 8 X 'a\tb' 'a b'
printf '%s\n' a b c
ps >/dev/null
pwd
readlink tree/c/link
realpath tree/c/link/b/file
rev text | md5sum
rm -rf copy; ls copy
rmdir new/dirs new; ls -d new
cp text p1; run-parts --test /tmp/bb/tree
printf 'a\nb\nc\nd\n' | sed -e '2d' -e 's/c/C&C/' -e '$a end' -e '1!G;h'
sed -n '5,/a/p;$=' text | md5sum
sed -E 's/([a-z]+)([0-9]+)/\2\1/g' text | md5sum
seq 1 3 20
seq -w 8 12
setsid echo in a session
sh -c 'echo $0 $1' x y
sha1sum text
sha256sum text
sha3sum text
sha512sum text
shred -n 1 zeros; stat -c %s zeros
shuf -e a b c d | sort
sleep 0.1
sort text | md5sum
sort -rn -k2 text | md5sum
sort -u -t, -k1,1 left right
split -l 100 text part.; ls part.*; cat part.* | cmp - text
start-stop-daemon -S -x /bin/echo -- started
stat -c '%n %s %F %Y' text
strings /tmp/bb/bin/busybox 2>/dev/null | head -1; strings text | head -2
sum text
sum -s text
sync
tac text | md5sum
tail -3 text
tail -n +298 text
tar -cf t.tar tree; tar -tvf t.tar | md5sum
tar -czf t.tgz tree; mkdir -p x; tar -xzf t.tgz -C x; find x | sort
tar -cjf t.tbz tree; tar -tf t.tbz
taskset -p $$ | wc -l
echo teed | tee a1 a2; cat a1 a2
test -d tree -a -f text -o 1 = 2
busybox time true 2>&1 | wc -l
timeout 0.2 sleep 10
timeout 10 echo in time
touch -d '2010-01-01 00:00:00' stamp; stat -c %Y stamp
tr a-z A-Z <text | md5sum
tr -d '[:digit:]' <text | md5sum
tr -sc 'a-z' '\n' <text | md5sum
tree tree
true
truncate -s 12345 cut; stat -c %s cut
printf 'x\n' | ts '' | wc -l
tty
uname -s
uncompress --help 2>&1 | head -1
unexpand -a <<<'        x       y'
sort text other | uniq -c | sort -rn | md5sum
printf 'a\na\nb\n' | uniq -d
unlink hard; ls hard
unxz --help 2>&1 | head -1
unzip --help 2>&1 | head -2
uptime >/dev/null
usleep 1000
uuencode text name | md5sum
uuencode text name | uudecode -o - | cmp - text
printf '1\n' | vi --help 2>&1 | head -1
wc text
wc -lwcL text
wget --help 2>&1 | head -1
which ls
whoami
xargs -n 3 echo <left
seq 100 | xargs -n 7 -P 1 echo | md5sum
seq 20 | xargs -I{} echo '<{}>' | md5sum
xxd text | head -5
xxd -p text | xxd -r -p | cmp - text
xz --help 2>&1 | head -1
yes | head -1000 | wc -l
gzip -c text >z.gz; zcat z.gz | md5sum
STEPS
