"""Cases for AVX and what came with and after it (SDM vol. 1, chapters 13 to 14): VEX forms of 128 and 256 bits.

Every mnemonic in register and memory forms. The target's upper half is never zero before, so that forms of 128
bits show that they clear it, and SSE forms that they do not.
"""
from cases_vector import FLOATS, memory_of

#: Patterns for integers: small, signs, limits, mixed.
WIDE = ["00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210",
        "7fffffff80000000ffffffff000000017f7f80800000ffff00ff8000807f0001",
        "8040201008040201fffefdfcfbfaf9f800000000000000000102030405060708",
        "f0e0d0c0b0a090807060504030201000ffffffffffffffff8000000000000000"]


def floats(f, kind, shift):
    """A register of corner values."""
    width, values = FLOATS[kind]
    lanes = 256 // width
    start = f.random.randrange(len(values))
    return "".join(values[(start + i * shift) % len(values)] for i in range(lanes))


def pairs(f, kind, count):
    return [(floats(f, kind, 1), floats(f, kind, 3 + i)) for i in range(count)]


def integers(f):
    own = f"{f.random.getrandbits(256):064x}"
    return [(WIDE[0], WIDE[1]), (WIDE[1], WIDE[2]), (own, WIDE[3])]


def old(f):
    return f"ymm0={f.random.getrandbits(256):064x}"


def two(f, op, values, widths="xy", memory=True, suffix=""):
    """op source, target."""
    for w in widths:
        f.add(f"{op} {suffix}%{w}mm2,%{w}mm0", [f"{old(f)} ymm2={b}" for _, b in values])
        if memory:
            f.add(f"{op} {suffix}1(%esi),%{w}mm5", [memory_of(values[0][1], 0x101)])


def three(f, op, values, widths="xy", memory=True, suffix=""):
    """op source2, source1, target."""
    for w in widths:
        f.add(f"{op} {suffix}%{w}mm2,%{w}mm1,%{w}mm0", [f"{old(f)} ymm1={a} ymm2={b}" for a, b in values])
        f.add(f"{op} {suffix}%{w}mm3,%{w}mm3,%{w}mm3", [f"ymm3={values[0][0]}"])
        if memory:
            f.add(f"{op} {suffix}1(%esi,%ecx,2),%{w}mm1,%{w}mm5",
                  [f"ecx=8 ymm1={a} {memory_of(b, 0x111)}" for a, b in values[:2]])


ROUNDINGS = ["", " mxcsr=3f80", " mxcsr=7f80", " mxcsr=9fc0"]


