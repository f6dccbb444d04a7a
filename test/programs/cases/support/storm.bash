# One storm: forks in forks, pipes of pipes, signals among them. Its output does not depend on who comes first.
for i in {1..8}; do
  ( for j in {1..4}; do (echo "$i.$j") & done; wait ) | sort &
done | sort | md5sum
seq 200 | sed 's/$/ x/' | awk '{ n += $1 } END { print n }' | cat | tr 0-9 a-j
pipeline() { if (($1)); then pipeline $(($1 - 1)) | tr a-z b-za; else echo the quick brown fox; fi; }
pipeline 12
for i in {1..6}; do (while :; do :; done) & kill $!; wait $!; echo -n "$? "; done 2>/dev/null; echo
(trap 'echo -n u' USR1; for i in {1..10}; do (kill -USR1 $BASHPID; exit) ; kill -USR1 $BASHPID; done; echo) 2>/dev/null
seq 40 | xargs -P 4 -n 2 expr 1 + 2>/dev/null | sort | uniq -c | md5sum
seq 40 | xargs -P 4 -n 1 expr 1 + | sort -n | md5sum
x=$(for i in {1..5}; do echo $(echo $(echo $i)); done); echo $x
a=(); for i in {1..12}; do (exit $i) & a+=($!); done; for p in "${a[@]}"; do wait "$p"; echo -n "$? "; done; echo
bash -c 'exec sh -c "exec bash -c \"echo three execs\""'
mkfifo /tmp/tee.$$
head -c 300000 /dev/zero | tee >(wc -c >/tmp/tee.$$) | md5sum &
read -r counted </tmp/tee.$$; wait; echo "$counted"; rm /tmp/tee.$$
yes | head -n 1000 | wc -l
wait
