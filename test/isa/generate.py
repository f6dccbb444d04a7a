#!/usr/bin/env python3
"""Writes the case files of the instruction tests: test/isa/*.txt.

    test/isa/generate.py ISA_NATIVE [NAME…]

For developers, on a host that runs i386 code: needs `as` and `objcopy` (binutils), and ISA_NATIVE, the
program built from native.c (build/test/isa/isa_native), which fills in the results as the CPU gives
them. The output is committed; the same input gives the same files.

A case file is made by one function of cases_*.py, named after it:
it gets a CaseFile and adds headings (an instruction, or a few with ";" between) with the states to run
them from. docs/testing.md describes the files themselves.
"""
import pathlib
import random
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent

SCRATCH = 0x20000000  # the page of memory that cases may use; native.c has the same number


class CaseFile:
    """The headings and cases of one file, in order."""

    def __init__(self, name, about):
        self.name = name
        self.about = about
        self.needs = ""  # flags of /proc/cpuinfo, without which the file is skipped
        self.headings = []  # (assembly, [state])
        self.random = random.Random(name)

    def add(self, assembly, states, undefined=""):
        """One heading. A state is "eax=1 flags=C"; flags in `undefined` are not compared: letters of
        EFLAGS (CPAZSO), and 0-3 for the x87 condition codes. A state may name more of its own."""
        lines = []
        for state in states:
            own = ""
            if isinstance(state, tuple):
                state, own = state
            mask = "".join(sorted(set(undefined + own), key="CPAZSDO0123".index))
            lines.append(" ".join(filter(None, [state, mask and f"undefined={mask}"])))
        self.headings.append((assembly, list(dict.fromkeys(lines))))


def assemble(instructions):
    """The bytes of each instruction line, by GNU as."""
    source = [".text"]
    lengths = ['.section .lengths,"a"']
    for number, instruction in enumerate(instructions):
        source += [f".Lstart{number}:", instruction, f".Lend{number}:"]
        lengths.append(f".long .Lend{number} - .Lstart{number}")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "a.s").write_text("\n".join(source + lengths) + "\n")
        subprocess.run(["as", "--32", "-o", folder / "a.o", folder / "a.s"], check=True)
        sections = []
        for section in (".text", ".lengths"):
            subprocess.run(["objcopy", "-O", "binary", "-j", section, folder / "a.o", folder / "a.bin"], check=True)
            sections.append((folder / "a.bin").read_bytes())
    code, lengths = sections
    result, at = [], 0
    for i in range(len(instructions)):
        length = int.from_bytes(lengths[4 * i:4 * i + 4], "little")
        result.append(code[at:at + length])
        at += length
    return result


def write(case_file, isa_native):
    path = HERE / f"{case_file.name}.txt"
    codes = assemble([assembly for assembly, _ in case_file.headings])
    lines = [f"# {case_file.about}", "# Made by generate.py; docs/testing.md says how to read it."]
    if case_file.needs:
        lines.append(f"needs {case_file.needs}")
    for code, (assembly, states) in zip(codes, case_file.headings):
        lines.append(f"{code.hex()}  {assembly}")
        lines += ["  " + state for state in states]
    text = "\n".join(lines) + "\n"
    if not case_file.name.endswith(".host"):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as draft:
            draft.write(text)
            draft.flush()
            text = subprocess.run([isa_native, "record", draft.name], check=True, stdout=subprocess.PIPE,
                                  text=True).stdout
    path.write_text(text)
    print(f"{path.name}: {len(codes)} headings, {sum(len(s) for _, s in case_file.headings)} cases, "
          f"{len(text) // 1024} KiB")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    import cases_avx
    import cases_fuzzed
    import cases_integer
    import cases_vector
    import cases_x87
    wanted = sys.argv[2:]
    for module in (cases_integer, cases_x87, cases_vector, cases_avx, cases_fuzzed):
        for function in module.FILES:
            name = function.__name__.replace("_host", ".host")
            if wanted and name not in wanted:
                continue
            case_file = CaseFile(name, " ".join(function.__doc__.split()))
            function(case_file)
            write(case_file, sys.argv[1])


if __name__ == "__main__":
    main()