def avx_arithmetic(f):
    """AVX floating point: arithmetic, comparison, rounding, conversion; packed and scalar."""
    f.needs = "avx"
    for kind in ("ps", "pd"):
        scalar = kind.replace("p", "s")
        for op in "vadd vsub vmul vdiv vmin vmax".split():
            three(f, op + kind, pairs(f, kind, 4))
            three(f, op + scalar, pairs(f, kind, 5), "x")
            f.add(f"{op}{kind} %ymm2,%ymm1,%ymm0",
                  [f"ymm1={a} ymm2={b}{c}" for (a, b), c in zip(pairs(f, kind, 4), ROUNDINGS)])
        for op in "vaddsub vhadd vhsub".split():
            three(f, op + kind, pairs(f, kind, 3))
        two(f, "vsqrt" + kind, pairs(f, kind, 4))
        three(f, "vsqrt" + scalar, pairs(f, kind, 4), "x")
        for mode in range(5):
            two(f, "vround" + kind, pairs(f, kind, 2), suffix=f"${mode},")
            three(f, "vround" + scalar, pairs(f, kind, 2), "x", suffix=f"${mode},")
        for predicate in range(32):
            three(f, "vcmp" + kind, pairs(f, kind, 3), memory=predicate % 8 == 3, suffix=f"${predicate},")
            three(f, "vcmp" + scalar, pairs(f, kind, 2), "x", memory=False, suffix=f"${predicate},")
        for op in ("vcomi", "vucomi"):
            f.add(f"{op}{scalar} %xmm2,%xmm1", [f"ymm1={a} ymm2={b} flags=CPAZSO" for a, b in pairs(f, kind, 8)])
            f.add(f"{op}{scalar} (%esi),%xmm1", [f"ymm1={a} {memory_of(b)}" for a, b in pairs(f, kind, 2)])
            f.add(f"{op}{scalar} %xmm2,%xmm1; seta %al; jp 1f; inc %ecx; 1:",
                  [f"ymm1={a} ymm2={b}" for a, b in pairs(f, kind, 4)])
    three(f, "vdpps", [("3f800000" * 8, "40400000" * 8)], suffix="$0xf1,")
    three(f, "vdpps", pairs(f, "ps", 2), suffix="$0x7e,")
    three(f, "vdppd", pairs(f, "pd", 2), "x", suffix="$0x31,")
    for op, kind in (("vcvtps2dq", "ps"), ("vcvttps2dq", "ps"), ("vcvtdq2ps", "ps")):
        two(f, op, pairs(f, kind, 4))
    for w in "xy":
        values = pairs(f, "pd", 4)
        for op in ("vcvtpd2dq", "vcvttpd2dq", "vcvtpd2ps"):
            f.add(f"{op} %{w}mm2,%xmm0", [f"{old(f)} ymm2={b}{c}" for (_, b), c in zip(values, ROUNDINGS)])
            f.add(f"{op}{w} 1(%esi),%xmm5", [memory_of(values[0][1], 0x101)])
        for op in ("vcvtps2pd", "vcvtdq2pd"):
            f.add(f"{op} %xmm2,%{w}mm0", [f"{old(f)} ymm2={b}" for _, b in pairs(f, "ps", 4)])
            f.add(f"{op} 1(%esi),%{w}mm5", [memory_of(values[1][1], 0x101)])
    for kind in ("ss", "sd"):
        values = pairs(f, kind.replace("s", "p", 1), 4)
        for op in (f"vcvt{kind}2si", f"vcvtt{kind}2si"):
            f.add(f"{op} %xmm2,%ebx", [f"ymm2={b}" for _, b in values])
            f.add(f"{op} (%esi),%edi", [memory_of(values[0][1])])
        f.add(f"vcvtsi2{kind} %ebx,%xmm1,%xmm0", [f"{old(f)} ymm1={a} ebx={v}" for (a, _), v in zip(values, ("1", "80000000", "7fffffff", "ffffffff"))])
        f.add(f"vcvtsi2{kind}l (%esi),%xmm1,%xmm0", [f"{old(f)} ymm1={WIDE[0]} m100=010000ff"])
    three(f, "vcvtss2sd", pairs(f, "ps", 4), "x")
    three(f, "vcvtsd2ss", pairs(f, "pd", 4), "x")
    # #XM with nothing written, also above.
    f.add("vdivps %ymm2,%ymm1,%ymm0", [f"{old(f)} ymm1={'3f800000' * 8} ymm2={'3f800000' * 7}00000000 mxcsr=1d80"])
    f.add("vaddsd %xmm2,%xmm1,%xmm0", [f"{old(f)} ymm1={'7ff4000000000042' * 4} ymm2={'3ff0000000000000' * 4} mxcsr=1f00"])


def avx_approximate_host(f):
    """vrcp and vrsqrt: 12 bits, and each CPU's own choice of the rest."""
    f.needs = "avx"
    for op in ("vrcp", "vrsqrt"):
        two(f, op + "ps", pairs(f, "ps", 6))
        three(f, op + "ss", pairs(f, "ps", 4), "x")


