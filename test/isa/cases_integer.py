"""Cases for the general-purpose instructions (SDM vol. 1, chapter 5.1), file by file.

What the SDM leaves undefined is named where the instruction is added: flags by vol. 1, appendix A.
"""
WIDTHS = {"b": 8, "w": 16, "l": 32}
ACC = {"b": "%al", "w": "%ax", "l": "%eax"}
CX = {"b": "%cl", "w": "%cx", "l": "%ecx"}
DX = {"b": "%dl", "w": "%dx", "l": "%edx"}
CONDITIONS = "o no b ae e ne be a s ns p np l ge le g".split()
ALL_FLAGS = "CPAZSO"

#: Operand pairs (destination, source) that visit carries, borrows, overflows and sign changes.
PAIRS = {
    8: [(0, 0), (0x7f, 1), (0x80, 0xff), (0xff, 1), (0x0f, 1), (0x10, 0x0f), (0x80, 0x80), (0x12, 0x34)],
    16: [(0, 0), (0x7fff, 1), (0x8000, 0xffff), (0xffff, 1), (0xff, 1), (0x1234, 0xedcc), (0x8000, 0x8000)],
    32: [(0, 0), (0x7fffffff, 1), (0x80000000, 0xffffffff), (0xffffffff, 1), (0xffff, 1),
         (0x12345678, 0xedcba988), (0x80000000, 0x80000000), (0x01020304, 0xff)],
}
FLAG_STATES = ["", " flags=CPAZSO"]


def memory(offset, value, bits):
    """Setting for a value in scratch memory: bytes in address order."""
    return f"m{offset:03x}={(value & ((1 << bits) - 1)).to_bytes(bits // 8, 'little').hex()}"


def merge(register, value, bits):
    """A full 32-bit register whose low part is `value`: the rest must stay as it is."""
    return f"{register}={(0xa5a5a5a5 & ~((1 << bits) - 1)) | value:x}"


def alu(f):
    """add or adc sbb and sub xor cmp test: every width and operand form."""
    for op in "add or adc sbb and sub xor cmp test".split():
        undefined = "A" if op in ("or", "and", "xor", "test") else ""
        for suffix, bits in WIDTHS.items():
            pairs = PAIRS[bits]
            mask = (1 << bits) - 1
            registers = [merge("eax", a, bits) + " " + merge("ecx", b, bits) + flags
                         for a, b in pairs for flags in FLAG_STATES]
            to_memory = [memory(0x108, a, bits) + " " + merge("ecx", b, bits) + flags
                         for a, b in pairs[1:6] for flags in FLAG_STATES]
            from_memory = [memory(0x108, b, bits) + " " + merge("eax", a, bits) + flags
                           for a, b in pairs[1:6] for flags in FLAG_STATES]
            f.add(f"{op}{suffix} {CX[suffix]},{ACC[suffix]}", registers, undefined)
            f.add(f"{op}{suffix} {CX[suffix]},8(%esi)", to_memory, undefined)
            if op != "test":
                f.add(f"{{load}} {op}{suffix} {CX[suffix]},{ACC[suffix]}", registers[4:8], undefined)
                f.add(f"{op}{suffix} 8(%esi),{ACC[suffix]}", from_memory, undefined)
            for immediate in (1, 0x7f, -1 & mask, 0x80, mask >> 1):
                f.add(f"{op}{suffix} ${immediate:#x},{ACC[suffix]}",
                      [merge("eax", a, bits) + flags for a, _ in pairs[:4] for flags in FLAG_STATES], undefined)
                f.add(f"{op}{suffix} ${immediate:#x},{DX[suffix]}",
                      [merge("edx", a, bits) for a, _ in pairs[1:4]], undefined)
                f.add(f"{op}{suffix} ${immediate:#x},8(%esi)",
                      [memory(0x108, a, bits) + " flags=C" for a, _ in pairs[1:4]], undefined)
        f.add(f"{op}b %ah,%dl", ["eax=807f edx=80", "eax=ff00 edx=1 flags=C"], undefined)
        f.add(f"{op}b %bl,%ch", ["ecx=a5a57fa5 ebx=1", "ecx=a5a580a5 ebx=ff flags=C"], undefined)
        f.add(f"{op}l %eax,%eax", ["eax=0", "eax=80000000 flags=C", "eax=ffffffff flags=CPAZSO"], undefined)


def unary(f):
    """inc dec neg not: every width, registers and memory."""
    for op in "inc dec neg not".split():
        for suffix, bits in WIDTHS.items():
            top, mask = 1 << (bits - 1), (1 << bits) - 1
            values = [0, 1, 0x0f, 0x10, 0x7f, 0x80, top - 1, top, mask]
            f.add(f"{op}{suffix} {ACC[suffix]}", [merge("eax", v, bits) + fl for v in values for fl in FLAG_STATES])
            f.add(f"{op}{suffix} 8(%esi)", [memory(0x108, v, bits) + fl for v in values for fl in FLAG_STATES])
        f.add(f"{op}b %bh", ["ebx=ff00", "ebx=7f00 flags=C", "ebx=8000"])
    for register in "ecx edx ebx ebp esi edi esp".split():
        f.add(f"inc %{register}", [f"{register}=20000bff flags=C"])
        f.add(f"dec %{register}", [f"{register}=20000c00 flags=C"])


