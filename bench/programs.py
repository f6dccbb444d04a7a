"""The programs that bench/run measures: what they do, and how much of it.

Each has a count that grows with its work. At full length a program runs for about five seconds natively, on a CPU
of 2024.
"""
import dataclasses
import os
import re

import inputs

INTEGER, FLOATING = "integer", "floating point"

# Parts of the full length. The short one is about a second.
LENGTHS = {"tiny": 0.02, "short": 0.2, "half": 0.5, "full": 1.0}


@dataclasses.dataclass(frozen=True)
class Program:
    """One row. In arguments and input {n} stands for the count, {script} for a file with script, {input} for the
    input file."""
    name: str
    kind: str
    path: str  # in the sysroot
    count: int  # at full length
    arguments: list
    input: str = ""  # bench/inputs.py makes it
    script: str = ""
    timing: bytes = b""  # which lines of the output tell times, and are not compared

    def prepare(self, work, length):
        """Makes what the program reads. Its arguments."""
        count = max(1, round(self.count * LENGTHS[length]))
        places = {"n": count, "input": os.path.join(work, "input", self.input.format(n=count)),
                  "script": os.path.join(work, "input", "script-" + self.name)}
        if self.input:
            inputs.make(places["input"])
        if self.script:
            os.makedirs(os.path.join(work, "input"), exist_ok=True)
            with open(places["script"], "w") as file:
                file.write(self.script)
        return [a.format(**places) for a in self.arguments]

    def result(self, output):
        """What of the output must always be the same."""
        return re.sub(rb"(?m)^(?:" + self.timing + rb").*\n", b"", output) if self.timing else output

SQL = """pragma journal_mode = off;
create table t(a integer primary key, b text, c integer);
with recursive n(i) as (select 1 union all select i + 1 from n where i < {n}000)
  insert into t select i, hex(i * 7919 % 100003), i * 31 % 1009 from n;
create index tb on t(b);
create index tc on t(c);
select count(*), sum(length(x.b)) from t x join t y on y.a = x.c where x.b like '3%4%';
select c, count(*), min(b), max(b) from t group by c order by 2 desc, 1 limit 10;
update t set b = b || c where c % 3 = 0;
delete from t where c % 7 = 1;
select count(distinct b), sum(a * c % 17) from t;
"""

LUA = """local n = tonumber(arg[1])
local function tree(d) if d == 0 then return {} end return {tree(d - 1), tree(d - 1)} end
local function check(t) return t[1] and 1 + check(t[1]) + check(t[2]) or 1 end
local sum = 0
for i = 1, n do sum = sum + check(tree(10)) end
local words = {}
for i = 1, n * 400 do
  local w = string.format("%x", i * 2654435761 % 65536)
  words[w] = (words[w] or 0) + #w:gsub("[a-c]", "-")
end
local keys = {}
for k in pairs(words) do keys[#keys + 1] = k end
table.sort(keys)
for i = 1, #keys do sum = sum + words[keys[i]] * i % 7 end
local x = 0.5
for i = 1, n * 20000 do x = 3.7 * x * (1 - x) end
print(sum, #keys, x > 0)
"""

PYTHON = """import sys
n = int(sys.argv[1])
def queens(size, row=0, columns=0, left=0, right=0):
    if row == size:
        return 1
    count, free = 0, ((1 << size) - 1) & ~(columns | left | right)
    while free:
        bit = free & -free
        free ^= bit
        count += queens(size, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1)
    return count

class Vector:
    def __init__(self, x, y):
        self.x, self.y = x, y
    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)
    def dot(self, other):
        return self.x * other.x + self.y * other.y

def spectral(size):
    u = [1.0] * size
    for _ in range(3):
        u = [sum(u[j] / ((i + j) * (i + j + 1) // 2 + i + 1) for j in range(size)) for i in range(size)]
    return sum(u)

total, words, v = 0, {}, Vector(0, 0)
for i in range(n):
    total += queens(7)
    for k in range(3000):
        w = "%x" % (k * 2654435761 % 9973)
        words[w] = words.get(w, 0) + len(w.replace("a", "bb"))
        v = v + Vector(k & 3, 1)
    total += v.dot(Vector(1, 2))
    digits = str(7 ** (1000 + i))
    total += sum(map(int, digits))
print(total, sorted(words.items())[:5], "%.6f" % spectral(100))
"""

PERL = """my (%count, $sum);
while (<>) {
  tr/A-Z/a-z/;
  $count{$_}++ for split /[^a-z]+/;
  $sum += length($1) while /\\b([a-m]\\w*?[n-z]+)\\b/g;
  s/(\\w+) (\\w+)/$2-$1/g;
  $sum += ord(substr $_, 7 % length, 1);
}
print "$_ $count{$_}\\n" for (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 9];
print "$sum\\n";
"""