def avx_move(f):
    """AVX moves, shuffles, logic, and what SSE leaves of a ymm register."""
    f.needs = "avx"
    values = integers(f)
    a, b = WIDE[0], WIDE[1]
    for op in "vmovaps vmovups vmovapd vmovupd vmovdqa vmovdqu".split():
        for w in "xy":
            f.add(f"{op} %{w}mm1,%{w}mm0", [f"{old(f)} ymm1={a}"])
            f.add(f"{op} (%esi),%{w}mm7", [memory_of(a)])
            f.add(f"{op} %{w}mm7,32(%esi)", [f"ymm7={a}"])
            f.add(f"{op} %{w}mm7,%fs:0x40(%eax,%ecx,8)", [f"ymm7={a} eax=80 ecx=4"])
            f.add(f"{op} 3(%esi),%{w}mm7", [f"ymm7={b} {memory_of(a, 0x103)}"])
            f.add(f"{op} %{w}mm7,0x1f(%esi)", [f"ymm7={a}"])
    for w in "xy":
        f.add(f"vlddqu 3(%esi),%{w}mm0", [f"{old(f)} {memory_of(a, 0x103)}"])
        for op in ("vmovntps", "vmovntpd", "vmovntdq"):
            f.add(f"{op} %{w}mm1,(%esi)", [f"ymm1={a}"])
            f.add(f"{op} %{w}mm1,8(%esi)", [f"ymm1={a}"])
        for op in ("vmovddup", "vmovshdup", "vmovsldup"):
            two(f, op, values, w)
        for op in ("vmovmskps", "vmovmskpd"):
            f.add(f"{op} %{w}mm1,%ebp", [f"ymm1={v}" for v in WIDE])
        for op in ("vtestps", "vtestpd", "vptest"):
            f.add(f"{op} %{w}mm2,%{w}mm1", [f"ymm1={x} ymm2={y} flags=CPAZSO" for x, y in
                                           values + [(a, a), ("0" * 64, a), (a, "0" * 64), ("f" * 64, "f" * 64)]])
            f.add(f"{op} 1(%esi),%{w}mm1", [f"ymm1={a} {memory_of(b, 0x101)}"])
    for op, kind in (("vmovss", "x"), ("vmovsd", "x")):
        f.add(f"{op} %xmm2,%xmm1,%xmm0", [f"{old(f)} ymm1={a} ymm2={b}"])
        f.add(f"{op} 1(%esi),%xmm0", [f"{old(f)} {memory_of(a, 0x101)}"])
        f.add(f"{op} %xmm1,1(%esi)", [f"ymm1={a}"])
    for op in "vmovhps vmovlps vmovhpd vmovlpd".split():
        f.add(f"{op} 1(%esi),%xmm1,%xmm0", [f"{old(f)} ymm1={a} {memory_of(b, 0x101)}"])
        f.add(f"{op} %xmm1,1(%esi)", [f"ymm1={a}"])
    for op in "vmovhlps vmovlhps".split():
        three(f, op, values, "x", memory=False)
    for op in """vunpckhps vunpcklps vunpckhpd vunpcklpd vandps vandnps vorps vxorps vandpd vandnpd vorpd vxorpd
                 vpermilps vpermilpd""".split():
        three(f, op, values)
    for immediate in (0x00, 0x1b, 0xe4, 0xff):
        for op in ("vshufps", "vshufpd", "vblendps", "vblendpd"):
            three(f, op, values[:1], suffix=f"${immediate:#x},")
        for op in ("vpermilps", "vpermilpd"):
            two(f, op, values[:1], suffix=f"${immediate:#x},")
    for op in ("vblendvps", "vblendvpd"):
        for w in "xy":
            f.add(f"{op} %{w}mm7,%{w}mm2,%{w}mm1,%{w}mm0", [f"{old(f)} ymm1={x} ymm2={y} ymm7={WIDE[2]}" for x, y in values])
            f.add(f"{op} %{w}mm7,1(%esi),%{w}mm1,%{w}mm0", [f"{old(f)} ymm1={a} ymm7={WIDE[2]} {memory_of(b, 0x101)}"])
    for immediate in (0x00, 0x31, 0x23, 0x08, 0x80):
        three(f, "vperm2f128", values[:1], "y", suffix=f"${immediate:#x},")
    for half in (0, 1):
        f.add(f"vinsertf128 ${half},%xmm2,%ymm1,%ymm0", [f"{old(f)} ymm1={a} ymm2={b}"])
        f.add(f"vinsertf128 ${half},1(%esi),%ymm1,%ymm0", [f"{old(f)} ymm1={a} {memory_of(b, 0x101)}"])
        f.add(f"vextractf128 ${half},%ymm1,%xmm0", [f"{old(f)} ymm1={a}"])
        f.add(f"vextractf128 ${half},%ymm1,1(%esi)", [f"ymm1={a}"])
    f.add("vbroadcastss 1(%esi),%xmm0", [f"{old(f)} {memory_of(a, 0x101)}"])
    for op in ("vbroadcastss", "vbroadcastsd", "vbroadcastf128"):
        f.add(f"{op} 1(%esi),%ymm0", [f"{old(f)} {memory_of(a, 0x101)}"])
    f.add("vmovd %ecx,%xmm0", [f"{old(f)} ecx=89abcdef"])
    f.add("vmovd (%esi),%xmm0", [f"{old(f)} m100=89abcdef"])
    f.add("vmovd %xmm0,%ecx", [f"ymm0={a}"])
    f.add("vmovd %xmm0,(%esi)", [f"ymm0={a}"])
    f.add("vmovq %xmm1,%xmm0", [f"{old(f)} ymm1={b}"])
    f.add("vmovq (%esi),%xmm0", [f"{old(f)} {memory_of(b)}"])
    f.add("vmovq %xmm0,(%esi)", [f"ymm0={a}"])
    f.add("vinsertps $0x9a,%xmm2,%xmm1,%xmm0", [f"{old(f)} ymm1={a} ymm2={b}"])
    f.add("vinsertps $0x12,1(%esi),%xmm1,%xmm0", [f"{old(f)} ymm1={a} {memory_of(b, 0x101)}"])
    for number in (0, 3):
        f.add(f"vextractps ${number},%xmm1,%edx", [f"ymm1={a}"])
        f.add(f"vextractps ${number},%xmm1,1(%esi)", [f"ymm1={a}"])
        for letter in "bwd":
            f.add(f"vpinsr{letter} ${number},%edi,%xmm1,%xmm0", [f"{old(f)} ymm1={a} edi=1234abcd"])
            f.add(f"vpinsr{letter} ${number},1(%esi),%xmm1,%xmm0", [f"{old(f)} ymm1={a} {memory_of(b, 0x101)}"])
            f.add(f"vpextr{letter} ${number},%xmm1,%ebx", [f"ymm1={a}"])
            f.add(f"vpextr{letter} ${number},%xmm1,1(%esi)", [f"ymm1={a}"])
    for op in ("vmaskmovps", "vmaskmovpd"):
        masked(f, op)
    f.add("vmaskmovdqu %xmm1,%xmm0", [f"ymm0={a} ymm1={v} m200={'ee' * 16}" for v in WIDE])
    f.add("vzeroupper", [f"ymm0={a} ymm7={b}"])
    f.add("vzeroall", [f"ymm0={a} ymm7={b}"])
    f.add("vldmxcsr 4(%esi)", ["m104=801f0000", "m104=c0ff0000"])
    f.add("vstmxcsr 4(%esi)", ["", "mxcsr=7fbf"])
    # What is above an xmm register is no business of SSE.
    for code in ("movaps %xmm1,%xmm0", "addps %xmm1,%xmm0", "paddd %xmm1,%xmm0", "pxor %xmm0,%xmm0", "movss %xmm1,%xmm0",
                 "movd %ecx,%xmm0", "movups (%esi),%xmm0", "cvtdq2ps %xmm1,%xmm0", "pshufd $27,%xmm1,%xmm0",
                 "movaps %xmm1,%xmm0; vaddps %ymm0,%ymm1,%ymm2", "vaddps %ymm0,%ymm1,%ymm2; movaps %xmm2,%xmm0; vmovaps %ymm0,%ymm3",
                 "vpxor %xmm0,%xmm0,%xmm0; movups (%esi),%xmm0; vmovups %ymm0,32(%esi)", "fxrstor 0x40(%esi)",
                 "mov $20,%eax; int $0x80; mov $1,%eax"):
        f.add(code, [f"ymm0={a} ymm1={b}"] if "fxrstor" not in code else [f"ymm0={a} m158=801f0000"])


