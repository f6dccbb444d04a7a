"""Cases for the x87 FPU (SDM vol. 1, chapter 8).

Values are 80-bit patterns. The SDM leaves C0, C2 and C3 undefined after most instructions; which ones is
named where they are added ("023").
"""
import struct

#: name: sign and exponent, significand
REAL = {
    "+0": "00000000000000000000", "-0": "80000000000000000000",
    "1": "3fff8000000000000000", "-1": "bfff8000000000000000",
    "1.5": "3fffc000000000000000", "-2.5": "c000a000000000000000",
    "0.1": "3ffbcccccccccccccccd", "pi": "4000c90fdaa22168c235",
    "big": "403e8000000000000001", "odd": "403efffffffffffffffe",
    "huge": "7ffeffffffffffffffff", "-huge": "fffeffffffffffffffff",
    "tiny": "00018000000000000000", "denormal": "00000000000000000001",
    "pseudo-denormal": "00008000000000000001",
    "+inf": "7fff8000000000000000", "-inf": "ffff8000000000000000",
    "qnan": "7fffc000000000001234", "-qnan": "ffffe000000000000001", "snan": "7fff8000000000000042",
    "unnormal": "3fff4000000000000000", "pseudo-inf": "7fff0000000000000000",
    "single max": "407effffff0000000000", "double over": "43ff8000000000000000",
    "single tiny": "3f818000000000000000", "double tiny": "3c008000000000000001",
    "32767.5": "400dffff000000000000", "-32768.5": "c00e8000800000000000",
    "2^31": "401e8000000000000000", "2^31-0.5": "401dffffffff00000000", "-2^63": "c03e8000000000000000",
    "0.5": "3ffe8000000000000000", "2.5": "4000a000000000000000", "3": "4000c000000000000000",
    "7": "4001e000000000000000", "1e18-1": "403ade0b6b3a763ffff0", "1e18": "403ade0b6b3a76400000",
    "100000": "400fc350000000000000",
}
NUMBERS = ["+0", "-0", "1", "-2.5", "0.1", "pi", "big", "huge", "tiny", "denormal", "+inf", "-inf", "qnan", "snan"]
ROUNDING = ["", " fcw=77f", " fcw=b7f", " fcw=f7f"]  # to nearest, down, up, toward zero
PRECISION = ["", " fcw=27f", " fcw=7f"]  # extended, double, single
ARITHMETIC = "add mul sub subr div divr".split()


def stack(*names):
    return " ".join(f"st{i}={REAL.get(name, name)}" for i, name in enumerate(names))


def pairs():
    """Operand pairs that matter, and not the whole square of them."""
    chosen = [(a, b) for a in ("1", "-2.5", "0.1", "pi") for b in ("1", "-2.5", "0.1", "big")]
    special = ["+0", "-0", "+inf", "-inf", "qnan", "-qnan", "snan", "denormal", "unnormal", "pseudo-inf",
               "pseudo-denormal"]
    chosen += [(a, "1") for a in special] + [("1.5", b) for b in special]
    chosen += [("+0", "+0"), ("+0", "-0"), ("-0", "+0"), ("+inf", "+inf"), ("+inf", "-inf"), ("+0", "+inf"),
               ("-inf", "-0"), ("qnan", "-qnan"), ("snan", "qnan"), ("snan", "-inf"), ("huge", "huge"),
               ("huge", "-huge"), ("huge", "tiny"), ("tiny", "huge"), ("tiny", "0.1"), ("tiny", "tiny"),
               ("denormal", "denormal"), ("1", "huge"), ("big", "odd"), ("2^31", "3"), ("7", "3")]
    return chosen


