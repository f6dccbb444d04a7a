"""The programs that bench/run measures, and the input it makes for them."""
import array
import math
import os
import random
import wave

INPUT = "{work}/input/"

# Name, the program in the sysroot, its arguments. All print what they make, or a digest of it.
PROGRAMS = [
    ("bzip2", "/bin/bzip2", ["-9", "-k", "-c", INPUT + "text"]),
    ("gzip", "/bin/gzip", ["-9", "-n", "-c", INPUT + "text"]),
    ("xz", "/usr/bin/xz", ["-4", "-T1", "-k", "-c", INPUT + "text"]),
    ("zstd", "/usr/bin/zstd", ["-12", "-q", "-c", "--single-thread", INPUT + "text"]),
    ("openssl sha256", "/usr/bin/openssl", ["dgst", "-sha256", INPUT + "large"]),
    ("openssl md5", "/usr/bin/openssl", ["dgst", "-md5", INPUT + "large"]),
    ("openssl aes", "/usr/bin/openssl", ["enc", "-aes-128-ctr", "-K", "00", "-iv", "00", "-in", INPUT + "large"]),
    ("sqlite3", "/usr/bin/sqlite3", ["-batch", ":memory:", ".read " + INPUT + "script.sql"]),
    ("lua", "/usr/bin/lua5.4", [INPUT + "script.lua"]),
    ("python3", "/usr/bin/python3", ["-S", INPUT + "script.py"]),
    ("perl", "/usr/bin/perl", [INPUT + "script.pl", INPUT + "text"]),
    ("gawk", "/usr/bin/gawk", ["-f", INPUT + "script.awk", INPUT + "text"]),
    ("cc1", "/usr/lib/gcc/i686-linux-gnu/12/cc1", ["-quiet", "-O2", INPUT + "source.c", "-o", "-"]),
    ("povray", "/usr/bin/povray", [INPUT + "scene.ini", "+O-", "-D", "-GA"]),
    ("lame", "/usr/bin/lame", ["--quiet", "-h", "-b", "192", INPUT + "music.wav", "-"]),
    ("oggenc", "/usr/bin/oggenc", ["-Q", "-q", "5", "-s", "1", "-o", "-", INPUT + "music.wav"]),
    ("flac", "/usr/bin/flac", ["-s", "-8", "-c", INPUT + "music.wav"]),
]

SQL = """pragma journal_mode = off;
create table t(a integer primary key, b text, c integer);
with recursive n(i) as (select 1 union all select i + 1 from n where i < {count})
  insert into t select i, hex(i * 7919 % 100003), i * 31 % 1009 from n;
create index tb on t(b);
create index tc on t(c);
select count(*), sum(length(x.b)) from t x join t y on y.a = x.c where x.b like '3%4%';
select c, count(*), min(b), max(b) from t group by c order by 2 desc, 1 limit 10;
update t set b = b || c where c % 3 = 0;
delete from t where c % 7 = 1;
select count(distinct b), sum(a * c % 17) from t;
"""

LUA = """local n = {count}
local function tree(d) if d == 0 then return {{}} end return {{tree(d - 1), tree(d - 1)}} end
local function check(t) return t[1] and 1 + check(t[1]) + check(t[2]) or 1 end
local sum = 0
for i = 1, n do sum = sum + check(tree(10)) end
local words = {{}}
for i = 1, n * 400 do
  local w = string.format("%x", i * 2654435761 % 65536)
  words[w] = (words[w] or 0) + #w:gsub("[a-c]", "-")
end
local keys = {{}}
for k in pairs(words) do keys[#keys + 1] = k end
table.sort(keys)
for i = 1, #keys do sum = sum + words[keys[i]] * i % 7 end
local x = 0.5
for i = 1, n * 20000 do x = 3.7 * x * (1 - x) end
print(sum, #keys, x > 0)
"""