def masked(f, op):
    """A masked move: registers, masks, and the end of the page, where masked-out elements do not fault."""
    masks = [WIDE[1], "f" * 64, "0" * 64, "80000000" + "0" * 56, "0" * 56 + "80000000"]
    for w, size in (("x", 16), ("y", 32)):
        f.add(f"{op} 1(%esi),%{w}mm1,%{w}mm0", [f"{old(f)} ymm1={m} {memory_of(WIDE[0], 0x101)}" for m in masks])
        f.add(f"{op} %{w}mm2,%{w}mm1,1(%esi)", [f"ymm1={m} ymm2={WIDE[0]} m101={'ee' * 32}" for m in masks])
        end = 0x1000 - size // 2
        f.add(f"{op} (%esi),%{w}mm1,%{w}mm0",
              [f"esi=20000{end:03x} {old(f)} ymm1={m}" for m in masks + ["0" * (64 - size) + "f" * size]])
        f.add(f"{op} %{w}mm2,%{w}mm1,(%esi)",
              [f"esi=20000{end:03x} ymm1={m} ymm2={WIDE[0]}" for m in masks + ["0" * (64 - size) + "f" * size]])


PACKED_INTEGER = """vpaddb vpaddw vpaddd vpaddq vpaddsb vpaddsw vpaddusb vpaddusw vpsubb vpsubw vpsubd vpsubq vpsubsb vpsubsw
vpsubusb vpsubusw vpmullw vpmulld vpmulhw vpmulhuw vpmulhrsw vpmuludq vpmuldq vpmaddwd vpmaddubsw vpsadbw vpavgb vpavgw vpand vpandn
vpor vpxor vpcmpeqb vpcmpeqw vpcmpeqd vpcmpeqq vpcmpgtb vpcmpgtw vpcmpgtd vpcmpgtq vpminub vpminuw vpminud vpminsb vpminsw vpminsd
vpmaxub vpmaxuw vpmaxud vpmaxsb vpmaxsw vpmaxsd vpacksswb vpackssdw vpackuswb vpackusdw vpunpcklbw vpunpcklwd vpunpckldq
vpunpcklqdq vpunpckhbw vpunpckhwd vpunpckhdq vpunpckhqdq vphaddw vphaddd vphaddsw vphsubw vphsubd vphsubsw vpsignb vpsignw vpsignd
vpshufb""".split()
SHIFTS = "vpsllw vpslld vpsllq vpsrlw vpsrld vpsrlq vpsraw vpsrad".split()
EXTENSIONS = "bw bd bq wd wq dq".split()


