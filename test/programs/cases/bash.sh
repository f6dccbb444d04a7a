# A long script of bash: fork, pipes, arrays, traps, here-documents, arithmetic, subshells, job control.
# seconds: 120
cd /tmp || exit
section() { echo "--- $*"; }

section arithmetic
echo $((7 / 2)) $((-7 / 2)) $((-7 % 3)) $((2 ** 62)) $((1 << 40)) $((0xff ^ 0x0f)) $((~5)) $((5 > 3 && 2 < 1 || 1))
echo $((9223372036854775807 + 1)) $((-9223372036854775808 / 3)) $((3037000500 * 3037000500))
i=5 && echo $((i++ + ++i)) $i $((i += 3, i * 2)) $((i > 8 ? i : -i)) $((16#fF)) $((2#1011)) $((8#777))
(echo $((1 / 0))) 2>&1
let 'a = 3' 'b = a ** 5' && echo $a $b
for ((n = 0, f = 1; n < 20; n++, f *= n)); do :; done && echo $f
gcd() { local a=$1 b=$2; while ((b)); do ((t = a % b, a = b, b = t)); done; echo $a; }
gcd 1071 462
collatz=0 && n=97 && while ((n != 1)); do ((n = n % 2 ? 3 * n + 1 : n / 2, collatz++)); done && echo $collatz

section strings
s='Hello, World'
echo "${#s}" "${s:7}" "${s: -5:3}" "${s/o/0}" "${s//o/0}" "${s#*o}" "${s##*o}" "${s%o*}" "${s%%o*}" "${s^^}" "${s,,}"
echo "${unset_one:-default}" "${unset_one:+set}" "${unset_two:=assigned}" "$unset_two"
(echo "${unset_three:?is missing}") 2>&1
printf '%s|%5d|%-6s|%06.2f|%x|%b|%q\n' text 42 left 3.14159 255 'a\tb' "it's \$x"
[[ foobar =~ ^(foo)(b.r)$ ]] && echo "${BASH_REMATCH[@]}"
[[ abc == a?c && abc != *d && abc < abd ]] && echo patterns
IFS=: read -r x y z <<<'one:two:three:four' && echo "$x/$y/$z"
printf -v var '%03d' 7 && echo "$var"
echo {a..e}{1..3} {10..1..3} pre{x,y{1,2}}post
echo $'tab\there \x41 \u00e4 \'quoted\''
case $s in hello*) echo lower ;; H*d) echo match ;;& *World) echo also ;; esac
nameref() { declare -n r=$1; r="through $1"; }
nameref target && echo "$target"
echo "${s@Q}" "${s@U}" "${!un*}"