def x87_arithmetic(f):
    """fadd fmul fsub fsubr fdiv fdivr: stack and memory operands, precision and rounding, exceptions."""
    for op in ARITHMETIC:
        f.add(f"f{op} %st(1),%st", [stack(a, b) for a, b in pairs()], "023")
        f.add(f"f{op} %st(1),%st", [stack(a, b) + control for a, b in pairs()[:16] for control in ROUNDING[1:] + PRECISION[1:]],
              "023")
        f.add(f"f{op} %st(1),%st", [stack(a, b) + control for a, b in (("huge", "-huge"), ("tiny", "0.1"), ("double over", "3"),
                                                                      ("single max", "single tiny"))
                                    for control in (" fcw=27f", " fcw=7f", " fcw=77f", " fcw=f7f", " fcw=c7f")], "023")
        f.add(f"f{op} %st,%st(2)", [stack("1", "7", "3"), stack("pi", "7", "0.1") + " fcw=27f"], "023")
        f.add(f"f{op}p %st,%st(1)", [stack("1", "7", "3"), stack("pi", "0.1"), stack("+0", "+0")], "023")
        f.add(f"f{op}p %st,%st(3)", [stack("1", "7", "3", "pi")], "023")
        # Stack underflow, masked and not.
        f.add(f"f{op} %st(1),%st", [stack("1"), ""], "023")
        for suffix, pattern, values in (("s", "<f", (0.0, -1.5, 0.1, 3.0e38, 1e-45)), ("l", "<d", (0.0, -1.5, 0.1, 1.7e308, 5e-324))):
            f.add(f"f{op}{suffix} 8(%esi)",
                  [f"m108={struct.pack(pattern, v).hex()} {stack(a, '1')}" for v in values for a in ("pi", "-0", "huge")]
                  + [f"m108={nan} {stack('1')}" for nan in
                     (("0000a07f", "0000c07f", "000080ff") if suffix == "s" else
                      ("000000000000f47f", "010000000000f87f", "000000000000f0ff"))], "023")
        for suffix, pattern, values in (("s", "<h", (0, -1, 32767, -32768)), ("l", "<i", (0, -1, 2147483647, -2147483648))):
            f.add(f"fi{op}{suffix} 8(%esi)",
                  [f"m108={struct.pack(pattern, v).hex()} {stack(a)}" for v in values for a in ("pi", "-0", "0.1")],
                  "023")
    unary = NUMBERS + ["-1", "-qnan", "unnormal", "pseudo-denormal", "2.5", "32767.5", "3"]
    f.add("fsqrt", [stack(a) for a in unary] + [stack(a) + c for a in ("3", "0.1", "pi") for c in ROUNDING[1:] + PRECISION[1:]], "023")
    f.add("frndint", [stack(a) + c for a in unary + ["-32768.5", "2^31-0.5", "0.5", "1.5"] for c in ROUNDING], "023")
    f.add("fabs", [stack(a) for a in unary], "023")
    f.add("fchs", [stack(a) for a in unary], "023")
    f.add("fscale", [stack(a, b) for a, b in pairs()] + [stack("1.5", b) for b in ("7", "-2.5", "32767.5", "-32768.5", "100000")], "023")
    f.add("fxtract", [stack(a) for a in unary], "023")
    f.add("fprem", [stack(a, b) for a, b in pairs()] + [stack("7", "3"), stack("1e18", "3"), stack("huge", "pi")])
    f.add("fprem1", [stack(a, b) for a, b in pairs()] + [stack("7", "3"), stack("1e18", "3"), stack("huge", "pi")])