def shifts(f):
    """rol ror rcl rcr shl shr sar shld shrd. OF is undefined unless the count is 1, AF unless it is 0 for
    the shifts, CF where the count reaches the width of shl and shr."""
    counts = [0, 1, 2, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 0x81]
    for op in "rol ror rcl rcr shl shr sar".split():
        shift = op[0] == "s"

        def undefined(count, bits, op=op, shift=shift):
            count &= 31
            flags = "" if count in (0, 1) else "O"
            if shift and count:
                flags += "A"
            if op in ("shl", "shr") and count >= bits:
                flags += "C"
            return flags

        for suffix, bits in WIDTHS.items():
            top, mask = 1 << (bits - 1), (1 << bits) - 1
            values = [1, top, mask, 0x5a & mask if bits == 8 else 0xa55a & mask if bits == 16 else 0x8001a55a]
            f.add(f"{op}{suffix} %cl,{ACC[suffix]}",
                  [(merge("eax", v, bits) + f" ecx={c:x}" + FLAG_STATES[(i + j) & 1], undefined(c, bits))
                   for i, c in enumerate(counts) for j, v in enumerate(values)])
            f.add(f"{op}{suffix} %cl,8(%esi)",
                  [(memory(0x108, values[3], bits) + f" ecx={c:x} flags=C", undefined(c, bits)) for c in counts])
            f.add(f"{op}{suffix} ${1},{ACC[suffix]}", [merge("eax", v, bits) + fl for v in values + [0, top - 1]
                                                       for fl in FLAG_STATES], "A" if shift else "")
            f.add(f"{op}{suffix} ${1},8(%esi)", [memory(0x108, v, bits) + " flags=C" for v in values],
                  "A" if shift else "")
            for count in (0, 1, 3, bits - 1, bits, 31, 33):
                f.add(f".byte {'0xc0' if bits == 8 else '0x66,0xc1' if bits == 16 else '0xc1'}, "
                      f"{0xc2 | 'rol ror rcl rcr shl shr ? sar'.split().index(op) << 3:#x}, {count} "
                      f"# {op}{suffix} ${count},{DX[suffix]}",
                      [(merge("edx", values[3], bits) + fl, undefined(count, bits)) for fl in FLAG_STATES])
    f.add(".byte 0xc1,0xf1,4 # shl $4,%ecx (/6)", ["ecx=f8001234"], "AO")
    for op in "shld shrd".split():
        for suffix, bits in (("w", 16), ("l", 32)):
            values = [0x8001 if bits == 16 else 0x80000001, 0x1234 if bits == 16 else 0x12345678]

            def undefined(count):
                return "" if count == 0 else "A" if count == 1 else "AO"

            for count in (0, 1, 5, 8, 15) + ((16, 31) if bits == 32 else ()):
                f.add(f"{op}{suffix} ${count},{DX[suffix]},{ACC[suffix]}",
                      [(merge("eax", v, bits) + " edx=87654321" + fl, undefined(count))
                       for v in values for fl in FLAG_STATES])
            f.add(f"{op}{suffix} %cl,{DX[suffix]},{ACC[suffix]}",
                  [(merge("eax", v, bits) + f" edx=87654321 ecx={c:x}", undefined(c & 31))
                   for v in values for c in (0, 1, 7, 15, 32, 33)])
            f.add(f"{op}{suffix} %cl,{DX[suffix]},8(%esi)",
                  [(memory(0x108, v, bits) + f" edx=87654321 ecx={c:x}", undefined(c & 31))
                   for v in values for c in (0, 1, 7, 15, 32, 33)])