section arrays
a=(one two "three four" five)
echo "${#a[@]}" "${a[2]}" "${a[@]:1:2}" "${!a[@]}" "${a[-1]}"
a+=(six) && unset 'a[1]' && declare -p a
declare -A map=([apple]=red [banana]=yellow ["two words"]=x)
map[cherry]=dark
for k in "${!map[@]}"; do echo "$k=${map[$k]}"; done | sort
mapfile -t lines < <(printf 'l%d\n' {1..100}) && echo "${#lines[@]}" "${lines[99]}"
sorted=($(printf '%s\n' 9 3 7 1 8 | sort -n)) && echo "${sorted[*]}"
bubble() {
  local v=("$@") i j t
  for ((i = 0; i < ${#v[@]}; i++)); do
    for ((j = 0; j < ${#v[@]} - 1 - i; j++)); do
      ((v[j] > v[j + 1])) && t=${v[j]} && v[j]=${v[j + 1]} && v[j + 1]=$t
    done
  done
  echo "${v[@]}"
}
bubble 42 17 99 3 56 23 88 1 64 35 7 71
sieve() {
  local n=$1 p q composite=()
  for ((p = 2; p <= n; p++)); do
    [ -z "${composite[p]}" ] || continue
    printf '%d ' $p
    for ((q = p * p; q <= n; q += p)); do composite[q]=1; done
  done
  echo
}
sieve 300

section functions and scope
outer() { local v=outer; inner; echo "$v"; }
inner() { v=changed; }
v=global && outer && echo $v
fact() { (($1 < 2)) && echo 1 || echo $(($1 * $(fact $(($1 - 1))))); }
fact 12
hanoi() { (($1 == 0)) || { hanoi $(($1 - 1)) "$2" "$4" "$3"; moves+="$2$3 "; hanoi $(($1 - 1)) "$4" "$3" "$2"; }; }
hanoi 5 A B C && echo "$moves"
returns() { return $1; }
returns 42; echo $?
returns 300; echo $?
args() { echo "$#:$*:$1"; shift 2; echo "$@"; set -- "${@:1:1}" new; echo "$@"; }
args a 'b c' d e
while getopts 'ab:c' o -a -b val -c -x rest 2>&1; do echo "$o ${OPTARG-}"; done

section subshells and pipes
x=1; (x=2; echo $x; (x=3; echo $x); echo $x); echo $x
echo "$BASH_SUBSHELL" "$(echo "$BASH_SUBSHELL" "$(echo "$BASH_SUBSHELL")")"
seq 1 1000 | tee /tmp/numbers | grep 7 | sed 's/7/seven/g' | sort | tail -n 3
false | true | false; echo "${PIPESTATUS[@]}" 
set -o pipefail; false | true; echo $?; set +o pipefail
(exit 3) | cat; echo "${PIPESTATUS[0]}"
yes | head -n 5 | uniq -c
for i in {1..20}; do echo $i; done | while read -r n; do echo $((n * n)); done | paste -sd+ | bc 2>/dev/null || echo no bc
{ echo out; echo err >&2; } 2>&1 >/dev/null | sed 's/^/stderr: /'
diff <(seq 1 5) <(seq 2 6)
coproc DOUBLE { while read -r n; do echo $((n * 2)); done; }
for n in 3 5 8; do echo $n >&"${DOUBLE[1]}"; read -r d <&"${DOUBLE[0]}"; echo "$n doubled is $d"; done
eval "exec ${DOUBLE[1]}>&-"; wait
deep=$(echo $(echo $(echo $(echo $(echo five deep))))); echo "$deep"
big=$(seq 1 20000); echo "${#big}"
mkfifo /tmp/fifo.$$; (for i in 1 2 3; do echo "fifo $i"; done >/tmp/fifo.$$) & cat /tmp/fifo.$$; wait; rm /tmp/fifo.$$

section here-documents
name=world
cat <<END
hello $name $((1 + 1)) $(echo command) \$escaped
END
cat <<'END'
literal $name $(no)
END
cat <<-END
	tabs stripped
	END
cat <<A; cat <<B
first
A
second
B
while read -r l; do echo "<$l>"; done <<<"$(printf 'x\ny')"
(cat; cat <&3) 3<<THREE <<ZERO
descriptor three
THREE
descriptor zero
ZERO
head -c 200000 /dev/zero | tr '\0' x >/tmp/long; cat <<LONG | wc -c
$(cat /tmp/long)
LONG

section redirections
exec 5>/tmp/five && echo to five >&5 && exec 5>&- && cat /tmp/five
exec 6<>/tmp/six && echo abcdef >&6 && exec 6>&- && cat /tmp/six
echo one >/tmp/app; echo two >>/tmp/app; cat /tmp/app; wc -c </tmp/app
(set -C; echo x >/tmp/app) 2>&1
echo x 2>&1 >&- | cat
ls /nowhere >/tmp/both 2>&1; cat /tmp/both
ls /nowhere &>/tmp/both; wc -l </tmp/both
{ echo braces; } {fd}>/tmp/named; cat /tmp/named
read -r -n 3 three <<<abcdef; echo "$three"
read -r -t 0.1 nothing < <(sleep 1); echo "timed out: $(($? > 128))"
read -r -d , comma <<<'a b,c'; echo "$comma"

section traps and signals
(trap 'echo exit trap $?' EXIT; exit 4); echo $?
(trap 'echo got USR1' USR1; kill -USR1 $BASHPID; echo after)
(trap 'echo got TERM; exit 7' TERM; kill $BASHPID; sleep 5); echo $?
(trap '' INT; kill -INT $BASHPID; echo ignored INT)
(trap 'echo err at $LINENO' ERR; false; true)
(trap 'echo debug: $BASH_COMMAND' DEBUG; x=1; : $x)
(trap 'echo child' CHLD; set -m; true & wait; :) | sort -u
(trap 'echo return' RETURN; set -T; f() { :; }; f)
{ bash -c 'kill -9 $$'; } 2>/dev/null; echo $?
{ bash -c 'kill -SEGV $$'; } 2>/dev/null; echo $?
{ bash -c 'ulimit -c 0; kill -ABRT $$'; } 2>/dev/null; echo $?
(trap 'n=$((n+1))' USR2; n=0; for i in {1..50}; do kill -USR2 $BASHPID; done; echo $n)
sleep 10 & p=$!; sleep 0.2; kill -STOP $p; kill -CONT $p; kill $p; wait $p; echo $?
trap -p; trap 'echo x' HUP; trap -p; trap - HUP
(set -e; false; echo not reached); echo $?
(set -u; echo $undefined_variable) 2>&1; echo $?
timeout 0.3 bash -c 'while :; do :; done'; echo $?
timeout 0.3 bash -c 'trap "echo caught; exit 5" TERM; while :; do :; done'; echo $?
(
  trap 'echo told; exit 0' USR1
  told=$BASHPID
  (sleep 0.1; kill -USR1 "$told") &
  while :; do sleep 0.05; done
)

section jobs
sleep 0.2 & sleep 0.3 & jobs -r | sed 's/^[^ ]* *//;s/&$//'; wait; echo waited
(exit 11) & wait $!; echo $?
for i in 1 2 3 4 5; do (sleep 0.0$i; exit $i) & pids[i]=$!; done
for i in 5 3 1 2 4; do wait "${pids[i]}"; echo "job $i: $?"; done
(exit 21) & wait -n; echo $?
set -m
sleep 5 & p=$!; kill -STOP $p; sleep 0.2; jobs -s | sed 's/  */ /g'; { kill -KILL $p; sleep 0.3; wait $p; } 2>/dev/null; echo $?
{ sleep 0.05; echo in its own group; } & fg %% >/dev/null 2>&1; wait
bash -c 'set -m; sleep 3 | sleep 3 & sleep 0.2; kill -TERM -- -$!; wait $!; echo $?' 2>/dev/null
set +m
sleep 3 & disown -a; jobs; echo "no jobs: $?"
many=0; pids=(); for i in {1..100}; do (exit $((i % 7))) & pids+=($!); done; for p in "${pids[@]}"; do wait "$p"; ((many += $?)); done; echo $many
(for i in {1..30}; do (for j in {1..5}; do (echo $i $j) & done; wait) & done; wait) | sort | md5sum
a_pipe() { (($1 == 0)) && cat || a_pipe $(($1 - 1)) | cat; }
seq 5 | a_pipe 30

section the environment
export A=1; B=2 bash -c 'echo $A $B'; echo "${B-unset}"
env -i FOO=bar bash --norc -c 'echo $FOO $SHLVL'
bash -c 'exec -a renamed bash -c "echo \$0"' ; (exec -a other sh -c 'echo $0')
echo "$BASH_VERSION" "${BASH_VERSINFO[5]}" "$MACHTYPE" "$OSTYPE"
cd /usr/share && pwd && cd - && cd /tmp && pushd / >/dev/null && dirs && popd
umask 027; touch masked; stat -c %a masked; umask -S; umask 022
ulimit -n 64; (exec 63</dev/null && echo 63 opens); (exec 70</dev/null) 2>&1
type -t cd if ls section; command -v cat; hash -r
alias ll='echo aliased'; shopt -s expand_aliases; eval 'll x'
shopt -s extglob nullglob globstar
echo /etc/pass+(wd|word) /etc/no*such /etc/**/os-release
mkdir -p g/a/b; touch g/{1,2}.c g/a/3.c g/a/b/4.h; echo g/**/*.c; GLOBIGNORE='g/1*'; echo g/*.c; unset GLOBIGNORE
test -r /etc/passwd -a ! -d /etc/passwd && [ 1 -eq 01 ] && echo tests
printf '%(%Y-%m-%d)T\n' 86400
times >/dev/null; echo $((SECONDS >= 0)) $((RANDOM < 32768)) $((EPOCHSECONDS > 0))
RANDOM=42; echo $RANDOM $RANDOM $RANDOM
select w in alpha beta; do echo "chose $w"; break; done <<<2 2>&1
nosuchcommand 2>&1; echo $?
/etc/passwd 2>&1; echo $?
printf '#!/bin/sh -e\necho script "$0" "$@"\n' >script; chmod +x script; ./script 1 '2 3'
printf 'echo no interpreter $1\n' >bare; chmod +x bare; ./bare x
printf '#!/no/such\n' >bad; chmod +x bad; ./bad 2>&1; echo $?
bash -n script; bash -xc 'x=1; echo $x' 2>&1; bash -c 'syntax ( error' 2>&1; echo $?

section work
declare -A count; while read -r -a w; do for x in "${w[@]}"; do ((count[${x:0:1}]++)); done; done < <(head -n 2000 /usr/share/common-licenses/GPL-3 | tr -cd 'a-zA-Z \n')
for k in "${!count[@]}"; do echo "$k ${count[$k]}"; done | sort | md5sum
fib() { (($1 < 2)) && r=$1 || { local a; fib $(($1 - 1)); a=$r; fib $(($1 - 2)); ((r += a)); }; }
fib 16; echo $r
for i in {1..60}; do x=$(echo "$i" | sed 's/$/!/' | cat); done; echo "$x"
s=; for ((i = 0; i < 3000; i++)); do s+=$((i % 10)); done; echo "${#s}" "$(md5sum <<<"$s")"
exit 9