def x87_compare(f):
    """fcom fucom fcomi fucomi ficom ftst fxam and what reads them: fnstsw, sahf, fcmovcc."""
    compared = [(a, b) for a in ("1", "-2.5", "+0", "-0", "+inf") for b in ("1", "-0", "+inf", "-inf", "qnan")]
    compared += [("qnan", "1"), ("snan", "1"), ("1", "snan"), ("unnormal", "1"), ("denormal", "1"), ("1", "denormal"),
                 ("-qnan", "qnan"), ("pseudo-inf", "1")]
    states = [stack(a, b) for a, b in compared]
    for op in ("fcom %st(1)", "fcomp %st(1)", "fcompp", "fucom %st(1)", "fucomp %st(1)", "fucompp"):
        f.add(op, states)
        f.add(f"{op}; fnstsw %ax; sahf; setb %dl; sete %dh", states[::4])
    for op in ("fcomi", "fcomip", "fucomi", "fucomip"):
        f.add(f"{op} %st(1),%st", states + [s + " flags=CPZ" for s in states[::5]], "ASO")
    for suffix, pattern, values in (("s", "<f", (1.0, -2.5)), ("l", "<d", (1.0, -2.5))):
        for op in ("fcom", "fcomp"):
            f.add(f"{op}{suffix} 8(%esi)", [f"m108={struct.pack(pattern, v).hex()} {stack(a)}" for v in values
                                            for a in ("1", "-2.5", "qnan", "+inf")])
    for suffix, pattern in (("s", "<h"), ("l", "<i")):
        for op in ("ficom", "ficomp"):
            f.add(f"{op}{suffix} 8(%esi)", [f"m108={struct.pack(pattern, v).hex()} {stack(a)}" for v in (1, -7)
                                            for a in ("1", "-2.5", "qnan", "+inf")])
    f.add("ftst", [stack(a) for a in REAL])
    f.add("fxam", [stack(a) for a in REAL] + [""])
    for condition in "b e be u nb ne nbe nu".split():
        f.add(f"fcmov{condition} %st(2),%st", [stack("1", "7", "pi") + fl for fl in
                                               ("", " flags=C", " flags=Z", " flags=P", " flags=CPZ")], "023")
    f.add("fcmovb %st(2),%st", [stack("1", "7") + " flags=C", stack("1", "7")], "023")


def x87_move(f):
    """fld fst fstp fxch, constants, integer and BCD conversions, the stack's own instructions."""
    f.add("fld %st(0)", [stack("pi"), stack("pi", "1", "1", "1", "1", "1", "1", "1"), ""], "023")
    f.add("fld %st(2)", [stack("1", "7", "3"), stack("1")], "023")
    f.add("fst %st(2)", [stack("1", "7", "3"), stack("1")], "023")
    f.add("fstp %st(2)", [stack("1", "7", "3"), stack("1")], "023")
    f.add("fstp %st(0)", [stack("1", "7"), ""], "023")
    f.add("fxch %st(1)", [stack("1", "7"), stack("1"), ""], "023")
    f.add("fxch %st(3)", [stack("1", "7", "3", "pi")], "023")
    for constant in "fld1 fldl2t fldl2e fldpi fldlg2 fldln2 fldz".split():
        f.add(constant, [control.strip() for control in ROUNDING] + [stack(*["1"] * 8)], "023")
    floats = (0.0, -0.0, 1.0, -1.5, 0.1, 3.4e38, 1e-45, float("inf"), float("-inf"))
    f.add("flds 8(%esi)", [f"m108={struct.pack('<f', v).hex()}" for v in floats] +
          ["m108=0100807f", "m108=0100c0ff", "m108=ffff7f00"], "023")
    f.add("fldl 8(%esi)", [f"m108={struct.pack('<d', v).hex()}" for v in floats + (1.7e308, 5e-324)] +
          ["m108=010000000000f07f", "m108=010000000000f8ff", "m108=ffffffffffff0f00"], "023")
    f.add("fldt 8(%esi)", [f"m108={bytes.fromhex(v)[::-1].hex()}" for v in REAL.values()], "023")
    for suffix, pattern, values in (("s", "<h", (0, 1, -1, 32767, -32768)),
                                    ("l", "<i", (0, 1, -1, 2147483647, -2147483648)),
                                    ("ll", "<q", (0, 1, -1, 2**63 - 1, -2**63, 10**18))):
        f.add(f"fild{suffix} 8(%esi)", [f"m108={struct.pack(pattern, v).hex()}" + c for v in values for c in ("", " fcw=7f")], "023")
    stored = NUMBERS + ["-qnan", "unnormal", "single max", "double over", "single tiny", "double tiny", "odd", "-huge", "3"]
    f.add("fsts 8(%esi)", [stack(a) + c for a in stored for c in ROUNDING], "023")
    f.add("fstps 8(%esi)", [stack(a, "1") for a in stored[:6]], "023")
    f.add("fstl 8(%esi)", [stack(a) + c for a in stored for c in ROUNDING], "023")
    f.add("fstpl 8(%esi)", [stack(a, "1") for a in stored[:6]], "023")
    f.add("fstpt 8(%esi)", [stack(a, "1") for a in REAL], "023")
    f.add("fstpt 8(%esi)", [""], "023")
    integers = ["+0", "-0", "1", "0.5", "1.5", "2.5", "-2.5", "0.1", "pi", "32767.5", "-32768.5", "2^31", "2^31-0.5",
                "-2^63", "big", "odd", "huge", "+inf", "-inf", "qnan", "snan", "denormal", "100000", "unnormal"]
    for op in ("fists", "fistps", "fistl", "fistpl", "fistpll"):
        f.add(f"{op} 8(%esi)", [stack(a) + c for a in integers for c in ROUNDING], "023")
        f.add(f"{op} 8(%esi)", [""], "023")
    f.add("fbld 8(%esi)", ["m108=00000000000000000000", "m108=21436587092143658709", "m108=99999999999999999980",
                           "m108=01000000000000000000", "m108=00000000000000000080"], "023")
    f.add("fbstp 8(%esi)", [stack(a) + c for a in integers + ["1e18", "1e18-1"] for c in ("", " fcw=f7f")], "023")
    f.add("fincstp", [stack("1", "7"), ""], "023")
    f.add("fdecstp", [stack("1", "7"), ""], "023")
    f.add("ffree %st(1)", [stack("1", "7", "3"), ""], "0123")
    f.add(".byte 0xdf,0xc1 # ffreep %st(1)", [stack("1", "7", "3")], "0123")
    f.add(".byte 0xdc,0xd1 # fcom2 %st(1)", [stack("1", "7")])
    f.add(".byte 0xdd,0xc9 # fxch4 %st(1)", [stack("1", "7")], "023")
    f.add(".byte 0xdf,0xd1 # fstp8 %st(1)", [stack("1", "7")], "023")
    # Pairs in flight: deeper stacks, and values that stay exact on their way through memory.
    f.add("fldt (%esi); fstpt 16(%esi)", [f"m100={bytes.fromhex(v)[::-1].hex()}" for v in REAL.values()], "023")
    f.add("fildll (%esi); fistpll 16(%esi)", ["m100=0102030405060788", "m100=ffffffffffffff7f"], "023")
    f.add("fldl (%esi); fstpl 16(%esi)", ["m100=182d4454fb210940", "m100=010000000000f07f"], "023")
    f.add("fld1; fldpi; fldz; fxch %st(2); faddp; fmulp", ["", stack("1", "1", "1", "1", "1", "1")], "023")