PYTHON = """n = {count}
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

total, words, v = 0, {{}}, Vector(0, 0)
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


def make_text(size, seed):
    """Something like prose: words from a skewed distribution, some lines numbers."""
    r = random.Random(seed)
    syllables = [a + b for a in "b c d f g h l m n p r s t th st v w".split() for b in "a e i o u ea ing er".split()]
    words = ["".join(r.choice(syllables) for _ in range(r.randint(1, 4))) for _ in range(12000)]
    lines, length = [], 0
    while length < size:
        if r.random() < 0.05:
            line = ",".join(str(r.randrange(100000)) for _ in range(8))
        else:
            line = " ".join(words[int(12000 * r.random() ** 3)] for _ in range(12)).capitalize() + "."
        lines.append(line)
        length += len(line) + 1
    return ("\n".join(lines) + "\n").encode()


def make_source(functions):
    """C source: functions with loops, switches, structures and floating point."""
    r = random.Random(3)
    out = ["typedef struct { int a, b[16]; double d; const char *s; } item;", "extern int use(int, item *);"]
    for f in range(functions):
        out.append(f"int f{f}(item *p, int n) {{ int i, x = {r.randrange(1000)}; double y = p->d;")
        for k in range(8):
            a, b, c = (r.randrange(1, 99) for _ in range(3))
            out.append([
                f"for (i = 0; i < n; i++) {{ x += p[i].b[(i + {a}) & 15] * {b}; if (x > {c}) x ^= p[i].a; }}",
                f"switch (x & 7) {{ case 0: x += {a}; break; case 1: x = use(x, p); case 2: y += {b}.5; break;"
                f" case 5: return x - {c}; default: x = -x; }}",
                f"while (x % {a + 1} && p->s[x & 3]) x = x / {b + 1} + use(n, p + {c});",
                f"y = y * {a}.25 + p->d / (y + {b}); p->b[{c & 15}] = (int)y; if (y < x) p++;",
            ][r.randrange(4)])
        out.append(f"p->d = y; return x{f' + f{f - 1}(p, n - 1)' if f else ''}; }}")
    return "\n".join(out) + "\n"


def make_music(path, seconds):
    r = random.Random(4)
    rate, samples = 44100, array.array("h")
    for note in range(int(seconds * 4)):
        tones = [(220 * 2 ** (r.randrange(36) / 12), r.random() * 5000) for _ in range(3)]
        for i in range(rate // 4):
            fade = math.exp(-i / 5000)
            v = sum(a * math.sin(2 * math.pi * f * i / rate) for f, a in tones) * fade + r.gauss(0, 200)
            samples.append(int(v))
            samples.append(int(v * 0.8 + r.gauss(0, 100)))
    with wave.open(path, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())


def make_inputs(work, quick):
    """Writes the input files, unless they are there."""
    folder = os.path.join(work, "input")
    stamp = os.path.join(folder, "quick" if quick else "full")
    if os.path.exists(stamp) and os.path.getmtime(stamp) > os.path.getmtime(__file__):
        return
    os.makedirs(folder, exist_ok=True)
    for old in os.listdir(folder):
        os.unlink(os.path.join(folder, old))
    part = 10 if quick else 1

    def write(name, data):
        with open(os.path.join(folder, name), "wb") as out:
            out.write(data if isinstance(data, bytes) else data.encode())

    text = make_text(24_000_000 // part, 1)
    write("text", text)
    write("large", random.Random(2).randbytes(40_000_000) * (10 // part))
    write("script.sql", SQL.format(count=1_200_000 // part))
    write("script.lua", LUA.format(count=1500 // part))
    write("script.py", PYTHON.format(count=150 // part))
    write("script.pl", PERL)
    write("script.awk", AWK)
    write("source.c", make_source(2500 // part))
    write("scene.pov", POV)
    write("scene.ini", f"Input_File_Name={folder}/scene.pov\nWork_Threads=1\nAntialias=on\nOutput_File_Type=B\n"
                       f"Width={640 // part}\nHeight=480\n")
    make_music(os.path.join(folder, "music.wav"), 60 // part)
    open(stamp, "w").close()
