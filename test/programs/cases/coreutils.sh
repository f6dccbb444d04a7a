# GNU coreutils, several invocations of each.
# seconds: 600
source /programs/support/steps.bash
need ls sort od
mkdir -p /tmp/cu && cd /tmp/cu || exit
words 500 >text
words 500 2 >other
printf 'a 1\nb 2\nc 3\ne 5\n' >left
printf 'a x\nc y\nd z\ne w\n' >right
printf 'one\ttwo\n\n\nthree\tfour\n' >tabs
seq 1 1000 >numbers
mkdir -p tree/a/b tree/c
echo inner >tree/a/b/file
ln -s ../a tree/c/link
touch -h -d '2001-02-03 04:05:06' text other tabs tree/a/b/file tree/c/link tree/a/b tree/a tree/c tree
steps <<'STEPS'
[ -e text ]
/usr/bin/[ 1 -eq 2 ]
arch
b2sum text other
b2sum -l 128 text
base32 text | md5sum
base32 text | base32 -d | cmp - text
base64 -w 40 text | md5sum
base64 text | base64 -d | cmp - text
basename -s .c /x/y.c /z.c
basename -a /x/y /z
basenc --base16 left
basenc --z85 -w0 <<<1234567
basenc --base2msbf left
cat -A tabs
cat -s -n tabs
cat left - right </dev/null
chcon -t x text
chgrp root text; stat -c %G text
chmod u=rwx,g+s,o-r text; stat -c %A text
chmod -R -v go= tree
chmod --reference=left text; stat -c %a text
chown 1:2 other; stat -c %u:%g other
chown -v root:root other
chroot / echo chrooted
cksum text other
cksum -a sha256 text
cksum -a sm3 text
cksum -a crc --untagged left
comm left right
comm -12 --total left right
cp -v text copy; cmp text copy
cp -a --sparse=always tree copytree; find copytree | sort
cp -l text linked; stat -c %h text
cp -s /tmp/cu/text symlinked; readlink symlinked
cp --backup=numbered text copy; ls copy*
cp tree nowhere
cp --reflink=auto text r1; cmp text r1
csplit -z -f cs numbers '/00$/' '{5}'
cut -f2 tabs
cut -d' ' -f2- --output-delimiter=: left
cut -b1-3,5- text | md5sum
cut --complement -c1-3 left
date -u -d '2020-02-30'
date -u -d '@1234567890' --rfc-3339=seconds
date -u -d '2024-12-31 + 1 day' +'%F %T %a %A %b %B %C %d %D %e %g %G %h %H %I %j %k %l %m %M %n %N %p %r %R %s %S %t %u %U %V %w %W %x %X %y %Y %z %Z'
date -u -d 'TZ="America/New_York" 2024-07-04 09:00'
TZ=Europe/Berlin date -d '2024-03-31 03:30'
date -u -d '1901-01-01' +%s
date -u -d '2040-01-01' +%s
dd if=text of=dd1 bs=7 count=100 skip=3 conv=ucase 2>/dev/null; md5sum dd1
dd if=text of=dd2 bs=512 conv=swab,sync 2>/dev/null; md5sum dd2
dd if=/dev/zero of=dd3 bs=1M count=4 seek=2 2>/dev/null; stat -c %s dd3
dd if=numbers bs=1 count=50 status=none
dd if=numbers ibs=10 obs=33 conv=block cbs=8 status=none | md5sum
df --output=target / | tail -1
dir tree
dircolors -b | md5sum
dircolors -p | md5sum
dirname /a/b /c d
du -b tree/a/b/file
du -a --apparent-size -b tree | sort -k2 | grep -v '/$' | wc -l
echo -e 'a\n\tb\c d'
/bin/echo -n 'no newline'
env -i A=1 /usr/bin/env
env -u HOME sh -c 'echo ${HOME-unset}'
env -S 'A=2 sh -c "echo $A"'
env --chdir=/ pwd
env --default-signal=PIPE sh -c 'kill -PIPE $$'
expand -t 4 tabs
expand -i tabs
expr 17 % 5 + 3 '*' 4
expr length abcdef
expr substr abcdef 2 3
expr index abcdef dc
expr abc : 'a\(b\)c'
expr 99999999999999999999 '*' 99999999999999999999
expr 5 / 0
factor 1 2 97 1000000007 4294967295 18446744073709551615 340282366920938463463374607431768211455
factor 10000000000000000000000000000000000000121
false
fmt -w 40 text | md5sum
fmt -u -s text | md5sum
fold -w 30 text | md5sum
fold -s -w 15 text | md5sum
groups root
head -n 3 text other
head -c 20 text
head -n -495 text
hostid | wc -c
id
id -Gn root
id -u daemon
install -D -m 750 text in/st/all; stat -c '%a %s' in/st/all
install -d -m 700 newdir; stat -c %a newdir
join left right
join -a1 -a2 -e EMPTY -o 0,1.2,2.2 left right
join -v2 left right
kill -l
kill -l TERM 9
/bin/kill -s 0 $$
sleep 20 & kill $!; wait $!
link text hard1; stat -c %h text
ln -sf text s1; ln -sfn other s1; readlink s1
ln -sr tree/a/b/file tree/rel; readlink tree/rel
ln text text
logname 2>&1 | wc -l
ls -l --time-style=+%Y tree | tail -n +2
ls -laR --time-style=full-iso tree/a/b | tail -n 1
ls -i text | wc -w
ls -lh --sort=size --time-style=+ text other numbers
ls -x -w 40 tree /etc/ld.so.conf
ls -Q -p -B tree
ls --color=always tree
ls nothing
ls -v <(:) >/dev/null
md5sum text other
md5sum --tag text
md5sum text >sums; md5sum -c sums; echo x >>sums; md5sum -c --warn sums
mkdir -v d1 d1/d2; mkdir d1
mkdir -p -m 711 d3/d4; stat -c %a d3/d4
mkfifo -m 600 ff; stat -c '%F %a' ff
cat ff & echo in the fifo >ff; wait
mknod nn p; stat -c %F nn
mktemp -u abcXXXX | wc -c
mktemp -d tmpXXXX | xargs rmdir
mv -v copy moved; ls copy moved
mv -n moved text; ls moved
mv --backup=simple moved other2; ls other2*
nice
nice -n 7 nice
nice -n 3 sh -c nice
nl -b a -s ': ' tabs
nl -v 10 -i 5 -w 3 -n rz left
nohup echo not hung up 2>/dev/null
nproc --all | wc -l
numfmt --to=iec 1234567 99 1048576
numfmt --from=si 1.5K 2M
numfmt --to=si --format='%.3f' 123456789
numfmt --from=auto 1Ki --padding=10
numfmt --field=2 --to=iec-i <left
od -c tabs
od -A x -t x1z -v text | md5sum
od -t fD -N 64 text
od -t fF -N 64 text
od -t fL -N 60 text
od -t d1 -t d2 -t d4 -t d8 -N 32 text
od -t u8 -w24 text | md5sum
od -j 10 -N 20 -t a text
paste left right
paste -s -d',;' left
paste - - - <numbers | md5sum
pathchk -p 'a:b'
pathchk /tmp/ok
pinky -l root
pr -h Head -l 20 -2 left | sed 's/^.*Page/Page/' | md5sum
pr -t -n -e8 tabs
pr -m -t left right
printenv HOME
A=5 printenv A NOPE
printf '%s|%5.1f|%-8s|%+d|%#x|%#o|%e|%G\n' a 2.25 b 3 255 8 12345.678 0.00001
printf '%b %c %u %i\n' 'x\ty\101' hello 42 -7
printf '%.20Lf %a\n' 0.1 1.5
printf '%q\n' "it's" 'a b'
/usr/bin/printf '%d %s\n' 1 a 2 b
/usr/bin/printf '%d\n' 99999999999999999999
/usr/bin/printf '%.15g %La\n' 3.141592653589793238 2.71828182845904523536
ptx -w 50 left
ptx -G -A text | md5sum
pwd -P
readlink -e tree/c/link
readlink -m /a/../b/./c
readlink -f s1
realpath --relative-to=/tmp/cu/tree/c tree/a
realpath -s tree/c/link/b
rm -v r1 dd1
rm -rf copytree d1 d3; ls -d copytree d1
rm nothing
rmdir -p --ignore-fail-on-non-empty in/st
rmdir tree
runcon id
seq 5
seq -s, 1 .25 3
seq -f '%05.1f' 3
seq -w 1 111 1000
seq 10 -3 -5
seq 1e10 10000000003
seq 99999999999999999998 100000000000000000001
sha1sum text
sha224sum text
sha256sum text
sha384sum text
sha512sum text
shred -u -n 2 dd3; ls dd3
shuf -i 1-100 --random-source=text | md5sum
shuf -n 3 --random-source=text other
shuf -e a b c | sort
sleep 0.05
sleep 0.01s 0.02s
sleep x
sort text | md5sum
sort -R --random-source=text numbers | md5sum
sort -n -r numbers | head -3
sort -k2,2n -k1,1r left
sort -t' ' -k3.2,3.4 text | md5sum
sort -h <<<$'1K\n1G\n2\n1M'
sort -V <<<$'a10\na9\na1.5\na1.10'
sort -M <<<$'Mar\nJan\nDec'
sort -g <<<$'1e3\n-2.5\nnan\n1e-4\n0x10'
sort -c numbers
sort -c left && sort -m left right
sort -u -f <<<$'b\nB\na'
sort -S 1k --batch-size=2 text other numbers | md5sum
sort --parallel=4 -S 16M text other numbers | md5sum
split -n 4 text sp.; cat sp.* | cmp - text; ls sp.*
split -l 130 -d -a 3 text sq; wc -l sq*
split -b 1k --filter='md5sum' text
split -n r/3 text sr; md5sum sr*
stat -c '%n %s %a %F %h %Y %i' text | cut -d' ' -f1-5
stat -f -c '%S' / | wc -l
stat --printf='%A\t%U\n' tree
stat -L -c %F s1
stdbuf -oL cat left
stdbuf -i0 -o0 -e0 head -1 left
stty
sum text
sum -s text
sync text
tac text | md5sum
tac -s ' ' left
tac -r -s '[0-9]' left
tail -n 2 text
tail -c 20 text
tail -n +499 text
tail -n 1 -v left right
(sleep 0.3; echo more >>left) & timeout 1.5 tail -f -s 0.1 left; wait
tee t1 t2 <left >/dev/null; cmp t1 left; cat t2
tee -a t1 <right >/dev/null; wc -l t1
test text -nt left -o 5 -gt 4
test a \< b; /usr/bin/test -L s1
timeout 0.2 sleep 5
{ timeout -s KILL 0.2 sleep 5; } 2>/dev/null
timeout --preserve-status 0.2 sh -c 'trap "exit 9" TERM; sleep 5 & wait'
timeout 5 true
timeout 5 sh -c 'exit 42'
timeout 5 nothing-there
touch -t 200001020304.05 stamp; stat -c %Y stamp
touch -r stamp -d '+1 day' stamp2; stat -c %Y stamp2
touch -c none; ls none
touch -d '2040-05-06 07:08:09.123456789' late; stat -c %y late
tr a-z A-Z <left
tr -d '\n' <left
tr -s ' ' <text | md5sum
tr '[:lower:]' '[:upper:]' <text | md5sum
tr -cd '[:alnum:]\n' <text | md5sum
true
truncate -s 1M big; stat -c %s big
truncate -s -1000 big; stat -c %s big
truncate -s %4096 text3; stat -c %s text3
truncate -s 5G huge; stat -c '%s %b' huge; rm huge
tsort <<<$'a b\nb c\na d\nd c'
tsort <<<$'a b\nb a'
tty
uname -s -m -o
unexpand -t 4 <<<'        x   y'
uniq -c <<<$'a\na\nb'
uniq -D <<<$'a\na\nb'
uniq -f1 -i <<<$'1 a\n2 A\n3 b'
uniq --group=both -w1 <<<$'ax\nay\nb'
unlink hard1; ls hard1
uptime | wc -l
users | wc -w
vdir --time-style=+ tree
wc text other
wc -L -m text
wc --files0-from=<(printf 'left\0right\0')
who | wc -l
whoami
yes n | timeout 20 head -100000 | md5sum
yes | timeout 0.3 cat >/dev/null
head -c 5 /dev/full | od -c; echo x >/dev/full
cat nothing; echo "${PIPESTATUS[@]}"
yes | head -1; echo "${PIPESTATUS[@]}"
STEPS
for program in $(dpkg -L coreutils | grep 'bin/' | sort); do # and what each says of itself
  echo "== $program"
  "$program" --version </dev/null 2>&1 | head -1
  "$program" --help </dev/null 2>&1 | md5sum
done