def multiply(f):
    """mul imul div idiv, with divide errors. mul and imul leave PF AF ZF SF undefined, div and idiv all
    flags."""
    for op in "mul imul".split():
        for suffix, bits in WIDTHS.items():
            top, mask = 1 << (bits - 1), (1 << bits) - 1
            pairs = [(0, 5), (3, 5), (mask, mask), (mask, 2), (top, top), (top, 2), (top - 1, 2), (0x5a, 0x33),
                     (1 << (bits // 2), 1 << (bits // 2)), (1, mask)]
            f.add(f"{op}{suffix} {CX[suffix]}", [merge("eax", a, bits) + " " + merge("ecx", b, bits) + fl
                                                 for a, b in pairs for fl in FLAG_STATES], "PAZS")
            f.add(f"{op}{suffix} 8(%esi)", [merge("eax", a, bits) + " " + memory(0x108, b, bits)
                                            for a, b in pairs], "PAZS")
            if op == "imul" and bits > 8:
                f.add(f"imul{suffix} {CX[suffix]},{DX[suffix]}",
                      [merge("edx", a, bits) + " " + merge("ecx", b, bits) for a, b in pairs], "PAZS")
                f.add(f"imul{suffix} 8(%esi),{DX[suffix]}",
                      [merge("edx", a, bits) + " " + memory(0x108, b, bits) for a, b in pairs], "PAZS")
                for immediate in (2, 0x7f, -128, 0x1234, -0x8000 if bits == 16 else -0x80000000):
                    f.add(f"imul{suffix} ${immediate},{CX[suffix]},{DX[suffix]}",
                          [merge("ecx", a, bits) for a, _ in pairs[1:6]], "PAZS")
                    f.add(f"imul{suffix} ${immediate},8(%esi),{DX[suffix]}",
                          [memory(0x108, a, bits) for a, _ in pairs[1:3]], "PAZS")
    for op in "div idiv".split():
        for suffix, bits in WIDTHS.items():
            top, mask = 1 << (bits - 1), (1 << bits) - 1
            # (high half, low half, divisor)
            triples = [(0, 100, 7), (0, 0, 1), (0, mask, 1), (0, mask, mask), (1, 0, 2), (1, 0, 1), (0, 5, 0),
                       (mask, mask, 1), (mask, mask - 99, 7), (mask, top, mask), (mask, top, 1), (0, top, mask),
                       (mask, 0, 2), (top >> 1, 0, top), (top - 1, mask, mask), (5, 6, 7), (mask - 1, mask, mask)]
            states = []
            for high, low, divisor in triples:
                if bits == 8:
                    accumulator = f"eax={0xa5a50000 | high << 8 | low:x}"
                else:
                    accumulator = merge("eax", low, bits) + " " + merge("edx", high, bits)
                states.append((accumulator, divisor))
            f.add(f"{op}{suffix} {CX[suffix]}", [s + " " + merge("ecx", d, bits) for s, d in states], ALL_FLAGS)
            f.add(f"{op}{suffix} 8(%esi)", [s + " " + memory(0x108, d, bits) for s, d in states], ALL_FLAGS)


def bits(f):
    """bt bts btr btc bsf bsr bswap. bt… leave PF AF SF OF undefined, bsf and bsr all flags but ZF."""
    for op in "bt bts btr btc".split():
        for suffix, width in (("w", 16), ("l", 32)):
            f.add(f"{op}{suffix} {CX[suffix]},{ACC[suffix]}",
                  [f"eax=8001a55a ecx={n:x}" + fl for n in (0, 1, 15, 16, 31, 32, 0x8000001f)
                   for fl in FLAG_STATES], "PASO")
            # In memory the bit offset is signed and reaches beyond the operand.
            f.add(f"{op}{suffix} {CX[suffix]},8(%esi)",
                  [f"m100=0102030405060708a5a5a5a55a5a5a5a ecx={merge('', n & ((1 << width) - 1), width)[1:]}"
                   for n in (0, 1, 15, 31, 32, 63, -1, -32, -64)], "PASO")
            for number in (0, 7, 15, 31, 33):
                f.add(f"{op}{suffix} ${number},{DX[suffix]}", ["edx=8001a55a", "edx=7ffe5aa5 flags=CPAZSO"], "PASO")
                f.add(f"{op}{suffix} ${number},8(%esi)", ["m108=5aa50180", "m108=a55afe7f flags=CPAZSO"], "PASO")
    for op in "bsf bsr".split():
        for suffix, width in (("w", 16), ("l", 32)):
            values = [0, 1, 1 << (width - 1), 0x18, (1 << width) - 1]
            f.add(f"{op}{suffix} {CX[suffix]},{ACC[suffix]}",
                  [merge("ecx", v, width) + " eax=12345678" + fl for v in values for fl in FLAG_STATES], "CPASO")
            f.add(f"{op}{suffix} 8(%esi),{ACC[suffix]}",
                  [memory(0x108, v, width) + " eax=12345678" for v in values], "CPASO")
    for register in "eax ecx edx ebx ebp esi edi".split():
        f.add(f"bswap %{register}", [f"{register}=12345678"])


def decimal(f):
    """aaa aas aad aam daa das. What is undefined: aaa aas PF ZF SF OF; daa das OF; aad aam CF AF OF."""
    values = [0x00, 0x09, 0x0a, 0x0f, 0x10, 0x19, 0x9a, 0x99, 0xa0, 0xf9, 0xff, 0x66]
    for op in "daa das".split():
        f.add(op, [f"eax={0x1234ab00 | v:x}" + fl for v in values for fl in ("", " flags=C", " flags=A", " flags=CA")],
              "O")
    for op in "aaa aas".split():
        f.add(op, [f"eax={0x12340000 | high << 8 | v:x}" + fl for v in values for high in (0, 0xff)
                   for fl in ("", " flags=A")], "PZSO")
    for base in (10, 16, 7, 0xff):
        f.add(f"aam ${base}", [f"eax={0x1234ab00 | v:x}" for v in values], "CAO")
        f.add(f"aad ${base}", [f"eax={0x12340000 | high << 8 | v:x}" for v in values[::2] for high in (0, 3, 0x80)],
              "CAO")
    f.add("aam $0", ["eax=1234"], ALL_FLAGS)


def moves(f):
    """mov movzx movsx lea xchg cbw cwde cwd cdq xlat, segment registers, high bytes."""
    for suffix, width in WIDTHS.items():
        f.add(f"mov{suffix} {CX[suffix]},{ACC[suffix]}", ["ecx=89abcdef", "ecx=89abcdef flags=CPAZSO"])
        f.add(f"mov{suffix} {CX[suffix]},8(%esi)", ["ecx=89abcdef m104=ffffffffffffffffffffffff"])
        f.add(f"mov{suffix} 8(%esi),{DX[suffix]}", ["m108=89abcdef"])
        f.add(f"mov{suffix} $0x7b,{DX[suffix]}", [""])
        f.add(f"mov{suffix} $0x7b,8(%esi)", ["m104=ffffffffffffffffffffffff"])
        f.add(f"mov{suffix} {0x20000104:#x},{ACC[suffix]}", ["m104=89abcdef"])
        f.add(f"mov{suffix} {ACC[suffix]},{0x20000104:#x}", ["m100=ffffffffffffffffffffffff"])
        f.add(f"xchg{suffix} {CX[suffix]},{DX[suffix]}", ["ecx=11223344 edx=55667788"])
        f.add(f"xchg{suffix} {CX[suffix]},8(%esi)", ["ecx=11223344 m104=55667788aabbccddeeff0011"])
    f.add("mov %ah,%bl", [""])
    f.add("mov %dl,%ch", [""])
    f.add("mov %bh,8(%esi)", [""])
    f.add("mov 8(%esi),%ah", ["m108=89"])
    f.add("xchg %ah,%al", [""])
    f.add("xchg %eax,%esp", [""])
    for source in "b w".split():
        for op in "movz movs".split():
            for target, register in (("w", "%dx"), ("l", "%edx")):
                if source == "w" and target == "w":
                    continue
                f.add(f"{op}{source}{target} {CX[source]},{register}", ["ecx=1234ff80", "ecx=89ab7f7f", "ecx=80000"])
                f.add(f"{op}{source}{target} 8(%esi),{register}", ["m108=80ffffff", "m108=7f7f0000", "m108=00800000"])
    f.add("movzbl %ah,%eax", [""])
    f.add("movsbl %ch,%ecx", ["ecx=8000"])
    for op in ("cbtw", "cwtl", "cwtd", "cltd"):
        f.add(op, ["eax=80", "eax=7f", "eax=8000", "eax=80000000", "eax=7fffffff flags=CPAZSO"])
    f.add("xlat", ["ebx=20000100 eax=11111105 m100=00102030405060", "ebx=20000080 eax=80 m100=77"])
    f.add("mov %fs:8,%eax", ["m008=01020304"])
    f.add("mov %gs:8,%eax", ["m808=01020304"])
    f.add("mov %gs:(%ecx),%eax", ["ecx=fffffff8 m7f8=05060708"])
    f.add("mov %eax,%fs:(%ecx,%edx,2)", ["ecx=10 edx=20 eax=1"])
    f.add("mov %ds,%eax; mov %es,%ecx; sub %ecx,%eax; mov $0,%ecx", [""], "CPAZSO")
    f.add("push %ds; push %ds; pop %es; pop %ds; mov (%esi),%eax; mov $0,%ecx; xor %edx,%edx; mov %edx,-4(%esp); "
          "mov %edx,-8(%esp)", ["m100=11"], "CPAZSO")
    f.add("push %fs; pop %gs; mov %gs:0x10,%eax; movl $0,-4(%esp)", ["m010=12345678"])
    f.add("mov %gs,%eax; mov %eax,%fs; mov %fs:0x10,%edx; xor %eax,%eax", ["m810=12345678"], "A")
    f.add("mov $0,%eax; mov %eax,%fs", [""])


def addresses(f):
    """Address forms: every base, index and scale, displacements, 16-bit addresses, wrap-around."""
    base_value = {"eax": 0x20000140, "ecx": 0x20000150, "edx": 0x20000160, "ebx": 0x20000170, "esp": 0x20000180,
                  "ebp": 0x20000190, "esi": 0x200001a0, "edi": 0x200001b0}
    everything = " ".join(f"{r}={v:x}" for r, v in base_value.items())
    content = "m100=" + bytes(range(256)).hex()
    for base in base_value:
        for displacement in ("", "0x10", "-0x20"):
            f.add(f"mov {displacement}(%{base}),%eax", [f"{everything} {content}"])
        f.add(f"mov 0x{0x20000108 - base_value[base] & 0xffffffff:x}(%{base}),%edx", [f"{everything} {content}"])
        f.add(f"lea 0x12345(%{base}),%ecx", [everything])
    for index in base_value:
        if index == "esp":
            continue
        for scale in (1, 2, 4, 8):
            small = everything.replace(f"{index}={base_value[index]:x}", f"{index}=6")
            base = "esi" if index != "esi" else "esp"
            f.add(f"movl $0x55667788,4(%{base},%{index},{scale})", [small])
            f.add(f"lea -4(,%{index},{scale}),%edx", [small])
            f.add(f"lea (%{base},%{index},{scale}),%ax", [everything])
    # Encodings whose length hangs together: registers that are bytes, short immediates behind short addresses.
    for register in "al cl dl bl ah ch dh bh".split():
        for base in ("ecx", "ebx", "esi"):
            f.add(f"mov %{register},0x20(%{base})", [everything])
            f.add(f"add 0x20(%{base}),%{register}", [f"{everything} {content}"])
    for base in ("edx", "esp", "edi"):
        for immediate in ("0x7f", "0x12345"):
            f.add(f"addl ${immediate},8(%{base})", [f"{everything} {content}"])
            f.add(f"imul ${immediate},0x100(%{base}),%ecx", [f"{everything} {content}"], "PAZS")
    f.add("mov 0x10(%eax,%ecx,8),%edx", ["eax=80000000 ecx=f4000000 m000=11", "eax=fffffff0 ecx=4000020 m100=11223344",
                                           "eax=1ffffff8 ecx=1 m010=778899aa"])
    f.add("mov %fs:(%ecx),%edx", ["ecx=e0000100", "ecx=100 m100=01020304"])
    for form, state in (("(%bx,%si)", "ebx=ffff0080 esi=aaaa0090"), ("(%bx,%di)", "ebx=80 edi=98"),
                        ("(%bp,%si)", "ebp=80 esi=94"), ("(%bp,%di)", "ebp=80 edi=84"), ("(%si)", "esi=12340108"),
                        ("(%di)", "edi=110"), ("(%bx)", "ebx=118"), ("0x10(%bp)", "ebp=100"), ("0x104", ""),
                        ("-8(%bx,%si)", "ebx=8000 esi=8110"), ("0x7000(%bp,%di)", "ebp=9000 edi=128"),
                        ("0x1234(%si)", "esi=eed0")):
        f.add(f"addr16 mov %fs:{form},%eax", [f"{state} {content}"])
        f.add(f"addr16 mov %eax,%fs:{form}", [f"{state}"])
    f.add("addr16 lea 0x10(%bx,%si),%eax", ["ebx=fff8 esi=10"])
    f.add("addr16 lea -1(%bp),%dx", ["ebp=0"])


def stack(f):
    """push pop pusha popa pushf popf enter leave call ret, and what they do to ESP itself."""
    for register in "eax ecx edx ebx esp ebp esi edi".split():
        f.add(f"push %{register}", [""])
        f.add(f"pop %{register}", ["mc00=1122334420000800"])
        f.add(f"push %{register[1:]}", [""])
        f.add(f"pop %{register[1:]}", ["mc00=11223344"])
    f.add("push $0x12345678", [""])
    f.add("push $-2", [""])
    f.add("pushw $-2", [""])
    f.add("pushw $0x1234", [""])
    f.add("pushl 8(%esi)", ["m108=11223344"])
    f.add("pushw 8(%esi)", ["m108=11223344"])
    f.add("pushl 4(%esp)", ["mc00=1122334455667788"])
    f.add("popl 8(%esi)", ["mc00=11223344"])
    f.add("popw 8(%esi)", ["mc00=11223344"])
    f.add("popl 4(%esp)", ["mc00=11223344"])
    f.add("popl (%esp)", ["mc00=11223344"])
    f.add("pusha", [""])
    f.add("pushaw", [""])
    f.add("popa", ["mc00=" + bytes(range(32)).hex()])
    f.add("popaw", ["mc00=" + bytes(range(16)).hex()])
    # IF and the fixed bit are in the image; ID may be flipped by a program.
    f.add("pushf", [f"flags={flags}" for flags in ("C", "CPAZSO", "D", "ZO")])
    f.add("pushfw", [f"flags={flags}" for flags in ("C", "CPAZSO", "D")])
    f.add("popf", [memory(0xc00, v, 32) + fl for v in (0x202, 0xed7, 0x8d5, 0x2, 0xffc08a2a & 0xcd7)
                   for fl in FLAG_STATES])
    f.add("popfw", [memory(0xc00, v, 32) for v in (0x202, 0xcd7, 0xffff0002)])
    f.add("popf; pushf", [memory(0xc00, v, 32) for v in (0x200000, 0x3202, 0x4202, 0x1ad6fe & ~0x4ff28)])
    f.add("lahf", [f"eax=11111111 flags={flags}" for flags in ("C", "P", "A", "Z", "S", "CPAZSO")])
    f.add("sahf", [f"eax={v << 8:x}" + fl for v in (0, 1, 4, 0x10, 0x40, 0x80, 0xff, 0x2a) for fl in FLAG_STATES])
    for op in "clc stc cmc cld std".split():
        f.add(op, ["", "flags=CPAZSO", "flags=D"])
    for size, level in ((0, 0), (0x20, 0), (0x10, 1), (0x10, 2), (0x10, 3), (8, 31), (4, 33)):
        f.add(f"enter ${size},${level}",
              ["ebp=20000a00 m900=" + bytes(range(1, 1 + 128)).hex() + " m980=" + bytes(range(128, 256)).hex()])
    f.add("enterw $0x10,$1", ["ebp=20000a00"])
    f.add("leave", ["ebp=20000a00 ma00=1122334455667788"])
    f.add("leavew", ["ebp=20000a00 ma00=1122334455667788"])
    # Return addresses depend on where the code lies: nothing of them may be left behind.
    f.add("call 1f; 1: pop %eax; call 2f; 2: pop %ecx; sub %ecx,%eax; mov %eax,-4(%esp); mov $0,%ecx", [""])
    f.add("call 1f; jmp 2f; 1: mov $5,%edx; movl $7,4(%esp); ret; 2: movl $0,-4(%esp)", [""])
    f.add("push $1; push $2; push $3; call 1f; jmp 2f; 1: ret $8; 2: pop %eax; movl $0,-12(%esp); movl $0,-16(%esp)",
          [""])
    f.add("call 1f; 1: pop %eax; add $2f-1b,%eax; call *%eax; jmp 3f; 2: inc %edx; ret; 3: movl $0,-4(%esp); xor %eax,%eax",
          [""], "A")
    f.add("call 1f; 1: pop %eax; add $2f-1b,%eax; mov %eax,8(%esi); jmp *8(%esi); inc %edx; 2: inc %edx; "
          "movl $0,8(%esi); movl $0,-4(%esp); xor %eax,%eax", [""], "A")
    f.add("call 1f; 1: pop %eax; add $2f-1b,%eax; push %eax; ret; inc %edx; 2: dec %edx; movl $0,-4(%esp); xor %eax,%eax",
          [""], "A")


def conditions(f):
    """jcc setcc cmovcc on all flag states that matter, loops and jecxz."""
    states = ["", "flags=C", "flags=P", "flags=Z", "flags=S", "flags=O", "flags=SO", "flags=CZ", "flags=ZO",
              "flags=CPAZSO"]
    for condition in CONDITIONS:
        f.add(f"j{condition} 1f; inc %ecx; 1:", states, "CPAZSO")
        f.add(f"set{condition} %dl", states)
        f.add(f"set{condition} %ah", states[::3])
        f.add(f"set{condition} 8(%esi)", [f"{s} m108=ffff".strip() for s in states[::2]])
        f.add(f"cmov{condition} %ecx,%eax", states)
        f.add(f"cmov{condition} %cx,%ax", states[::2])
        f.add(f"cmov{condition} 8(%esi),%eax", [f"{s} m108=11223344".strip() for s in states[::2]])
        # A load that is not taken still faults.
        f.add(f"cmov{condition} 0x1000,%eax", states[:2])
        opcode = 0x80 + CONDITIONS.index(condition)
        f.add(f".byte 0x0f,{opcode:#x},1,0,0,0; inc %ecx # j{condition} near", states[1::4], "CPAZSO")
    for op in "loop loope loopne".split():
        f.add(f"{op} 1f; inc %edx; 1:", ["ecx=0", "ecx=1 flags=Z", "ecx=2", "ecx=2 flags=Z", "ecx=1"], "PAZSO")
        f.add(f"addr16 {op} 1f; inc %edx; 1:", ["ecx=10000", "ecx=10001 flags=Z", "ecx=2 flags=Z"], "PAZSO")
    f.add("jecxz 1f; inc %edx; 1:", ["ecx=0", "ecx=1", "ecx=10000"], "PAZSO")
    f.add("addr16 jecxz 1f; inc %edx; 1:", ["ecx=0", "ecx=1", "ecx=10000"], "PAZSO")
    f.add("jmp 1f; .fill 200,1,0xf4; 1: inc %edx", [""])
    f.add("1: add %ecx,%eax; loop 1b", ["eax=0 ecx=5"])
    f.add("1: add %ecx,%eax; dec %ecx; jnz 1b", ["eax=0 ecx=5", "eax=ffffffff ecx=100"])


def fused(f):
    """Pairs that a translator may fuse: what sets flags, then what reads them. Then longer sequences, in
    which flags live across instructions that leave some of them alone."""
    values = [(0, 0), (1, 0x80000000), (0x80000000, 1), (5, 5), (0xffffffff, 1), (0x7fffffff, 0xffffffff)]
    states = [f"eax={a:x} ecx={b:x}" for a, b in values]
    for setter, undefined in (("cmp %ecx,%eax", ""), ("test %ecx,%eax", "A"), ("sub %ecx,%eax", ""),
                              ("add %ecx,%eax", ""), ("and %ecx,%eax", "A"), ("dec %eax", ""), ("cmp %cl,%al", ""),
                              ("cmp %cx,%ax", ""), ("shl $1,%eax", "A"), ("neg %eax", ""), ("cmp $5,%eax", ""),
                              ("bt $0,%eax", "PASO")):
        for condition in CONDITIONS:
            if setter.startswith("bt") and condition not in ("b", "ae"):
                continue
            f.add(f"{setter}; j{condition} 1f; mov $1,%edx; 1:", states, undefined)
            f.add(f"{setter}; set{condition} %dl", states[::2], undefined)
            f.add(f"{setter}; cmov{condition} %esi,%edx", states[1::2], undefined)
    f.add("add %ecx,%eax; adc $0,%edx", [s + " edx=7fffffff" for s in states])
    f.add("sub %ecx,%eax; sbb %edx,%edx", states)
    f.add("add %ecx,%eax; inc %edx; jc 1f; mov $9,%edi; 1:", states)
    f.add("add %ecx,%eax; rcr $1,%edx; setc %bl", states, "O")
    f.add("cmp %ecx,%eax; mov $3,%edx; lea 1(%edx),%edx; jbe 1f; not %edx; 1: setg %dl", states)
    f.add("stc; inc %eax; adc %ecx,%edx; pushf; pop %ebx; and $0xcd5,%ebx; movl $0,-4(%esp)", states, "A")
    f.add("xor %edx,%edx; shl %cl,%eax; setc %dl", ["eax=80000000 ecx=1", "eax=80000000 ecx=0 flags=C"], "AO")
    f.add("cmp %eax,%ecx; shl %cl,%edx; setb %al", ["eax=5 ecx=0", "eax=0 ecx=20"], "")
    f.add("rol %cl,%eax; jc 1f; inc %edx; 1:", ["eax=80000000 ecx=1 flags=C", "eax=1 ecx=0 flags=C", "eax=2 ecx=0"],
          "PAZSO")


def atomic(f):
    """cmpxchg cmpxchg8b xadd xchg, and the lock prefix on all that may have it."""
    for suffix, width in WIDTHS.items():
        pairs = PAIRS[width]
        for prefix in ("", "lock "):
            f.add(f"{prefix}cmpxchg{suffix} {CX[suffix]},8(%esi)",
                  [merge("eax", a, width) + " " + merge("ecx", 0x5a, width) + " " + memory(0x108, m, width) + fl
                   for a, _ in pairs[1:5] for m in (a, a ^ 1) for fl in FLAG_STATES])
            f.add(f"{prefix}xadd{suffix} {CX[suffix]},8(%esi)",
                  [merge("ecx", b, width) + " " + memory(0x108, a, width) for a, b in pairs])
        f.add(f"cmpxchg{suffix} {CX[suffix]},{DX[suffix]}",
              [merge("eax", a, width) + " " + merge("ecx", 0x5a, width) + " " + merge("edx", d, width)
               for a, _ in pairs[1:5] for d in (a, a ^ 1)])
        f.add(f"xadd{suffix} {CX[suffix]},{DX[suffix]}",
              [merge("ecx", b, width) + " " + merge("edx", a, width) for a, b in pairs])
        for op in "add or adc sbb and sub xor".split():
            f.add(f"lock {op}{suffix} {CX[suffix]},8(%esi)",
                  [merge("ecx", b, width) + " " + memory(0x108, a, width) + " flags=C" for a, b in pairs[:5]],
                  "A" if op in ("or", "and", "xor") else "")
        for op in "inc dec neg not".split():
            f.add(f"lock {op}{suffix} 8(%esi)", [memory(0x108, a, width) + " flags=C" for a, _ in pairs[:4]])
        if width > 8:
            for op in "bts btr btc".split():
                f.add(f"lock {op}{suffix} {CX[suffix]},8(%esi)",
                      [f"ecx={n:x} m108=a55a0180" for n in (0, 15, 1)], "PASO")
    f.add("xadd %eax,%eax", ["eax=40000000"])
    for prefix in ("", "lock "):
        f.add(f"{prefix}cmpxchg8b 8(%esi)",
              ["eax=1 edx=2 ebx=3 ecx=4 m108=0100000002000000", "eax=1 edx=2 ebx=3 ecx=4 m108=0100000003000000",
               "eax=1 edx=2 ebx=3 ecx=4 m108=0200000002000000 flags=CPAZSO",
               "eax=1 edx=2 ebx=3 ecx=4 m108=0100000002000000 flags=CPASO"])
        f.add(f"{prefix}cmpxchg8b 7(%esi)", ["eax=1 edx=2 ebx=3 ecx=4 m107=0100000002000000"])


def strings(f):
    """movs stos lods scas cmps: every width, direction and repeat prefix."""
    text = "m200=" + b"the quick brown fox jumps over".hex()
    other = "m300=" + b"the quick brown dog jumps ovEr".hex()
    for suffix, width in WIDTHS.items():
        size = width // 8
        for direction in ("", " flags=D", " flags=CPAZSO"):
            at = "esi=20000210 edi=20000310" if "D" in direction else "esi=20000200 edi=20000300"
            for prefix, counts in (("", [5]), ("rep ", [0, 1, 4])):
                for op in "movs stos lods".split():
                    f.add(f"{prefix}{op}{suffix}",
                          [f"{at} ecx={c:x} eax=a1b2c3d4{direction} {text} {other}" for c in counts])
            for prefix, counts in (("", [5]), ("repe ", [0, 1, 7]), ("repne ", [0, 1, 7])):
                wanted = int.from_bytes(b"the quick brown fox"[16 - size:16], "little") if "D" in direction \
                    else int.from_bytes(b"the quick brown fox"[2 * size:3 * size], "little")
                f.add(f"{prefix}cmps{suffix}", [f"{at} ecx={c:x}{direction} {text} {other}" for c in counts])
                f.add(f"{prefix}scas{suffix}",
                      [f"{at} ecx={c:x} eax={v:x}{direction} {other}" for c in counts
                       for v in (0x6f727762, wanted)])
    # Overlap, as memmove's authors know it; and sizes that tempt an implementation into memcpy.
    f.add("rep movsb", ["esi=20000200 edi=20000201 ecx=10 m200=0102030405060708",
                        "esi=20000201 edi=20000200 ecx=10 m200=0102030405060708",
                        "esi=20000200 edi=20000600 ecx=200 " + text,
                        "esi=2000020f edi=20000210 ecx=10 flags=D m200=000102030405060708090a0b0c0d0e0f"])
    f.add("rep movsl", ["esi=20000200 edi=20000202 ecx=6 m200=0102030405060708", "esi=20000201 edi=20000403 ecx=40 " + text])
    f.add("rep stosl", ["edi=20000403 ecx=11 eax=11223344", "edi=20000480 ecx=8 eax=1 flags=D"])
    f.add("rep stosb", ["edi=20000401 ecx=33 eax=77"])
    f.add("movsb %fs:(%esi),%es:(%edi)", ["esi=200 edi=20000300 m200=5a"])
    f.add("rep movsw %gs:(%esi),%es:(%edi)", ["esi=0 edi=20000300 ecx=3 m800=010203040506"])
    f.add("lodsl %fs:(%esi)", ["esi=200 m200=5a5b5c5d"])
    f.add("repne cmpsb %es:(%edi),%fs:(%esi)", ["esi=200 edi=20000300 ecx=9 m200=0102030405 m300=0908070605"])
    # Faults in the middle: the registers say how far it came.
    f.add("rep movsb", ["esi=20000ffc edi=20000200 ecx=10 mff0=0102030405060708090a0b0c0d0e0f10",
                        "esi=20000200 edi=20000ffd ecx=10 m200=0102030405060708"])
    f.add("rep stosl", ["edi=20000ff4 ecx=9 eax=11223344", "edi=20000008 ecx=9 eax=11223344 flags=D"])
    f.add("rep movsl", ["esi=20000200 edi=20000ffa ecx=4 m200=0102030405060708"])
    f.add("repne scasb", ["edi=20000ff0 ecx=ffffffff eax=5", "edi=20000ff0 ecx=ffffffff eax=0 mff0=0101"])
    f.add("rep lodsb", ["esi=20000ffe ecx=5"])


def faults(f):
    """Instructions that end in a signal: which one, its code, where, and the state at that point."""
    simple = "ecx=1 flags=CZ"
    f.add("inc %ecx; ud2", [simple], "PASO")
    f.add("hlt", [simple])
    f.add("int3", [simple])
    f.add("int $3", [simple])
    f.add("into; inc %edx", ["", "flags=O"], "CPAZSO")
    f.add("int $0x81", [simple])
    f.add("int $0", [simple])
    f.add("cli", [simple])
    f.add("sti", [simple])
    f.add("in $0x10,%al", [simple])
    f.add("out %eax,%dx", [simple])
    f.add("insb", [simple])
    f.add("mov %cr0,%eax", [simple])
    f.add("mov %eax,%cr3", [simple])
    f.add("mov %eax,%dr0", [simple])
    f.add("lgdt (%esi)", [simple])
    f.add("lidt (%esi)", [simple])
    f.add("invlpg (%esi)", [simple])
    f.add("wrmsr", [simple])
    f.add("rdmsr", [simple])
    f.add("bound %eax,8(%esi)", ["eax=5 m108=0100000009000000", "eax=0 m108=0100000009000000",
                                 "eax=a m108=0100000009000000", "eax=ffffffff m108=feffffff00000000"])
    f.add("bound %ax,8(%esi)", ["eax=5 m108=01000900", "eax=8000 m108=01000900"])
    f.add("mov $0x1234,%eax; mov %eax,%ds", [""])
    f.add("mov $0x1234,%eax; mov %eax,%fs", [""])
    f.add(".byte 0x8e,0xc8 # mov %eax,%cs", [""])
    f.add(".byte 0xf0,0x01,0xc1 # lock add %eax,%ecx", [""])
    f.add(".byte 0xf0,0x8b,0x06 # lock mov (%esi),%eax", [""])
    f.add(".byte 0x0f,0xff,0xc0 # ud0", [""])
    f.add(".byte 0x0f,0xb9,0xc0 # ud1", [""])
    f.add(".byte 0x8d,0xc0 # lea with a register operand", [""])
    f.add(".byte 0xff,0xff # group 5 /7", [""])
    f.add(".byte 0x0f,0x04", [""])
    for address in ("0", "0x1000", "0x1ffffffd", "0x20001000", "0x20000fff", "0xfffffffc", "0xc0000000"):
        f.add(f"inc %ecx; mov {address},%eax", [simple], "PASO")
        f.add(f"inc %ecx; mov %eax,{address}", [simple + " eax=44332211"], "PASO")
        f.add(f"addl $5,{address}", [simple], "")
    f.add("mov 0x20000fff,%al; mov 0x20001000,%ah", ["mfff=77"])
    f.add("push %eax", ["esp=20000000", "esp=20000002", "esp=20000004", "esp=0"])
    f.add("pop %eax", ["esp=20001000", "esp=20000ffe mffe=7788", "esp=20000ffc mffc=11223344"])
    f.add("pop (%eax)", ["eax=1000 mc00=11"])
    f.add("enter $0x10,$0", ["esp=20000002"])
    f.add("leave", ["ebp=20000ffe", "ebp=1000"])
    f.add("call 1f; 1:", ["esp=20000000"])
    f.add("ret", ["esp=20001000"])
    f.add("jmp *%eax", ["eax=0", "eax=1234", "eax=fffffffe"])
    f.add("jmp *(%eax)", ["eax=0"])
    f.add("xchg %eax,(%ecx)", ["ecx=1000"])
    f.add("lock cmpxchg %edx,(%ecx)", ["ecx=1000 eax=0"])
    f.add("cmpxchg8b (%ecx)", ["ecx=1000"])
    f.add("lock xadd %edx,(%ecx)", ["ecx=1000"])
    f.add("add (%ecx),%eax; sbb %edx,%edx", ["ecx=20000ffd flags=C"])
    f.add("shll %cl,(%eax)", ["eax=1000 ecx=0 flags=C", "eax=1000 ecx=3 flags=CPAZSO"])
    f.add("sete (%eax)", ["eax=1000", "eax=1000 flags=Z"])
    f.add("divl (%ecx)", ["ecx=1000"])
    f.add("xor %edx,%edx; div %ecx; inc %eax", ["eax=5 ecx=0"], "CPAZSO")
    f.add("movdqa (%eax),%xmm0", ["eax=20000ff8"])
    f.add("movaps %xmm0,8(%esi)", ["xmm0=00112233445566778899aabbccddeeff"])
    f.add("addps 4(%esi),%xmm0", [""])
    f.add("movups %xmm0,(%eax)", ["eax=20000ff8 xmm0=00112233445566778899aabbccddeeff"])
    f.add("movsd %xmm0,(%eax)", ["eax=20000ffc xmm0=00112233445566778899aabbccddeeff"])
    f.add("fstpl (%eax)", ["eax=20000ffc st0=3fff8000000000000000"])
    f.add("fldt (%eax)", ["eax=20000ff8 st0=3fff8000000000000000"])
    f.add("fistpll (%eax)", ["eax=1000 st0=3fff8000000000000000"])
    f.add("movq %mm0,(%eax)", ["eax=1000 mm0=1122334455667788"])
    f.add("fxsave 8(%esi)", [""])
    f.add("ldmxcsr 8(%esi)", ["m108=80ff0100", "m108=801f0000"])


def misc(f):
    """nop pause prefetch fences cpuid's neighbours, redundant prefixes, salc, long nops, sldt-free rest."""
    for instruction in ("nop", "pause", "nopl (%esi)", "nopw 0x12(%esi,%ecx,2)", "prefetcht0 (%esi)",
                        "prefetchnta 0x1000", "lfence", "mfence", "sfence", "clflush (%esi)", "fwait", "fnop"):
        f.add(instruction, ["", "flags=CPAZSO"])
    f.add(".byte 0xd6 # salc", ["", "flags=C"])
    f.add(".byte 0x66,0x66,0x90 # data16 nop", [""])
    f.add(".byte 0xf3,0x90,0xf2,0x90 # rep nop; repne nop", [""])
    f.add(".byte 0x2e,0x75,0x02,0x41,0x42 # jne with a branch hint", ["", "flags=Z"], "CPAZSO")
    f.add(".byte 0xf3,0xc3 # rep ret", ["esp=1000"])
    f.add(".byte 0x3e,0x8b,0x06 # mov %ds:(%esi),%eax", ["m100=11223344"])
    f.add(".byte 0x26,0x8b,0x06 # mov %es:(%esi),%eax", ["m100=11223344"])
    f.add(".byte 0x82,0xc1,0x05 # addb $5,%cl (82)", ["ecx=7f"])
    f.add(".byte 0xf6,0xc9,0x81 # testb $0x81,%cl (/1)", ["ecx=80"], "A")
    f.add(".byte 0xf7,0xc9,1,0,0,0x80 # testl $0x80000001,%ecx (/1)", ["ecx=80000000"], "A")
    f.add(".byte 0x8f,0xc0 # pop %eax (8f)", ["mc00=11223344"])
    f.add(".byte 0x0f,0x1f,0x84,0,0,0,0,0 # nopl 0(%eax,%eax,1)", [""])
    f.add(".byte 0x66,0x0f,0xc8 # bswap %ax", ["eax=0"])
    f.add("movl $1,(%esi); mov (%esi),%eax; movb $2,1(%esi); mov (%esi),%ecx; movw $3,2(%esi); mov (%esi),%edx", [""])
    f.add("smsw %eax; mov $0,%eax", [""])
    f.add("lar %ecx,%eax; jnz 1f; mov $0,%eax; 1:", ["ecx=0 flags=Z"])
    f.add("verr %cx", ["ecx=0 flags=Z"])
    f.add("arpl %cx,%ax", ["eax=11 ecx=13", "eax=13 ecx=11 flags=Z", "eax=10 ecx=10"])
    f.add("movnti %ecx,8(%esi)", ["ecx=11223344"])


def flag_traps(f):
    """Traps that EFLAGS switches on: single steps (TF), alignment checks (AC)."""
    f.add("pushf; orl $0x100,(%esp); popf; nop; nop; inc %ecx", [""], "CPAZSO")
    f.add("pushf; orl $0x40000,(%esp); popf; mov 1(%esi),%eax", [""], "CPAZSO")


FILES = [alu, unary, shifts, multiply, bits, decimal, moves, addresses, stack, conditions, fused, atomic, strings,
         faults, flag_traps, misc]
