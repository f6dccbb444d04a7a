"""Cases for MMX, SSE and SSE2 (SDM vol. 1, chapters 9 to 11): every mnemonic, register and memory forms.

A 128-bit register is one hexadecimal number, its highest element first.
"""
import struct

FLOATS = {
    "ps": (32, ["00000000", "80000000", "3f800000", "bfc00000", "3dcccccd", "7f7fffff", "00800000", "00000001",
                "807fffff", "7f800000", "ff800000", "7fc01234", "7fa00042", "4f000000", "cf000000", "4effffff",
                "3f000000", "40200000", "c0200000", "5f000000"]),
    "pd": (64, ["0000000000000000", "8000000000000000", "3ff0000000000000", "bff8000000000000",
                "3fb999999999999a", "7fefffffffffffff", "0010000000000000", "0000000000000001",
                "800fffffffffffff", "7ff0000000000000", "fff0000000000000", "7ff8000000001234",
                "7ff4000000000042", "41dfffffffc00000", "41e0000000000000", "c1e0000000200000",
                "3fe0000000000000", "4004000000000000", "c004000000000000", "380fffffffffffff", "47efffffe0000000"]),
}
#: The patterns packed integers meet: small, signs, limits, mixed.
INTEGERS = ["00000000000000000000000000000000", "ffffffffffffffffffffffffffffffff", "0102030405060708090a0b0c0d0e0f10",
            "7f7f7fff7fff7fffffff80008000808080", "80808000800080000000ffff7fff7f7f", "fedcba98765432100123456789abcdef",
            "00ff00ff00ff00ff0080008000800080", "7fffffff80000000ffffffff00000001"]
INTEGERS = [v[:32].rjust(32, "0") for v in INTEGERS]
ROUNDING = [" mxcsr=3f80", " mxcsr=5f80", " mxcsr=7f80"]  # down, up, toward zero
DENORMALS = [" mxcsr=9f80", " mxcsr=1fc0", " mxcsr=9fc0"]  # FTZ, DAZ, both


def memory_of(value, offset=0x100):
    """A register's content as scratch memory."""
    return f"m{offset:03x}={bytes.fromhex(value)[::-1].hex()}"


def packed(elements):
    return "".join(reversed(elements))


def float_pairs(kind, f):
    """Pairs of registers whose lanes pair up all corner values, a diagonal at a time."""
    width, values = FLOATS[kind]
    lanes = 128 // width
    pairs = [(a, b) for shift in (0, 1, 3, 7, 10) for a, b in zip(values, values[shift:] + values[:shift])]
    f.random.shuffle(pairs)
    pairs += pairs[:-len(pairs) % lanes]
    return [(packed([p[0] for p in pairs[i:i + lanes]]), packed([p[1] for p in pairs[i:i + lanes]]))
            for i in range(0, len(pairs), lanes)]


