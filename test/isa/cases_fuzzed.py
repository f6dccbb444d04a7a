"""What test/isafuzz found: one case for each mistake that it led to (docs/isafuzz.md)."""


def fuzzed(f):
    """Instructions that the fuzzer found different from the CPU's, since mended."""
    # 16-bit addresses without a register.
    f.add(".byte 0x67,0x83,0x1e,0x78,0x02,0xc2 # sbbl $-62,0x278 (16-bit address)", [""])
    f.add(".byte 0x64,0x67,0x83,0x1e,0x78,0x02,0xc2 # sbbl $-62,%fs:0x278 (16-bit address)", ["m278=44332211 flags=C"])
    f.add(".byte 0x67,0x0f,0xb3,0x26,0x28,0x0f # btr %esp,0xf28 (16-bit address)", [""], "PASO")
    # The next four bytes are written, too.
    f.add("push %ss", ["esp=200002cf m2c8=ffffffffffffffff"])
    f.add("push %gs", ["mbf8=ffffffffffffffff"])
    # Reserved NOPs.
    f.add(".byte 0x0f,0x1a,0x55,0xe7 # bndldx without MPX", ["ebp=1000"])
    f.add(".byte 0x66,0x0f,0x1b,0xd8 # bndmov without MPX", [""])
    # Accesses that wrap at 4 GiB are beyond the segment's limit.
    f.add("mov %eax,(%edi)", ["edi=fffffffd", "edi=fffffffc"])
    f.add("mov (%ebp),%ax", ["ebp=ffffffff"])
    f.add("movups (%edx),%xmm0", ["edx=fffffff1", "edx=fffffff0"])
    f.add("stosl", ["edi=fffffffe"])
    f.add("push %eax", ["esp=1", "esp=3", "esp=4"])
    f.add("pushf", ["esp=2"])
    f.add("call *%ecx", ["esp=2 ecx=1000"])
    f.add("call *(%edi)", ["esp=2", "esp=20000c00 edi=fffffffe"])
    f.add(".byte 0x36,0x8a,0x07; .byte 0x36,0x8b,0x07 # mov %ss:(%edi),%al; mov %ss:(%edi),%eax", ["edi=fffffffe"])
    f.add("xlat", ["eax=20000 ebx=fffffffe"])
    f.add("fldenv (%edi)", ["edi=ffffffe4", "edi=fffffffe"])
    # Which operand is accessed first.
    f.add(".byte 0x67,0xa7 # cmpsl (16-bit addresses)", [""])
    # The end of the new frame is touched.
    f.add("enter $0x40,$0", ["esp=2000000c", "esp=20000044"])
    f.add("enter $0xfa31,$4", [""])
    # A conditional move reads memory under any condition.
    f.add("add %eax,%esi; cmovp 0x2a(%ebp),%dx", ["ebp=20000ffd"])
    f.add("sub $0,%dh; cmovnp (%esp,%ebx,2),%di", [""])
    # Flags of comparisons, read after an instruction that changes some of them.
    f.add("ucomiss 8(%edi),%xmm5; rol $0x57,%al", [""], "O")
    f.add("fucomi %st(6),%st; rcl $0x2f,%bh", ["fsw=3800"], "O")
    f.add(".byte 0x64,0x67,0xa0,0x10,0x02; .byte 0x67,0xa0,0xfe,0xff # mov %fs:0x210,%al; mov 0xfffe,%al", ["m210=44"])
    f.add(".byte 0x36,0x66,0xf2,0xa7 # repne cmpsw %es:(%edi),%ss:(%esi)", ["esi=ffffffff ecx=5"])
    f.add(".byte 0x67,0xf3,0xa6 # repe cmpsb (16-bit addresses)", [""])
    f.add(".byte 0x65,0xf2,0xa6 # repne cmpsb %es:(%edi),%gs:(%esi)", ["edi=1"])
    f.add(".byte 0x67,0x0f,0xab,0x40,0xca # bts %eax,-54(%bx,%si)", [""], "PASO")
    # More values than registers.
    f.add(".byte 0x65,0x67,0x80,0x5c,0xf9,0xcd; sahf # sbbb $-51,%gs:-7(%si)", ["esi=20000100", "esi=20000100 flags=C"])
    f.add(".byte 0x65,0x67,0x18,0x7c,0x70 # sbb %bh,%gs:0x70(%si)", ["esi=20000100 flags=C"])
    # Nobody writes through CS.
    f.add(".byte 0x2e,0x10,0x3e; .byte 0x2e,0x8b,0x07 # adc %bh,%cs:(%esi)", [""])
    f.add(".byte 0x2e,0x89,0x07 # mov %eax,%cs:(%edi)", ["", "edi=3"])
    # Loops that end in two ways.
    f.add("1: push %edx; loope 1b", ["ecx=f flags=Z", "ecx=f"])
    f.add("1: push %edx; loopne 1b", ["ecx=f flags=Z", "ecx=f"])
    # Adding zero writes, too.
    f.add("lock subl $0,-0x62(%ebx)", ["ebx=200007f0 m78e=44332211", "ebx=0"])


def fuzzed_amd(f):
    """Faults that CPUs differ in, as AMD's have them."""
    f.needs = "sse4a"
    # What is in place when the second of two pages is missing.
    f.add("popa", ["esp=20000ff0", "esp=20000fe2", "esp=20000ffe"])
    f.add("lret", ["esp=20000ffe", "esp=20000ffc"])
    f.add("iret", ["esp=20000ffa", "esp=20000ff0"])
    f.add("fxsave (%edi)", ["edi=20000ff0", "edi=ffffff90", "edi=1ffffff0"])
    f.add("fxrstor (%edi)", ["edi=20000ff0", "edi=ffffff90", "edi=fffffdf0", "edi=fffffe00"])
    # Which comes first, the segment's limit or alignment.
    f.add("fxsave -4(%esp)", ["esp=fffffffc", "esp=0", "esp=1", "esp=2"])
    f.add("movaps (%esp),%xmm0", ["esp=fffffffe"])
    # Masked stores under a mask of zero, and where nothing can be stored.
    f.add(".byte 0x64,0x66,0x0f,0xf7,0xd3 # maskmovdqu %xmm3,%xmm2 in fs", ["", "edi=3f", "edi=ffffff00"])
    f.add(".byte 0x67,0x66,0x0f,0xf7,0xd3 # maskmovdqu %xmm3,%xmm2 (16-bit address)", ["edi=3f"])
    f.add(".byte 0x64,0x0f,0xf7,0xd3 # maskmovq %mm3,%mm2 in fs", ["mm2=1122334455667788 mm3=ff00800000ff7f80", "edi=ffe mm3=0000000000000080"])
    f.add(".byte 0x2e,0x0f,0xf7,0xe6 # maskmovq %mm6,%mm4 in cs", ["", "st0=3fff8000000000000000"])


FILES = [fuzzed, fuzzed_amd]