AWK = """{ for (i = 1; i <= NF; i++) { count[tolower($i)]++; letters += length($i) } }
/[aeiou][aeiou].*ing/ { vowels += gsub(/[aeiou]/, "#") }
{ split($0, part, ","); x = x * 0.5 + length(part[1]) }
END { n = asorti(count, word); for (i = 1; i <= 10; i++) print word[i], count[word[i]]; print n, letters, vowels, x }
"""

POV = """camera { location <0, 3, -8> look_at <0, 1, 0> }
light_source { <10, 20, -15> color rgb 1 }
light_source { <-12, 10, -8> color rgb 0.5 }
plane { y, 0 pigment { checker color rgb 1 color rgb <0.2, 0.3, 0.4> } finish { reflection 0.2 } }
#declare I = 0;
#while (I < 40)
  sphere { <3 * sin(I * 0.7), 0.4 + mod(I, 5) * 0.5, 3 * cos(I * 0.7)>, 0.4
    pigment { granite scale 0.5 color_map { [0 rgb <1, 0.5, 0.2>] [1 rgb <0.2, 0.4, 1>] } }
    finish { phong 0.8 reflection 0.3 } normal { bumps 0.3 scale 0.1 } }
  #declare I = I + 1;
#end
torus { 1.5, 0.4 translate <0, 1.5, 0> texture { pigment { color rgbt <0.9, 1, 0.9, 0.6> } } interior { ior 1.4 } }
"""

PROGRAMS = [
    Program("bzip2", INTEGER, "/bin/bzip2", 760, ["-9", "-k", "-c", "{input}"], "text-{n}"),
    Program("gzip", INTEGER, "/bin/gzip", 310, ["-9", "-n", "-c", "{input}"], "text-{n}"),
    Program("xz", INTEGER, "/usr/bin/xz", 65, ["-4", "-T1", "-k", "-c", "{input}"], "text-{n}"),
    Program("zstd", INTEGER, "/usr/bin/zstd", 190, ["-12", "-q", "-c", "--single-thread", "{input}"], "text-{n}"),
    Program("openssl pbkdf2", INTEGER, "/usr/bin/openssl", 11500,
            ["kdf", "-keylen", "32", "-kdfopt", "digest:SHA256", "-kdfopt", "pass:x", "-kdfopt", "salt:y",
             "-kdfopt", "iter:{n}000", "PBKDF2"]),
    Program("openssl scrypt", INTEGER, "/usr/bin/openssl", 120,
            ["kdf", "-keylen", "64", "-kdfopt", "pass:x", "-kdfopt", "salt:y", "-kdfopt", "n:16384", "-kdfopt", "r:8",
             "-kdfopt", "p:{n}", "-kdfopt", "maxmem_bytes:100000000", "SCRYPT"]),
    Program("sqlite3", INTEGER, "/usr/bin/sqlite3", 1100, ["-batch", ":memory:", SQL]),
    Program("lua", INTEGER, "/usr/bin/lua5.4", 3800, ["{script}", "{n}"], script=LUA),
    Program("python3", INTEGER, "/usr/bin/python3", 1900, ["-S", "{script}", "{n}"], script=PYTHON),
    Program("perl", INTEGER, "/usr/bin/perl", 380, ["{script}", "{input}"], "text-{n}", PERL),
    Program("gawk", INTEGER, "/usr/bin/gawk", 560, ["-f", "{script}", "{input}"], "text-{n}", AWK),
    Program("cc1", INTEGER, "/usr/lib/gcc/i686-linux-gnu/12/cc1", 275, ["-quiet", "-O2", "{input}", "-o", "-"],
            "source-{n}.c"),
    Program("stockfish", INTEGER, "/usr/games/stockfish", 24, ["bench", "16", "1", "{n}000", "default", "nodes"],
            timing=b"info "),
    Program("flac", FLOATING, "/usr/bin/flac", 360, ["-s", "-8", "-c", "{input}"], "music-{n}.wav"),
    Program("povray", FLOATING, "/usr/bin/povray", 970,
            ["+I{script}", "+W{n}", "+H480", "+A", "+FB", "+O-", "+WT1", "-D", "-GA"], script=POV),
    Program("lame", FLOATING, "/usr/bin/lame", 145, ["--quiet", "-h", "-b", "192", "{input}", "-"], "music-{n}.wav"),
    Program("oggenc", FLOATING, "/usr/bin/oggenc", 305, ["-Q", "-q", "5", "-s", "1", "-o", "-", "{input}"],
            "music-{n}.wav"),
    Program("opusenc", FLOATING, "/usr/bin/opusenc", 190, ["--quiet", "--serial", "1", "{input}", "-"],
            "music-{n}.wav"),
    Program("qdelaunay", FLOATING, "/usr/bin/qdelaunay", 140, ["Qt", "i", "TI", "{input}"], "points-{n}"),
    Program("ngspice", FLOATING, "/usr/bin/ngspice", 225, ["-b", "{input}"], "circuit-{n}.cir",
            timing=b".*(?:Transient Analysis|time|DRAM|size|pages)"),
]