def packed(f, widths):
    values = integers(f)
    for op in PACKED_INTEGER:
        three(f, op, values, widths)
    for op in ("vpabsb", "vpabsw", "vpabsd"):
        two(f, op, values, widths)
    for w in widths:
        for op in SHIFTS:
            for count in (0, 5, 15, 31, 64, 255):
                f.add(f"{op} ${count},%{w}mm1,%{w}mm0", [f"{old(f)} ymm1={WIDE[1]}"])
            f.add(f"{op} %xmm2,%{w}mm1,%{w}mm0", [f"{old(f)} ymm1={WIDE[1]} ymm2={WIDE[0][:48]}{c:016x}" for c in (0, 3, 63, 1 << 33)])
            f.add(f"{op} 1(%esi),%{w}mm1,%{w}mm0", [f"{old(f)} ymm1={WIDE[1]} m101=0300000000000000"])
        for op in ("vpslldq", "vpsrldq"):
            for count in (0, 3, 15, 16):
                f.add(f"{op} ${count},%{w}mm1,%{w}mm0", [f"{old(f)} ymm1={WIDE[0]}"])
        f.add(f"vpmovmskb %{w}mm1,%ebp", [f"ymm1={v}" for v in WIDE])
        f.add(f"vmovntdqa (%esi),%{w}mm0", [f"{old(f)} {memory_of(WIDE[0])}"])
        f.add(f"vmovntdqa 8(%esi),%{w}mm0", [f"{old(f)}"])
        for kind in EXTENSIONS:
            for op in (f"vpmovsx{kind}", f"vpmovzx{kind}"):
                f.add(f"{op} %xmm2,%{w}mm0", [f"{old(f)} ymm2={v}" for v in WIDE[1:3]])
                f.add(f"{op} 1(%esi),%{w}mm0", [f"{old(f)} {memory_of(WIDE[1], 0x101)}"])
        f.add(f"vpblendvb %{w}mm7,%{w}mm2,%{w}mm1,%{w}mm0", [f"{old(f)} ymm1={WIDE[0]} ymm2={WIDE[3]} ymm7={WIDE[2]}"])
        f.add(f"vpblendvb %{w}mm7,1(%esi),%{w}mm1,%{w}mm0", [f"{old(f)} ymm1={WIDE[0]} ymm7={WIDE[1]}"])
    for immediate in (0x00, 0x1b, 0x93, 0xff):
        for op in ("vpshufd", "vpshufhw", "vpshuflw"):
            two(f, op, values[:1], widths, suffix=f"${immediate:#x},")
        for op in ("vpalignr", "vpblendw", "vmpsadbw"):
            three(f, op, values[:1], widths, suffix=f"${immediate & 0x1f:#x},")


def avx_integer(f):
    """AVX packed integers of 128 bits: arithmetic, comparison, packing, shifts, strings."""
    f.needs = "avx"
    packed(f, "x")
    two(f, "vphminposuw", integers(f), "x")
    for control in (0x00, 0x0d, 0x41, 0x7a):
        for op in ("vpcmpistri", "vpcmpistrm", "vpcmpestri", "vpcmpestrm"):
            for source in ("%xmm2", "(%esi)"):
                f.add(f"{op} ${control:#x},{source},%xmm1",
                      [f"{old(f)} eax=9 edx=7 ymm1={x} ymm2={y} {memory_of(y[32:])} flags=CPAZSO" for x, y in integers(f)])


def avx2(f):
    """AVX2: packed integers of 256 bits, broadcasts, permutations, variable shifts, masked moves."""
    f.needs = "avx2"
    packed(f, "y")
    values = integers(f)
    for op in "vpsllvd vpsllvq vpsrlvd vpsrlvq vpsravd".split():
        three(f, op, values + [(WIDE[1], "0000001f000000200000000100000000" * 2)])
    for w in "xy":
        for letter in "bwdq":
            f.add(f"vpbroadcast{letter} %xmm2,%{w}mm0", [f"{old(f)} ymm2={WIDE[0]}"])
            f.add(f"vpbroadcast{letter} 1(%esi),%{w}mm0", [f"{old(f)} {memory_of(WIDE[0], 0x101)}"])
        f.add(f"vbroadcastss %xmm2,%{w}mm0", [f"{old(f)} ymm2={WIDE[0]}"])
    f.add("vbroadcastsd %xmm2,%ymm0", [f"{old(f)} ymm2={WIDE[0]}"])
    f.add("vbroadcasti128 1(%esi),%ymm0", [f"{old(f)} {memory_of(WIDE[0], 0x101)}"])
    three(f, "vpermd", values, "y")
    three(f, "vpermps", values, "y")
    for immediate in (0x00, 0x1b, 0x4e, 0xff):
        two(f, "vpermq", values[:1], "y", suffix=f"${immediate:#x},")
        two(f, "vpermpd", values[:1], "y", suffix=f"${immediate:#x},")
        three(f, "vpblendd", values[:1], suffix=f"${immediate:#x},")
    for immediate in (0x00, 0x31, 0x23, 0x88):
        three(f, "vperm2i128", values[:1], "y", suffix=f"${immediate:#x},")
    for half in (0, 1):
        f.add(f"vinserti128 ${half},%xmm2,%ymm1,%ymm0", [f"{old(f)} ymm1={WIDE[0]} ymm2={WIDE[1]}"])
        f.add(f"vinserti128 ${half},1(%esi),%ymm1,%ymm0", [f"{old(f)} ymm1={WIDE[0]} {memory_of(WIDE[1], 0x101)}"])
        f.add(f"vextracti128 ${half},%ymm1,%xmm0", [f"{old(f)} ymm1={WIDE[0]}"])
        f.add(f"vextracti128 ${half},%ymm1,1(%esi)", [f"ymm1={WIDE[0]}"])
    for op in ("vpmaskmovd", "vpmaskmovq"):
        masked(f, op)


