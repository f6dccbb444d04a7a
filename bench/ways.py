"""The ways to run an i386 program, and what one run of it took."""
import dataclasses
import hashlib
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
NATIVE, QEMU = "native", "qemu"
TIERS = ("stencil", "region", "llvm")


@dataclasses.dataclass
class Run:
    """One run: a line of results.tsv, whose columns are these."""
    group: str
    kind: str  # a part of the group, with a mean of its own
    name: str
    length: str
    way: str
    cpu: float  # seconds, of all threads and children
    elapsed: float  # seconds
    compiling: float  # seconds of cpu that our compiler's thread took
    kib: int  # peak resident memory
    status: int
    digest: str  # of the output


@dataclasses.dataclass
class Work:
    """What is measured: a command, and how to tell its result."""
    group: str
    kind: str
    name: str
    argv: list
    length: str = ""
    static: bool = False  # needs no libraries of the sysroot
    compiles: bool = True  # runs long enough to ask how long our compiler's thread took
    result: object = staticmethod(lambda output: output)


class Ways:
    def __init__(self, options):
        self.work = options.work
        self.sysroot = os.path.abspath(options.sysroot)
        os.makedirs(self.work, exist_ok=True)
        self.measure = os.path.join(self.work, "measure")
        compile_c(os.path.join(HERE, "measure.c"), self.measure, ["-O2", "-static"])
        self.cache, self.log = os.path.join(self.work, "cache"), os.path.join(self.work, "log")
        folders = ("/lib/i386-linux-gnu", "/usr/lib/i386-linux-gnu", "/usr/lib/i386-linux-gnu/pulseaudio")
        libraries = ":".join(self.sysroot + folder for folder in folders)
        self.prefix = {NATIVE: [self.sysroot + "/lib/ld-linux.so.2", "--library-path", libraries],
                       **{tier: [options.uemu, "--tier=" + tier, "-L", self.sysroot] for tier in options.tiers},
                       QEMU: [options.qemu, "-L", self.sysroot]}
        if options.no_native:
            del self.prefix[NATIVE]
        if not options.qemu:
            del self.prefix[QEMU]

    def run(self, way, work):
        """Runs it once, uemu-llvm with an empty cache."""
        prefix = [] if work.static and way == NATIVE else list(self.prefix[way])
        counted = way == "region" and work.compiles
        if counted:
            prefix += ["--stats", "-D", self.log]
        for old in (self.cache, self.log):
            shutil.rmtree(old, ignore_errors=True) if os.path.isdir(old) else os.path.exists(old) and os.unlink(old)
        os.makedirs(self.cache)
        report, errors = os.path.join(self.work, "report"), os.path.join(self.work, "errors")
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONHASHSEED": "0", "UEMU_CACHE_DIR": self.cache,
                       "HOME": self.work, "TMPDIR": self.work, "PYTHONDONTWRITEBYTECODE": "1"}
        with open(errors, "wb") as file:
            output = subprocess.run([self.measure, report] + prefix + work.argv, stdin=subprocess.DEVNULL, stderr=file,
                                    env=environment, stdout=subprocess.PIPE, cwd=self.work, check=True).stdout
        with open(report) as file:
            cpu, elapsed, kib, status = (int(word) for word in file.read().split())
        digest = hashlib.sha256(work.result(output)).hexdigest()[:16]
        return Run(work.group, work.kind, work.name, work.length, way, cpu / 1e6, elapsed / 1e6,
                   self.compiling() if counted else 0.0, kib, status, digest)

    def compiling(self):
        """The seconds that the last run's --stats tells, or 0 if it died."""
        if not os.path.exists(self.log):
            return 0.0
        with open(self.log) as file:
            return sum(float(ms) for ms in re.findall(r"([\d.]+) ms of CPU time in the background", file.read())) / 1000

    def complaint(self):
        with open(os.path.join(self.work, "errors"), errors="replace") as file:
            return " ".join(file.read()[-300:].split())


def compile_c(source, output, options):
    header = os.path.join(HERE, "kernels/kernel.h")
    newest = max(os.path.getmtime(source), os.path.getmtime(header))
    if not os.path.exists(output) or os.path.getmtime(output) < newest:
        subprocess.run(["gcc", *options, source, "-o", output, "-lm"], check=True)
