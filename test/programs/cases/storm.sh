# The same script of many forks, execs, pipes and signals again and again: never a hang, never a difference.
# seconds-quick: 300
# seconds-full: 14400
cd /tmp || exit
different=0
timeout 60 bash /programs/support/storm.bash >first 2>&1
echo "status $?"
cat first
for ((run = 2; run <= STORMS; run++)); do
  timeout 60 bash /programs/support/storm.bash >again 2>&1
  status=$?
  if [ $status != 0 ] || ! cmp -s first again; then
    echo "run $run: status $status"
    diff first again
    ((different++))
  fi
done
echo "$different of $STORMS runs differ"