GATHERS = [("vgatherdps", "x", "x"), ("vgatherdps", "y", "y"), ("vpgatherdd", "x", "x"), ("vpgatherdd", "y", "y"),
           ("vgatherdpd", "x", "x"), ("vgatherdpd", "x", "y"), ("vpgatherdq", "x", "x"), ("vpgatherdq", "x", "y"),
           ("vgatherqps", "x", "x"), ("vgatherqps", "y", "x"), ("vpgatherqd", "x", "x"), ("vpgatherqd", "y", "x"),
           ("vgatherqpd", "x", "x"), ("vgatherqpd", "y", "y"), ("vpgatherqq", "x", "x"), ("vpgatherqq", "y", "y")]


def gather_indices(op, values):
    size = 8 if "q" in op[op.index("gather"):][6] else 4
    return "".join(f"{v & (1 << 8 * size) - 1:0{2 * size}x}" for v in reversed(values))[-64:].rjust(64, "0")


def avx2_gather(f):
    """Gathers: every index and element size, masks, negative indices, addresses that wrap at 4 GiB."""
    f.needs = "avx2"
    memory = "m080=" + bytes(range(256)).hex()
    for op, index, target in GATHERS:
        near = gather_indices(op, [3, -1, 5, 0, -7, 2, 8, 1])
        far = gather_indices(op, [0x7fffffff, 3, -0x80000000, 1, 0, 0, 1, 2])
        masks = ["f" * 64, WIDE[1], "0" * 64, "80000000" * 8]
        for address in (f"0x11(%esi,%{index}mm2,4)", f"(%esi,%{index}mm2,1)", f"%fs:0xc0(,%{index}mm2,8)"):
            f.add(f"{op} %{target}mm1,{address},%{target}mm0",
                  [f"{old(f)} ymm1={m} ymm2={near} {memory}" for m in masks])
        f.add(f"{op} %{target}mm1,0x24(%esi,%{index}mm2,2),%{target}mm0",
              [f"{old(f)} esi=20000102 ymm1={m} ymm2={far} {memory}" for m in ("0" * 64, "f" * 64 if "gatherd" not in op else "0" * 64)])


def avx2_gather_fault_host(f):
    """Gathers that fault in the middle: which elements were loaded before is each CPU's own."""
    f.needs = "avx2"
    for op, index, target in GATHERS:
        for bad in range(2):
            places = [0, 4, 8, 0xc, 0x10, 0x14, 0x18, 0x1c]
            places[bad] = 0x4000
            f.add(f"{op} %{target}mm1,(%esi,%{index}mm2,1),%{target}mm0",
                  [f"{old(f)} ymm1={'f' * 64} ymm2={gather_indices(op, places)} m100={bytes(range(64)).hex()}"])


def fma(f):
    """Fused multiplication and addition: every order and sign, packed and scalar, rounding modes."""
    f.needs = "fma"
    for order in ("132", "213", "231"):
        for op in ("vfmadd", "vfmsub", "vfnmadd", "vfnmsub", "vfmaddsub", "vfmsubadd"):
            for kind in ("ps", "pd", "ss", "sd"):
                if kind[0] == "s" and op in ("vfmaddsub", "vfmsubadd"):
                    continue
                for w in "x" if kind[0] == "s" else "xy":
                    values = pairs(f, "p" + kind[1], 4)
                    third = floats(f, "p" + kind[1], 2)
                    f.add(f"{op}{order}{kind} %{w}mm2,%{w}mm1,%{w}mm0",
                          [f"ymm0={third} ymm1={a} ymm2={b}{c}" for (a, b), c in zip(values, ROUNDINGS)])
                    f.add(f"{op}{order}{kind} 1(%esi),%{w}mm1,%{w}mm0",
                          [f"ymm0={third} ymm1={values[0][0]} {memory_of(values[0][1], 0x101)}"])


