# find, grep, sed and gawk.
# seconds: 300
# each: find grep sed gawk
source /programs/support/steps.bash
need find grep sed gawk
mkdir -p /tmp/text && cd /tmp/text || exit
words "$(size 2000 40000)" >text
cp -r /etc/pam.d /etc/security /etc/perl /etc/alternatives . 2>/dev/null
touch -d '2001-02-03 04:05:06' text
case $1 in
find) steps <<'STEPS' ;;
find . | sort | md5sum
find /usr/share /usr/lib -xdev | sort | md5sum
find /usr/share -type f -size +100k -printf '%s %p %m %y %d %f\n' | sort | md5sum
find /usr -name '*.so*' -type l -printf '%l\n' | sort | md5sum
find . -type f -exec md5sum {} + | sort
find . -maxdepth 2 -type d -print0 | sort -z | xargs -0 -n1 echo dir
find /etc -name '*.conf' -o -name 'pass*' | sort
find /usr/share/doc -regextype posix-extended -regex '.*/(copyright|changelog.*)' | sort | md5sum
find . -newermt '2001-01-01' ! -newermt '2002-01-01'
find . -perm -u=x -type f -o -empty | sort
find /usr/bin -links +1 | sort | md5sum
find /usr/bin -lname '*alternatives*' | sort | md5sum
find . -name text -exec wc {} \; -quit
find . -name 'pam*' -prune -o -type f -print | sort | md5sum
find nowhere
find . -depth -name 'p*' | sort | md5sum
find /usr/bin -type f | sort | xargs -n 50 stat -c '%s %n' | md5sum
find /usr/bin -type f | sort | head -40 | xargs -P 4 -n 5 sh -c 'echo $#' x
find . -samefile text
find /usr -inum 0
find pam.d -type f -delete; find pam.d
STEPS
grep) steps <<'STEPS' ;;
grep -c a text
grep -n '^a.*9$' text | md5sum
grep -E '(ab|cd)[0-9]{2,3} ' text | md5sum
grep -P '(?<=a)b\d+(?! )' text | md5sum
grep -Pc '^(\w+) .*\1' text
grep -F -e aa1 -e bb2 -e cc3 text | md5sum
grep -o '[a-z]*9' text | sort | uniq -c | sort -rn | head -5
grep -v a text | md5sum
grep -iw 'AB[0-9]*' text | md5sum
grep -x 'ab.*' text | md5sum
grep -A2 -B1 'zz9' text | md5sum
grep -rl root /etc/passwd /etc/group /etc/pam.d security | sort
grep -rn 'pam_' /etc/pam.d | sort | md5sum
grep -m 3 b text
grep -q nothing text
grep -L a text /etc/passwd
grep '\(.\)\1\(.\)\2' text | md5sum
grep -E '^(.)(.).*\2\1$' text | md5sum
grep --color=always -n 'a[bc]' text | md5sum
grep -b -o 'q[a-z]' text | md5sum
grep -c . /usr/bin/grep
grep -a -o 'GNU [A-Za-z]*' /usr/bin/grep | sort -u
LC_ALL=C grep -c '[^a-m]' text
printf 'stra\303\237e\nSTRASSE\n\303\204\n' | grep -i '\303\244' 
printf 'stra\303\237e \303\204\n' | grep -io $'\303\244'
grep '[' text
zgrep -c a <(gzip -c text)
fgrep -c b text; egrep -c 'b|c' text
STEPS
sed) steps <<'STEPS' ;;
sed -n '1~100p' text
sed 's/[a-z]/\U&/2g' text | md5sum
sed -E 's/([a-z]+)([0-9]+)/\2-\1/g;s/ +/_/' text | md5sum
sed -n '/^a/,/^b/{=;p}' text | md5sum
sed '1!G;h;$!d' /etc/passwd
sed -n '$!{h;d};H;x;s/\n/+/gp' /etc/passwd
sed ':a;N;$!ba;s/\n/,/g' /etc/group | md5sum
sed 'y/abcdef/ABCDEF/;/A/!d' text | md5sum
sed -e '/a/{s//X/;t end' -e 's/b/Y/;:end' -e '}' text | md5sum
sed '5q;i\before' text
sed -s -n '$p' text /etc/passwd
sed -i.bak 's/a/b/' text; cmp text text.bak; mv text.bak text
sed --debug -n '2p' text
sed 's/\(.*\)o/\1O/;s/.\{3\}$//' text | md5sum
sed -z 's/\n/;/g' /etc/group | md5sum
sed 'w out1' text | md5sum; md5sum out1
sed -n 'l 30' <<<$'a\tb\001\303\244 a long line that must be wrapped somewhere'
sed '2e echo from a shell' /etc/group | head -4
sed 's/x/\n/;P;D' text | md5sum
sed --posix 's/a\|b/x/' text | md5sum
sed '/x'
sed = text | sed 'N;s/\n/\t/' | md5sum
sed 's/[0-9]*/<&>/3' text | md5sum
STEPS
gawk) steps <<'STEPS' ;;
gawk '{ n += NF; s += length } END { print n, s, NR }' text
gawk '{ for (i = 1; i <= NF; i++) c[$i]++ } END { n = asorti(c, k); for (i = 1; i <= 20; i++) print k[i], c[k[i]]; print n }' text
gawk 'BEGIN { for (i = 1; i <= 20; i++) printf "%.15g %.15g %.15g %.15g\n", sin(i), cos(i), exp(i / 3), log(i); print atan2(-1, -2), sqrt(2), int(-7.9) }'
gawk 'BEGIN { printf "%d %i %o %x %X %c %s %10.3f|%-10s|%+d %e %g\n", 42.9, -3, 8, 255, 255, 65, "str", 3.14159, "left", 5, 12345.678, 1e-10 }'
gawk 'BEGIN { print 2^53, 2^53 + 1, 2^0.5, 1e300 * 1e300, -log(0), 17 % 5, -17 % 5, 1 / 3 }'
gawk -M 'BEGIN { print 2^200; PREC = 200; printf "%.50f\n", 4 * atan2(1, 1) }'
gawk 'BEGIN { srand(42); for (i = 0; i < 5; i++) print rand(); print srand() }'
gawk '{ $2 = "X"; print; print NF }' OFS=- text | md5sum
gawk -F'[0-9]+' '{ print $1, $NF }' text | md5sum
gawk 'BEGIN { FPAT = "[a-z]+" } { print NF, $1 }' text | md5sum
gawk 'BEGIN { FIELDWIDTHS = "2 3 4" } { print $1 "|" $2 "|" $3 }' text | md5sum
gawk '{ gsub(/[aeiou]/, "<&>"); print }' text | md5sum
gawk '{ print gensub(/([a-z])([0-9])/, "\\2\\1", "g") }' text | md5sum
gawk 'match($0, /([a-z]+)([0-9]+)/, m) { print m[1], m[2], RSTART, RLENGTH }' text | md5sum
gawk 'function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } BEGIN { print f(21) }'
gawk 'BEGIN { "echo from a command" | getline x; print x; close("echo from a command"); print "sorted" | "sort"; print "asorted" | "sort"; close("sort"); print system("exit 3") }'
gawk 'BEGIN { cmd = "cat"; print "through" |& cmd; close(cmd, "to"); cmd |& getline y; print y }'
gawk 'BEGIN { while ((getline line < "/etc/group") > 0) n++; print n; print length("stra\303\237e"), toupper("\303\244"), substr("h\303\244llo", 2, 2), index("abc", "c") }'
gawk 'BEGIN { print strftime("%Y-%m-%d %H:%M:%S", 86400 * 365, 1), mktime("2001 02 03 04 05 06"), and(12, 10), or(12, 10), xor(12, 10), lshift(1, 40), compl(0), strtonum("0x1F") }'
gawk 'BEGIN { RS = "" } { print NR ": " $1 }' /etc/security/limits.conf | head -5
gawk 'NR % 500 == 0 { print > ("part" ++k) } END { system("cat part*") }' text
gawk 'BEGIN { a[1][2] = 3; a[1][3] = 4; for (i in a[1]) s += a[1][i]; print s, isarray(a[1]), typeof(a), typeof(1), typeof("") }'
gawk 'BEGIN { split("c,a,b", x, ","); n = asort(x); for (i = 1; i <= n; i++) printf "%s ", x[i]; print ""; switch (n) { case 3: print "three"; break; default: print "other" } }'
gawk '@load "ordchr"; BEGIN { print ord("a"), chr(98) }'
gawk 'BEGIN { PROCINFO["sorted_in"] = "@val_num_desc"; for (i = 0; i < 50; i++) a[i] = (i * 37) % 50; for (k in a) if (n++ < 5) print k, a[k] }'
gawk --lint 'BEGIN { print x }' 
gawk 'BEGIN { exit 7 } END { print "end" }'
gawk 'BEGIN { printf "%s\n", substr("hello", 0, 3) } /unclosed'
gawk 'BEGIN { for (i = 0; i < 200000; i++) { a[i % 1000] += i * 1.5; s = s "x"; if (length(s) > 100) s = "" } for (i = 0; i < 1000; i++) t += a[i]; print t }'
STEPS
esac