def x87_control(f):
    """fldcw fnstcw fnstsw fnclex fninit, fnstenv fldenv fnsave frstor fxsave fxrstor, unmasked exceptions.
    Instruction and data pointers depend on where the code lies, so they are wiped."""
    for value in ("7f03", "7f0f", "4003", "7200", "ffff"):
        f.add("fldcw 8(%esi)", [f"m108={value}"], "0123")
    f.add("fnstcw 8(%esi)", ["", "fcw=c7f", "fcw=272"], "0123")
    f.add("fnstsw %ax", ["fsw=4500", stack("1", "7") + " fsw=4121"], "0123")
    f.add("fnstsw 8(%esi)", ["fsw=4500", stack("1", "7") + " fsw=4121"], "0123")
    f.add("fnclex", ["fsw=4121", stack("1") + " fsw=00a0 fcw=37f"], "0123")
    f.add("fninit", [stack("1", "7") + " fcw=c72 fsw=4121"])
    wipe = "; movl $0,12(%esi); movl $0,16(%esi); movl $0,20(%esi); movl $0,24(%esi)"
    f.add("fnstenv (%esi)" + wipe, ["", stack("1", "+0", "qnan", "denormal"), "fsw=4100 fcw=27f"], "0123")
    f.add("data16 fnstenv (%esi); movl $0,6(%esi); movl $0,10(%esi)", [stack("1", "+0")], "0123")
    environment = "m100=7f02ffff0041ffff{:02x}{:02x}ffff"
    f.add("fldenv (%esi)", [stack("1", "+0", "qnan") + " " + environment.format(tags & 255, tags >> 8) + "00" * 16
                            for tags in (0xffff, 0x0000, 0x1bff, 0xe4e4)])
    f.add("fldenv (%esi); fnstenv (%esi)" + wipe,
          [stack("1", "+0", "qnan") + " " + environment.format(tags & 255, tags >> 8) + "00" * 16
           for tags in (0xffff, 0x0000, 0x1bff, 0xe4e4)])
    f.add("fnsave (%esi)" + wipe, [stack("1", "-2.5", "qnan", "denormal"), stack(*["pi"] * 8) + " fcw=c7f"])
    f.add("fnsave (%esi)" + wipe + "; frstor (%esi)", [stack("1", "-2.5", "qnan"), ""])
    f.add("fnsave (%esi)" + wipe + "; incl 28(%esi); frstor (%esi); fadd %st(1),%st", [stack("1", "-2.5", "qnan")], "023")
    f.add("fxsave (%esi); movw $0,6(%esi); movl $0,8(%esi); movl $0,12(%esi); movl $0,16(%esi); movl $0,20(%esi); "
          "movl $0,28(%esi)", [stack("1", "-2.5") + " xmm0=000102030405060708090a0b0c0d0e0f", "mxcsr=3fbf fsw=4700"], "0123")
    f.add("fxsave (%esi); fninit; pxor %xmm0,%xmm0; fxrstor (%esi); movl $0,8(%esi); movl $0,12(%esi); "
          "movl $0,16(%esi); movl $0,20(%esi); movl $0,28(%esi); movw $0,6(%esi)",
          [stack("1", "-2.5") + " xmm0=000102030405060708090a0b0c0d0e0f"], "0123")
    # Unmasked: the exception comes at the next waiting instruction, with its code.
    for control, code, operands in (("37b", "fdiv %st(1),%st", ("1", "+0")), ("37e", "fdiv %st(1),%st", ("+0", "+0")),
                                    ("377", "fmul %st(1),%st", ("huge", "huge")), ("36f", "fmul %st(1),%st", ("tiny", "tiny")),
                                    ("35f", "fdiv %st(1),%st", ("1", "3")), ("37d", "fadd %st(1),%st", ("denormal", "1")),
                                    ("37e", "fadd %st(1),%st", ("snan", "1")), ("37e", "fsqrt", ("-1", "1")),
                                    ("37e", "fld %st(3)", ("1", "1"))):
        f.add(f"{code}; inc %edx; fwait", [stack(*operands) + f" fcw={control}"], "PAZSO0123")
        f.add(f"{code}; mov (%esi),%eax; fld1", [stack(*operands) + f" fcw={control}"], "0123")
        f.add(f"{code}; fnstsw %ax; fnclex; fwait", [stack(*operands) + f" fcw={control}"], "0123")
    f.add("fldcw 8(%esi); fwait", [stack("1") + " fsw=0004 m108=7b03"], "0123")
    f.add("fstps 8(%esi); fwait", [stack("huge", "1") + " fcw=377", stack("qnan") + " fcw=37e", stack("snan") + " fcw=37e"], "0123")
    f.add("fistpl 8(%esi); fwait", [stack("huge", "1") + " fcw=37e", stack("0.1", "1") + " fcw=35f"], "0123")


def x87_transcendental_host(f):
    """fsin fcos fsincos fptan fpatan f2xm1 fyl2x fyl2xp1: whose last bit is each CPU's own."""
    values = ["+0", "-0", "1", "-1", "0.5", "0.1", "pi", "-2.5", "7", "100000", "big", "huge", "tiny", "denormal",
              "+inf", "-inf", "qnan", "snan", "unnormal"]
    for op in "fsin fcos fsincos fptan f2xm1".split():
        f.add(op, [stack(a) for a in values])
        f.add(op, [stack(a) + c for a in ("0.1", "0.5", "pi") for c in ROUNDING[1:] + PRECISION[1:]])
    f.add("fsincos", [stack(*["1"] * 8)])
    for op in "fpatan fyl2x fyl2xp1".split():
        f.add(op, [stack(a, b) for a in values for b in ("1", "-2.5", "+0", "-inf", "qnan", "pi")])
        f.add(op, [stack("0.1", "pi") + c for c in ROUNDING[1:] + PRECISION[1:]])


FILES = [x87_arithmetic, x87_compare, x87_move, x87_control, x87_transcendental_host]