def f16c(f):
    """Half precision: vcvtph2ps and vcvtps2ph, all rounding modes."""
    f.needs = "f16c"
    halves = "0000800000013c00bc007bff7c00fc007e007d0103ff040083ff3555c900ffff"
    for w, narrow in (("x", "x"), ("y", "x")):
        f.add(f"vcvtph2ps %xmm2,%{w}mm0", [f"{old(f)} ymm2={halves}", f"{old(f)} ymm2={halves[32:] * 2} mxcsr=9fc0"])
        f.add(f"vcvtph2ps 1(%esi),%{w}mm0", [f"{old(f)} {memory_of(halves, 0x101)}"])
        for mode in range(5):
            f.add(f"vcvtps2ph ${mode},%{w}mm2,%xmm0", [f"{old(f)} ymm2={b}{c}" for (_, b), c in zip(pairs(f, "ps", 4), ROUNDINGS)])
            f.add(f"vcvtps2ph ${mode},%{w}mm2,1(%esi)", [f"ymm2={floats(f, 'ps', 3)}"])


def aes_vex(f):
    """AES and PCLMULQDQ in VEX forms of 128 bits."""
    f.needs = "avx aes pclmulqdq"
    values = integers(f)
    for op in "vaesenc vaesenclast vaesdec vaesdeclast".split():
        three(f, op, values, "x")
    two(f, "vaesimc", values, "x")
    two(f, "vaeskeygenassist", values, "x", suffix="$0x1b,")
    for immediate in (0x00, 0x01, 0x10, 0x11):
        three(f, "vpclmulqdq", values[:2], "x", suffix=f"${immediate},")


def vaes(f):
    """AES and PCLMULQDQ of 256 bits."""
    f.needs = "avx2 vaes vpclmulqdq"
    values = integers(f)
    for op in "vaesenc vaesenclast vaesdec vaesdeclast".split():
        three(f, op, values, "y")
    for immediate in (0x00, 0x01, 0x10, 0x11):
        three(f, "vpclmulqdq", values[:2], "y", suffix=f"${immediate},")


def gfni(f):
    """Galois fields: SSE and VEX forms."""
    f.needs = "avx gfni"
    values = integers(f)
    for op, suffix in (("gf2p8mulb", ""), ("gf2p8affineqb", "$0x63,"), ("gf2p8affineinvqb", "$0x1f,")):
        three(f, "v" + op, values, suffix=suffix)
        f.add(f"{op} {suffix}%xmm1,%xmm0", [f"ymm0={x} ymm1={y}" for x, y in values])
        f.add(f"{op} {suffix}(%esi),%xmm0", [f"ymm0={x} {memory_of(y[32:])}" for x, y in values[:1]])


def sse4a(f):
    """SSE4a: extrq, insertq, movntss, movntsd."""
    f.needs = "sse4a"
    a, b = WIDE[0][:32], WIDE[1][:32]
    for length, start in ((0, 0), (8, 4), (16, 48), (63, 1)):
        f.add(f"extrq ${start},${length},%xmm0", [f"xmm0={a}"])
        f.add(f"insertq ${start},${length},%xmm1,%xmm0", [f"xmm0={a} xmm1={b}"])
        f.add("extrq %xmm1,%xmm0", [f"xmm0={a} xmm1={b[:28]}{start:02x}{length:02x}"])
        f.add("insertq %xmm1,%xmm0", [f"xmm0={a} xmm1={b[:12]}{start:02x}{length:02x}{b[16:]}"])
    f.add("movntss %xmm1,1(%esi)", [f"xmm1={a}"])
    f.add("movntsd %xmm1,1(%esi)", [f"xmm1={a}"])


def xsave_image(components, compact=0, mxcsr=0x1f80, reserved=0):
    """An image at 20000140 as xrstor wants it, with something in every component."""
    legacy = bytearray(512)
    legacy[0:5] = bytes.fromhex("7f02003840")  # fcw, fsw, tags: three values on the stack
    legacy[24:28] = mxcsr.to_bytes(4, "little")
    for i in range(8):
        legacy[32 + 16 * i:42 + 16 * i] = bytes([i + 1] * 8) + (0x3fff + i).to_bytes(2, "little")
        legacy[160 + 16 * i:176 + 16 * i] = bytes(range(16 * i, 16 * i + 16))
    header = b"".join(v.to_bytes(8, "little") for v in (components, compact, reserved, 0, 0, 0, 0, 0))
    return "m140=" + (bytes(legacy) + header + bytes(range(128, 256))).hex()