def scalar_pairs(kind):
    """A lane pair a case, with something to keep above it."""
    width, values = FLOATS[kind]
    above = "1122334455667788aabbccddeeff0011"[:(128 - width) // 4]
    chosen = [(a, b) for a in values[:13] for b in (values[2], values[0], values[4], values[11], values[9])]
    return [(above + a, "99" * ((128 - width) // 8) + b) for a, b in chosen]


def sse_arithmetic(f):
    """add sub mul div min max sqrt cmp comis ucomis, packed and scalar, all rounding modes, FTZ and DAZ."""
    for op in "add sub mul div min max sqrt".split():
        for kind in ("ps", "pd"):
            scalar = kind.replace("p", "s")
            for name, pairs in ((kind, float_pairs(kind, f)), (scalar, scalar_pairs(kind)[::3])):
                f.add(f"{op}{name} %xmm1,%xmm0", [f"xmm0={a} xmm1={b}" for a, b in pairs])
                f.add(f"{op}{name} %xmm1,%xmm0",
                      [f"xmm0={a} xmm1={b}{control}" for i, (a, b) in enumerate(pairs)
                       for control in (ROUNDING + DENORMALS)[i % 3::3]])
                f.add(f"{op}{name} (%esi),%xmm2",
                      [f"xmm2={a} {memory_of(b)}" for a, b in pairs[:4]])
                f.add(f"{op}{name} %xmm3,%xmm3", [f"xmm3={a}" for a, _ in pairs[:3]])
                f.add(f"{op}{name} %xmm1,%xmm0", [f"xmm0={a} xmm1={b} mxcsr={control}" for a, b in pairs[:4]
                                                  for control in ("1f00", "1d80", "1fbf")])
    for kind in ("ps", "pd"):
        scalar = kind.replace("p", "s")
        for predicate in range(8):
            for name, pairs in ((kind, float_pairs(kind, f)[::3]), (scalar, scalar_pairs(kind)[::9])):
                f.add(f"cmp{name} ${predicate},%xmm1,%xmm0", [f"xmm0={a} xmm1={b}" for a, b in pairs])
                f.add(f"cmp{name} ${predicate},(%esi),%xmm0", [f"xmm0={a} {memory_of(b)}" for a, b in pairs[:2]])
        for op in ("comi", "ucomi"):
            f.add(f"{op}{scalar} %xmm1,%xmm0", [f"xmm0={a} xmm1={b}{fl}" for a, b in scalar_pairs(kind)
                                                for fl in ("", " flags=CPAZSO")][::2])
            f.add(f"{op}{scalar} (%esi),%xmm0", [f"xmm0={a} {memory_of(b)}" for a, b in scalar_pairs(kind)[::7]])
    # Unmasked exceptions: #XM, with its code, and nothing written.
    for code, a, b, control in (("divps", "3f800000" * 4, "00000000" * 4, "1d80"), ("addss", "7fa00042", "3f800000", "1f00"),
                                ("mulsd", "7fefffffffffffff", "7fefffffffffffff", "1b80"),
                                ("mulsd", "0010000000000000", "0010000000000000", "1780"),
                                ("divsd", "3ff0000000000000", "4008000000000000", "0f80"),
                                ("addsd", "0000000000000001", "3ff0000000000000", "1e80"),
                                ("sqrtsd", "3ff0000000000000", "bff0000000000000", "1f00")):
        f.add(f"{code} %xmm1,%xmm0", [f"xmm0={a:0>32} xmm1={b:0>32} mxcsr={control}"])


def sse_approximate_host(f):
    """rcpps rcpss rsqrtps rsqrtss: 12 bits, and each CPU's own choice of the rest."""
    for op in ("rcp", "rsqrt"):
        f.add(f"{op}ps %xmm1,%xmm0", [f"xmm1={b}" for _, b in float_pairs("ps", f)])
        f.add(f"{op}ps (%esi),%xmm0", [memory_of(b) for _, b in float_pairs("ps", f)[:3]])
        f.add(f"{op}ss %xmm1,%xmm0", [f"xmm0={a} xmm1={b}" for a, b in scalar_pairs("ps")[::5]])
        f.add(f"{op}ss (%esi),%xmm0", [f"xmm0={a} {memory_of(b)}" for a, b in scalar_pairs("ps")[::9]])


def sse_convert(f):
    """cvt…: between single, double and integers, in every rounding mode."""
    singles = [packed(FLOATS["ps"][1][i:i + 4]) for i in range(0, 20, 4)]
    doubles = [packed(FLOATS["pd"][1][i:i + 2]) for i in range(0, 20, 2)]
    ints = ["00000001ffffffff7fffffff80000000", "0100000101234567fedcba98000000ff"]
    controls = [""] + ROUNDING
    for op in ("cvtps2dq", "cvttps2dq", "cvtps2pd"):
        f.add(f"{op} %xmm1,%xmm0", [f"xmm0={INTEGERS[5]} xmm1={v}{c}" for v in singles for c in controls])
        f.add(f"{op} (%esi),%xmm0", [f"xmm0={INTEGERS[5]} {memory_of(v)}" for v in singles[:2]])
    for op in ("cvtpd2dq", "cvttpd2dq", "cvtpd2ps"):
        f.add(f"{op} %xmm1,%xmm0", [f"xmm0={INTEGERS[5]} xmm1={v}{c}" for v in doubles for c in controls])
        f.add(f"{op} (%esi),%xmm0", [f"xmm0={INTEGERS[5]} {memory_of(v)}" for v in doubles[:2]])
    for op in ("cvtdq2ps", "cvtdq2pd"):
        f.add(f"{op} %xmm1,%xmm0", [f"xmm0={INTEGERS[5]} xmm1={v}{c}" for v in ints for c in controls])
        f.add(f"{op} (%esi),%xmm0", [f"xmm0={INTEGERS[5]} {memory_of(v)}" for v in ints])
    for kind, source in (("ss", FLOATS["ps"][1]), ("sd", FLOATS["pd"][1])):
        for op in (f"cvt{kind}2si", f"cvtt{kind}2si"):
            f.add(f"{op} %xmm1,%eax", [f"xmm1={v:0>32}{c}" for v in source for c in controls])
            f.add(f"{op} (%esi),%eax", [memory_of(v) for v in source[::4]])
        f.add(f"cvtsi2{kind} %ecx,%xmm0", [f"xmm0={INTEGERS[5]} ecx={v}{c}" for v in
                                           ("0", "1", "ffffffff", "7fffffff", "80000000", "1000001", "fedcba98")
                                           for c in controls])
        f.add(f"cvtsi2{kind} (%esi),%xmm0", [f"xmm0={INTEGERS[5]} m100=010000ff"])
    f.add("cvtss2sd %xmm1,%xmm0", [f"xmm0={INTEGERS[5]} xmm1={v:0>32}{c}" for v in FLOATS["ps"][1] for c in controls[:1] + DENORMALS[1:2]])
    f.add("cvtsd2ss %xmm1,%xmm0", [f"xmm0={INTEGERS[5]} xmm1={v:0>32}{c}" for v in FLOATS["pd"][1] for c in controls + DENORMALS[:1]])
    f.add("cvtss2sd (%esi),%xmm0", [f"xmm0={INTEGERS[5]} m100=cdcccc3d"])
    f.add("cvtsd2ss (%esi),%xmm0", [f"xmm0={INTEGERS[5]} m100=9a9999999999b93f"])
    for op in ("cvtps2pi", "cvttps2pi"):
        f.add(f"{op} %xmm1,%mm0", [f"xmm1={v}{c}" for v in singles for c in controls])
        f.add(f"{op} (%esi),%mm0", [memory_of(v) for v in singles[:2]])
    for op in ("cvtpd2pi", "cvttpd2pi"):
        f.add(f"{op} %xmm1,%mm0", [f"xmm1={v}{c}" for v in doubles for c in controls])
        f.add(f"{op} (%esi),%mm0", [memory_of(v) for v in doubles[:2]])
    for op in ("cvtpi2ps", "cvtpi2pd"):
        f.add(f"{op} %mm1,%xmm0", [f"xmm0={INTEGERS[5]} mm1={v[:16]}{c}" for v in ints for c in controls])
        f.add(f"{op} (%esi),%xmm0", [f"xmm0={INTEGERS[5]} {memory_of(v)}" for v in ints])


def sse_move(f):
    """mov… shuf unpck and/or/xor, movmsk, non-temporal and masked stores, ldmxcsr, stmxcsr."""
    a, b = INTEGERS[5], "112233445566778899aabbccddeeff00"
    for op in "movaps movups movapd movupd movdqa movdqu".split():
        f.add(f"{op} %xmm1,%xmm0", [f"xmm0={a} xmm1={b}"])
        f.add(f"{op} (%esi),%xmm7", [memory_of(b)])
        f.add(f"{op} %xmm7,16(%esi)", [f"xmm7={b}"])
        if "u" in op[3:]:
            f.add(f"{op} 3(%esi),%xmm7", [memory_of(b, 0x103)])
            f.add(f"{op} %xmm7,0x1f(%esi)", [f"xmm7={b}"])
        else:
            f.add(f"{op} 8(%esi),%xmm7", [memory_of(b)])
    for op in ("movss", "movsd"):
        f.add(f"{op} %xmm1,%xmm0", [f"xmm0={a} xmm1={b}"])
        f.add(f"{op} 1(%esi),%xmm0", [f"xmm0={a} {memory_of(b)}"])
        f.add(f"{op} %xmm1,1(%esi)", [f"xmm1={b}"])
    for op in "movhps movlps movhpd movlpd".split():
        f.add(f"{op} 1(%esi),%xmm0", [f"xmm0={a} {memory_of(b)}"])
        f.add(f"{op} %xmm1,1(%esi)", [f"xmm1={b}"])
    for op in "movhlps movlhps unpckhps unpcklps unpckhpd unpcklpd andps andnps orps xorps andpd andnpd orpd xorpd".split():
        f.add(f"{op} %xmm1,%xmm0", [f"xmm0={a} xmm1={b}", f"xmm0={INTEGERS[3]} xmm1={INTEGERS[6]}"])
        f.add(f"{op} %xmm0,%xmm0", [f"xmm0={a}"])
        if op not in ("movhlps", "movlhps"):
            f.add(f"{op} (%esi),%xmm0", [f"xmm0={a} {memory_of(b)}"])
    for immediate in (0x00, 0x1b, 0xe4, 0x93, 0xff):
        for op in ("shufps", "shufpd", "pshufd", "pshufhw", "pshuflw"):
            f.add(f"{op} ${immediate:#x},%xmm1,%xmm0", [f"xmm0={a} xmm1={b}"])
            f.add(f"{op} ${immediate:#x},(%esi),%xmm0", [f"xmm0={a} {memory_of(b)}"])
        f.add(f"shufps ${immediate:#x},%xmm0,%xmm0", [f"xmm0={a}"])
        f.add(f"pshufw ${immediate:#x},%mm1,%mm0", [f"mm0={a[:16]} mm1={b[:16]}"])
        f.add(f"pshufw ${immediate:#x},(%esi),%mm0", [f"mm0={a[:16]} {memory_of(b)}"])
    for op in ("movmskps", "movmskpd", "pmovmskb"):
        f.add(f"{op} %xmm1,%eax", [f"xmm1={v}" for v in INTEGERS])
    f.add("movd %ecx,%xmm0", [f"xmm0={a} ecx=89abcdef"])
    f.add("movd (%esi),%xmm0", [f"xmm0={a} m100=89abcdef"])
    f.add("movd %xmm0,%ecx", [f"xmm0={a}"])
    f.add("movd %xmm0,(%esi)", [f"xmm0={a}"])
    f.add("movq %xmm1,%xmm0", [f"xmm0={a} xmm1={b}"])
    f.add("movq (%esi),%xmm0", [f"xmm0={a} {memory_of(b)}"])
    f.add("movq %xmm0,(%esi)", [f"xmm0={a}"])
    f.add(".byte 0x66,0x0f,0xd6,0xc8 # movq %xmm1,%xmm0 (d6)", [f"xmm0={a} xmm1={b}"])
    f.add("movdq2q %xmm1,%mm0", [f"xmm1={b}"])
    f.add("movq2dq %mm1,%xmm0", [f"xmm0={a} mm1={b[:16]}"])
    for op in ("movntps", "movntpd", "movntdq"):
        f.add(f"{op} %xmm1,(%esi)", [f"xmm1={b}"])
        f.add(f"{op} %xmm1,8(%esi)", [f"xmm1={b}"])
    f.add("movntq %mm1,(%esi)", [f"mm1={b[:16]}"])
    f.add("maskmovdqu %xmm1,%xmm0", [f"xmm0={a} xmm1={v} m200={'ee' * 16}" for v in INTEGERS] + [f"xmm0={a} edi=20000203 xmm1={b}"])
    f.add("maskmovq %mm1,%mm0", [f"mm0={a[:16]} mm1={v[:16]} m200={'ee' * 8}" for v in INTEGERS])
    for value in ("801f0000", "c0ff0000", "3f000000"):
        f.add("ldmxcsr 4(%esi)", [f"m104={value}"])
    f.add("stmxcsr 4(%esi)", ["", "mxcsr=7fbf"])
    f.add("divps %xmm1,%xmm0; stmxcsr 4(%esi)", [f"xmm0={'3f800000' * 4} xmm1={'40400000' * 4}"])
    f.add("ldmxcsr 4(%esi); divps %xmm1,%xmm0", [f"m104=803f0000 xmm0={'3f800000' * 4} xmm1={'40400000' * 4}"])
    for number in range(8):
        f.add(f"pinsrw ${number},%ecx,%xmm0", [f"xmm0={a} ecx=1234abcd"])
        f.add(f"pextrw ${number},%xmm0,%eax", [f"xmm0={a}"])
    f.add("pinsrw $13,(%esi),%xmm0", [f"xmm0={a} m100=abcd"])
    for number in range(4):
        f.add(f"pinsrw ${number},%ecx,%mm0", [f"mm0={a[:16]} ecx=1234abcd"])
        f.add(f"pextrw ${number},%mm0,%eax", [f"mm0={a[:16]}"])
    f.add("pinsrw $7,(%esi),%mm0", [f"mm0={a[:16]} m100=abcd"])


PACKED = """paddb paddw paddd paddq paddsb paddsw paddusb paddusw psubb psubw psubd psubq psubsb psubsw psubusb psubusw
pmullw pmulhw pmulhuw pmuludq pmaddwd psadbw pavgb pavgw pand pandn por pxor pcmpeqb pcmpeqw pcmpeqd pcmpgtb pcmpgtw
pcmpgtd pminub pminsw pmaxub pmaxsw packsswb packssdw packuswb punpcklbw punpcklwd punpckldq punpckhbw punpckhwd
punpckhdq""".split()
SHIFTS = "psllw pslld psllq psrlw psrld psrlq psraw psrad".split()


def integer_pairs(f):
    return list(zip(INTEGERS, INTEGERS[3:] + INTEGERS[:3])) + list(zip(INTEGERS, INTEGERS[1:])) + [
        (f"{f.random.getrandbits(128):032x}", f"{f.random.getrandbits(128):032x}") for _ in range(3)]


def sse_integer(f):
    """Packed integers in xmm registers: arithmetic, comparison, packing, shifts."""
    for op in PACKED + ["punpcklqdq", "punpckhqdq"]:
        pairs = integer_pairs(f)
        f.add(f"{op} %xmm1,%xmm0", [f"xmm0={a} xmm1={b}" for a, b in pairs])
        f.add(f"{op} (%esi),%xmm5", [f"xmm5={a} {memory_of(b)}" for a, b in pairs[:3]])
        f.add(f"{op} %xmm2,%xmm2", [f"xmm2={pairs[5][0]}"])
        f.add(f"{op} 8(%esi),%xmm5", [f"xmm5={pairs[0][0]}"])
    for op in SHIFTS:
        for count in (0, 1, 7, 15, 16, 31, 32, 63, 64, 255):
            f.add(f"{op} ${count},%xmm0", [f"xmm0={v}" for v in (INTEGERS[5], INTEGERS[3])])
        counts = [f"{INTEGERS[5][:16]}{c:016x}" for c in (0, 1, 15, 16, 31, 32, 63, 64, 1 << 32, 1 << 63)]
        f.add(f"{op} %xmm1,%xmm0", [f"xmm0={INTEGERS[5]} xmm1={c}" for c in counts])
        f.add(f"{op} (%esi),%xmm0", [f"xmm0={INTEGERS[5]} {memory_of(c)}" for c in counts[1:3]])
    for op in ("pslldq", "psrldq"):
        for count in (0, 1, 7, 8, 15, 16, 200):
            f.add(f"{op} ${count},%xmm0", [f"xmm0={INTEGERS[5]}"])


def mmx(f):
    """MMX: moves, packed integers, shifts, the tags they set, emms, and x87 state around them."""
    for op in PACKED:
        pairs = [(a[:16], b[:16]) for a, b in integer_pairs(f)]
        f.add(f"{op} %mm1,%mm0", [f"mm0={a} mm1={b}" for a, b in pairs])
        f.add(f"{op} (%esi),%mm5", [f"mm5={a} {memory_of(b)}" for a, b in pairs[:3]])
    for op in SHIFTS:
        for count in (0, 1, 15, 16, 31, 32, 63, 64):
            f.add(f"{op} ${count},%mm0", [f"mm0={v}" for v in (INTEGERS[5][:16], INTEGERS[3][:16])])
        f.add(f"{op} %mm1,%mm0", [f"mm0={INTEGERS[5][:16]} mm1={c:016x}" for c in (0, 1, 15, 16, 32, 64, 1 << 40)])
        f.add(f"{op} (%esi),%mm0", [f"mm0={INTEGERS[5][:16]} m100=0300000000000000"])
    f.add("pmovmskb %mm1,%eax", [f"mm1={v[:16]}" for v in INTEGERS])
    f.add("movd %ecx,%mm0", ["mm0=1122334455667788 ecx=89abcdef"])
    f.add("movd (%esi),%mm7", ["m100=89abcdef"])
    f.add("movd %mm0,%ecx", ["mm0=1122334455667788"])
    f.add("movd %mm0,(%esi)", ["mm0=1122334455667788"])
    f.add("movq %mm1,%mm0", ["mm0=1122334455667788 mm1=99aabbccddeeff00"])
    f.add("movq (%esi),%mm0", ["m100=0102030405060708"])
    f.add("movq %mm0,1(%esi)", ["mm0=1122334455667788"])
    f.add("emms", ["mm0=1122334455667788 tags=ff", "tags=81 fsw=2800"])
    # The stack top goes to 0 and all tags to valid, whatever they were.
    f.add("paddb %mm1,%mm0", ["mm0=1122334455667788 fsw=2900 tags=18"])
    f.add("movd %ecx,%mm3; emms; fld1", ["ecx=5"], "023")
    f.add("movq (%esi),%mm0; paddd 8(%esi),%mm0; movq %mm0,16(%esi); emms", ["m100=01020304050607080a0b0c0d0e0f1011"])


FILES = [sse_arithmetic, sse_approximate_host, sse_convert, sse_move, sse_integer, mmx]
