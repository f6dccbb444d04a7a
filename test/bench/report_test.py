#!/usr/bin/env python3
"""bench/report.py: no ratio where output differed, medians and means of the rest."""
import contextlib
import io
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench"))
import report
from ways import Run


def run(name, way, cpu, compiling=0.0, length="full", status=0, digest="same", kind="integer"):
    return Run("programs", kind, name, length, way, cpu, 2 * cpu, compiling, 1024, status, digest)


def shown(runs, clock="own"):
    """The status, and each table's rows: name -> title -> cell."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file, contextlib.redirect_stdout(io.StringIO()) as out:
        report.write_head(file)
        for r in runs:
            report.write(file, r)
        status = report.show(file.name, clock)
    tables = []
    for block in out.getvalue().split("\n\n")[1:]:
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().split("\n")]
        tables.append({line[0]: dict(zip(lines[0][1:], line[1:])) for line in lines[2:]})
    return status, tables


class ReportTest(unittest.TestCase):
    def test_medians_and_means(self):
        runs = [run("a", "native", s) for s in (1, 9, 2)] + [run("a", "region", s) for s in (4, 3, 5)]
        runs += [run("b", "native", 2), run("b", "region", 1)]
        status, (table,) = shown(runs)
        self.assertEqual(status, 0)
        self.assertEqual(table["a"], {"native": "2.00", "region": "4.00", "region / native": "2.00"})
        self.assertEqual(table["b"]["region / native"], "0.50")
        self.assertEqual(table["**geometric mean, integer** (2)"]["region / native"], "**1.00**")
        self.assertEqual(table["worst"]["region / native"], "2.00 a")

    def test_output_that_differs_once(self):
        runs = [run("a", "native", 1), run("a", "stencil", 1), run("a", "stencil", 1, digest="other")]
        runs += [run("b", "native", 1), run("b", "stencil", 3)]
        status, (table,) = shown(runs)
        self.assertEqual(status, 1)
        self.assertEqual(table["a"], {"native": "1.00", "stencil": "differs", "stencil / native": "–"})
        self.assertEqual(table["**geometric mean, integer** (2)"]["stencil / native"], "**3.00** (1)")

    def test_native_that_differs_from_itself(self):
        runs = [run("a", "native", 1), run("a", "native", 1, digest="other"), run("a", "stencil", 1)]
        status, (table,) = shown(runs)
        self.assertEqual((status, table["a"]["stencil / native"]), (1, "–"))

    def test_status(self):
        status, (table,) = shown([run("a", "native", 1), run("a", "stencil", 1, status=139)])
        self.assertEqual((status, table["a"]["stencil"], table["a"]["stencil / native"]), (1, "status 139", "–"))

    def test_qemu_may_differ(self):
        runs = [run("a", "native", 1), run("a", "stencil", 1), run("a", "qemu", 9, digest="other")]
        status, (table,) = shown(runs)
        self.assertEqual((status, table["a"]["qemu"], table["a"]["qemu / stencil"]), (0, "differs", "–"))

    def test_clocks_and_compiling(self):
        runs = [run("a", "native", 1), run("a", "stencil", 2), run("a", "region", 2, compiling=0.5)]
        for clock, ratio in (("own", "1.50"), ("cpu", "2.00"), ("elapsed", "2.00")):
            _, (table,) = shown(runs, clock)
            self.assertEqual((table["a"]["region / native"], table["a"]["compiling"]), (ratio, "25%"))

    def test_steady(self):
        runs = [run(n, "native", s, length=l) for n in "ab" for l, s in (("short", 1), ("full", 5))]
        runs += [run("a", "region", 3, length="short"), run("a", "region", 7)]
        runs += [run("b", "region", 3, length="short", digest="other"), run("b", "region", 7)]
        _, (_, _, steady) = shown(runs)
        self.assertEqual(steady["a"]["region / native"], "1.00")
        self.assertEqual((steady["b"]["region"], steady["b"]["region / native"]), ("differs", "–"))


if __name__ == "__main__":
    unittest.main()
