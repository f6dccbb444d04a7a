"""Makes the input of the programs that bench/run measures: the same, from fixed seeds, wherever it is made.

An input's name says what it is and how much of it: text-20 is two million characters, and text-10 is its first half.
"""
import array
import math
import os
import random
import wave


def text(amount, path):
    """Something like prose: words from a skewed distribution, some lines numbers. 100,000 characters each."""
    r = random.Random(1)
    syllables = [a + b for a in "b c d f g h l m n p r s t th st v w".split() for b in "a e i o u ea ing er".split()]
    words = ["".join(r.choice(syllables) for _ in range(r.randint(1, 4))) for _ in range(12000)]
    length = 0
    with open(path, "w") as out:
        while length < amount * 100_000:
            if r.random() < 0.05:
                line = ",".join(str(r.randrange(100000)) for _ in range(8))
            else:
                line = " ".join(words[int(12000 * r.random() ** 3)] for _ in range(12)).capitalize() + "."
            length += out.write(line + "\n")


def source(amount, path):
    """So many C functions with loops, switches, structures and floating point."""
    r = random.Random(3)
    out = ["typedef struct { int a, b[16]; double d; const char *s; } item;", "extern int use(int, item *);"]
    for f in range(amount):
        out.append(f"int f{f}(item *p, int n) {{ int i, x = {r.randrange(1000)}; double y = p->d;")
        for _ in range(8):
            a, b, c = (r.randrange(1, 99) for _ in range(3))
            out.append([
                f"for (i = 0; i < n; i++) {{ x += p[i].b[(i + {a}) & 15] * {b}; if (x > {c}) x ^= p[i].a; }}",
                f"switch (x & 7) {{ case 0: x += {a}; break; case 1: x = use(x, p); case 2: y += {b}.5; break;"
                f" case 5: return x - {c}; default: x = -x; }}",
                f"while (x % {a + 1} && p->s[x & 3]) x = x / {b + 1} + use(n, p + {c});",
                f"y = y * {a}.25 + p->d / (y + {b}); p->b[{c & 15}] = (int)y; if (y < x) p++;",
            ][r.randrange(4)])
        out.append(f"p->d = y; return x{f' + f{f - 1}(p, n - 1)' if f else ''}; }}")
    with open(path, "w") as file:
        file.write("\n".join(out) + "\n")


def music(amount, path):
    """Seconds of three tones and some noise, in stereo; ten of them over and over."""
    r = random.Random(4)
    rate, samples = 44100, array.array("h")
    for _ in range(40):
        tones = [(220 * 2 ** (r.randrange(36) / 12), r.random() * 5000) for _ in range(3)]
        for i in range(rate // 4):
            fade = math.exp(-i / 5000)
            v = sum(a * math.sin(2 * math.pi * f * i / rate) for f, a in tones) * fade + r.gauss(0, 200)
            samples.append(int(v))
            samples.append(int(v * 0.8 + r.gauss(0, 100)))
    second = 2 * rate
    with wave.open(path, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(rate)
        for k in range(amount):
            at = k % 10 * second
            out.writeframes(samples[at:at + second].tobytes())


def points(amount, path):
    """A thousand points each in a cube, as qhull reads them."""
    r = random.Random(5)
    with open(path, "w") as out:
        out.write(f"3\n{amount * 1000}\n")
        for _ in range(amount * 1000):
            out.write(f"{r.random():.9f} {r.random():.9f} {r.random():.9f}\n")


def circuit(amount, path):
    """Ten stages of amplifiers with bipolar transistors, for so many tenths of a millisecond."""
    out = ["amplifiers", "Vcc vcc 0 12", "Vin in0 0 SIN(0 0.01 20k)"]
    out.append(".model npn1 NPN(BF=150 IS=1e-15 CJE=5p CJC=3p TF=0.4n)")
    for k in range(10):
        a, b, c, e = (f"{name}{k}" for name in "abce")
        out += [f"C{k} in{k} {b} 100n", f"R1{k} vcc {b} 47k", f"R2{k} {b} 0 10k", f"R3{k} vcc {c} {2 + k % 3}k",
                f"R4{k} {e} 0 1k", f"CE{k} {e} {a} 1u", f"R5{k} {a} 0 300", f"Q{k} {c} {b} {e} npn1",
                f"R6{k} {c} in{k + 1} 100k", f"R7{k} in{k + 1} 0 4.7k"]
    out += [f".tran 100n {amount * 0.1}m", ".print tran v(c0) v(c5) v(c9)", ".end"]
    with open(path, "w") as file:
        file.write("\n".join(out) + "\n")


MAKERS = {"text": text, "source": source, "music": music, "points": points, "circuit": circuit}


def make(path):
    """The input that the path names, unless it is there."""
    kind, amount = os.path.basename(path).split(".")[0].split("-")
    if os.path.exists(path) and os.path.getmtime(path) > os.path.getmtime(__file__):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    MAKERS[kind](int(amount), path + ".part")
    os.rename(path + ".part", path)