def xsave_host(f):
    """xsave, xsaveopt, xsavec, xrstor, xgetbv: the mask of MXCSR is each CPU's own. Whether registers that hold zeros are in
    use is, too: that is not looked at."""
    f.needs = "avx xsave xsaveopt xsavec xgetbv1"
    full = f"st0=4000c90fdaa22168c235 ymm0={WIDE[2]} ymm1={WIDE[0]} mxcsr=1fa0"
    states = ["", f"ymm3={WIDE[0]}", f"ymm3={WIDE[0][:32]}{'0' * 32}", f"xmm4={WIDE[1][:32]}", "mxcsr=3f80",
              "st0=3fff8000000000000000", full, "m140=" + "ee" * 832]
    for op in ("xsave", "xsaveopt", "xsavec"):
        for mask in (7, 1, 2, 4, 6, 0):
            f.add(f"mov ${mask},%eax; xor %edx,%edx; {op} 0x40(%esi); orl $7,0x240(%esi)",
                  states if op == "xsave" else [full, full + " m140=" + "ee" * 832])
        f.add(f"mov $7,%eax; cltd; {op} 0x50(%esi)", [""])
        f.add(f"mov $7,%eax; cltd; {op} 0x40(%esi)", ["esi=20000d80", "esi=20000dc0", "esi=30000000"])
    for mask in (7, 1, 2, 4, 3, 0):
        f.add(f"mov ${mask},%eax; cltd; xrstor 0x40(%esi)",
              [f"ymm5={WIDE[1]} st0=3fff8000000000000000 mxcsr=7f80 {xsave_image(c, k)}"
               for c, k in ((7, 0), (1, 0), (2, 0), (4, 0), (0, 0), (7, 1 << 63 | 7), (2, 1 << 63 | 7), (4, 1 << 63 | 6))])
    f.add("mov $7,%eax; cltd; xrstor 0x40(%esi)",
          [xsave_image(7, mxcsr=0x80001f80), xsave_image(0, mxcsr=0x80001f80), xsave_image(7 | 1 << 62), xsave_image(7, 7),
           xsave_image(7, 0, reserved=1), xsave_image(7, 1 << 63 | 3), xsave_image(7, 1 << 63 | 7, reserved=1),
           "esi=20000108", "esi=20000d80", "esi=20000dc0", "esi=30000000"])
    f.add("mov $7,%eax; cltd; xrstor 0x40(%esi); xsavec 0x480(%esi); orl $7,0x680(%esi)", [xsave_image(7)])
    f.add("xor %ecx,%ecx; xgetbv; and $7,%eax", [""])
    f.add("mov $1,%ecx; xgetbv; and $6,%eax", [f"ymm0={WIDE[0]}"])
    f.add("mov $2,%ecx; xgetbv", [""])


def recent(f):
    """What has no place elsewhere: cache lines, processor numbers, bounds and shadow stacks that are not there."""
    f.needs = "clflushopt clwb clzero rdtscp rdpid rdrand rdseed"
    for code in ("clflushopt 3(%esi)", "clwb 3(%esi)", "clflush 3(%esi)", "clflush %fs:3", ".byte 0x0f,0x1c,0x06 # cldemote (%esi)",
                 "prefetch (%esi)", "prefetchw (%esi)", "prefetchwt1 (%esi)", "endbr32", "endbr64", "rdsspd %eax"):
        f.add(code, ["flags=CPAZSO"])
    for code in ("clflushopt 0x2000(%esi)", "clwb 0x2000(%esi)", "clflush 0x2000(%esi)", "prefetchw 0x2000(%esi)"):
        f.add(code, [""])
    f.add("clzero", ["eax=20000155 m140=" + "ee" * 128, "eax=20001000"])
    for code in ("rdtscp; mov $1,%eax; cltd; mov $2,%ecx", "rdpid %ebx; sub %ebx,%ebx", "rdrand %ecx; mov $1,%ecx",
                 "rdrand %cx; mov $1,%ecx", "rdseed %bp; mov $1,%ebp; clc", "rdseed %esi; mov $1,%esi; clc"):
        f.add(code, ["flags=PAZSO"])
    for code in ("bndmk (%esi),%bnd0", "bndcl (%eax),%bnd1", "bndmov %bnd0,%bnd1", "bndldx (%eax),%bnd0", "bndstx %bnd0,(%eax)"):
        f.add(code, ["eax=30000000"])
    for code in ("invpcid (%esi),%eax", "xsaves (%esi)", "xrstors (%esi)", "vmrun", "clgi", "invlpga", "monitor", "swapgs", "incsspd %eax"):
        if code != "swapgs":
            f.add(code, [""])


FILES = [avx_arithmetic, avx_approximate_host, avx_move, avx_integer, avx2, avx2_gather, avx2_gather_fault_host, fma, f16c, aes_vex,
         vaes, gfni, sse4a, xsave_host, recent]
