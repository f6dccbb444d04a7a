# Lua: its whole standard library.
source /programs/support/steps.bash
need lua5.4
cd /tmp || exit
lua5.4 /programs/support/library.lua 2>&1
echo "[$?]"
luac5.4 -l -l -o chunk /programs/support/library.lua | sed 's/0x[0-9a-f]*/ADDRESS/g' | md5sum
lua5.4 chunk 2>&1 | md5sum
lua5.4 -e 'error("oops")' 2>&1
lua5.4 -i <<<'= 1 + 1' 2>&1
