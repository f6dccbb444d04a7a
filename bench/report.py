#!/usr/bin/env python3
"""Tables of what bench/run measured, in Markdown, for docs/performance.md.

Of each work and way the median of the runs counts; groups are summed up by the geometric mean of their
ratios. Whose output is not native's, every time, or who ended with a status, has no time and no ratio.

Clocks:
  own      CPU time without that of uemu-llvm's compiler thread: what one waits for where a core is free
  cpu      CPU time of all threads and children
  elapsed  by the wall clock, which counts what else the machine does, too
"""
import argparse
import dataclasses
import math
import statistics
import sys

from ways import NATIVE, QEMU, TIERS, Run

CLOCKS = {"own": lambda run: run.cpu - run.compiling, "cpu": lambda run: run.cpu, "elapsed": lambda run: run.elapsed}
ORDER = (NATIVE, *TIERS, QEMU)

# --- results.tsv ------------------------------------------------------------------------------------------------


def write_head(file):
    file.write("\t".join(field.name for field in dataclasses.fields(Run)) + "\n")


def write(file, run):
    file.write("\t".join(str(value) for value in dataclasses.astuple(run)) + "\n")
    file.flush()


def read(path):
    with open(path) as file:
        file.readline()
        types = [field.type for field in dataclasses.fields(Run)]
        return [Run(*(t(word) for t, word in zip(types, line.rstrip("\n").split("\t")))) for line in file]


# --- Rows -------------------------------------------------------------------------------------------------------


class Row:
    """A work's medians by way. wrong[way] says why there are none."""

    def __init__(self, runs, clock):
        self.kind, self.name = runs[0].kind, runs[0].name
        self.seconds, self.kib, self.share, self.wrong = {}, {}, {}, {}
        expected = next((r.digest for r in runs if r.way == NATIVE), runs[0].digest)
        for way in {r.way for r in runs}:
            own = [r for r in runs if r.way == way]
            failed = [r.status for r in own if r.status]
            if failed:
                self.wrong[way] = f"status {failed[0]}"
            elif any(r.digest != expected for r in own):
                self.wrong[way] = "differs"
            else:
                self.seconds[way] = statistics.median(map(CLOCKS[clock], own))
                self.kib[way] = statistics.median(r.kib for r in own)
                self.share[way] = statistics.median(r.compiling / r.cpu for r in own)

    def less(self, other):
        """What this took after the work of the other, of the same program at less length."""
        rest = Row.__new__(Row)
        rest.kind, rest.name, rest.kib, rest.share = self.kind, self.name, {}, {}
        rest.wrong = {**other.wrong, **self.wrong}
        rest.seconds = {way: s - other.seconds[way] for way, s in self.seconds.items()
                        if way in other.seconds and s > other.seconds[way]}
        return rest


# --- Columns ----------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Column:
    title: str
    value: object  # of a row: a number, a word, or None
    form: str
    worst: object = None  # max or min; only ratios have a worst, and a mean


def seconds_column(way, unit, digits):
    return Column(way, lambda row: row.wrong.get(way) or (row.seconds[way] / unit if way in row.seconds else None),
                  f"{{:.{digits}f}}")


def ratio_column(way, other, worst):
    def ratio(row):
        return row.seconds[way] / row.seconds[other] if way in row.seconds and other in row.seconds else None
    return Column(f"{way} / {other}", ratio, "{:.2f}", worst)


def columns_for(rows, unit, digits):
    """Times of all ways; ours to native's, QEMU's to ours; the region tier's to the stencils', its compiler's share."""
    ways = [way for way in ORDER if any(way in row.seconds or way in row.wrong for row in rows)]
    ours = [way for way in ways if way in TIERS]
    columns = [seconds_column(way, unit, digits) for way in ways]
    if NATIVE in ways:
        columns += [ratio_column(way, NATIVE, max) for way in ours]
    if QEMU in ways:
        columns += [ratio_column(QEMU, way, min) for way in ours]
    if "region" in ours and "stencil" in ours:
        columns.append(ratio_column("region", "stencil", max))
    if any(row.share.get("region") for row in rows):
        columns.append(Column("compiling", lambda row: row.share.get("region"), "{:.0%}"))
    return columns


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


# --- Tables -----------------------------------------------------------------------------------------------------


def cell(column, value):
    if value is None:
        return "–"
    return value if isinstance(value, str) else column.form.format(value)


def sum_up(name, columns, rows):
    """The two lines under a kind of rows: means, and the worst with their names."""
    mean, worst = [f"**geometric mean, {name}** ({len(rows)})"], ["worst"]
    for column in columns:
        values = [(column.value(row), row.name) for row in rows] if column.worst else []
        values = [(value, name) for value, name in values if value is not None]
        few = f" ({len(values)})" if len(values) < len(rows) else ""
        mean.append(f"**{geometric_mean([value for value, _ in values]):.2f}**{few}" if values else "")
        worst.append("{:.2f} {}".format(*column.worst(values)) if values else "")
    return [mean, worst]


def table(title, rows, unit=1.0, digits=2):
    columns = columns_for(rows, unit, digits)
    lines = [[title] + [column.title for column in columns]]
    kinds = list(dict.fromkeys(row.kind for row in rows))
    for kind in kinds:
        same = [row for row in rows if row.kind == kind]
        lines += [[row.name] + [cell(column, column.value(row)) for column in columns] for row in same]
        lines += sum_up(kind or "all", columns, same)
    if len(kinds) > 1:
        lines += sum_up("all", columns, rows)
    lines.insert(1, ["---"] * len(lines[0]))
    print("\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines))


def memory_table(rows):
    ways = [way for way in ORDER if any(way in row.kib for row in rows)]
    print("\n| peak memory, MiB | " + " | ".join(ways) + " |\n|" + "---|" * (len(ways) + 1))
    for row in rows:
        cells = [f"{row.kib[way] / 1024:.1f}" if way in row.kib else "–" for way in ways]
        print(f"| {row.name} | " + " | ".join(cells) + " |")


def show(path, clock):
    """All tables of a results.tsv. 1 if one of uemu-llvm's runs went wrong, else 0."""
    works = {}
    for run in read(path):
        works.setdefault((run.group, run.length), {}).setdefault((run.kind, run.name), []).append(run)
    tables = {key: [Row(runs, clock) for runs in rows.values()] for key, rows in works.items()}
    print(f"clock: {clock}")
    for (group, length), rows in tables.items():
        if group == "cold":
            table("cold start, ms", rows, 0.001, 1)
            memory_table(rows[:1])
        else:
            table(f"{group}, {length + ', ' if length else ''}s", rows, digits=3 if group == "kernels" else 2)
    lengths = [length for group, length in tables if group == "programs"]
    if len(lengths) > 1:
        before, whole = tables["programs", lengths[-2]], tables["programs", lengths[-1]]
        short = {row.name: row for row in before}
        rest = [row.less(short[row.name]) for row in whole if row.name in short]
        table(f"steady: {lengths[-1]} less {lengths[-2]}, s", rest)
    wrong = [row for rows in tables.values() for row in rows if set(row.wrong) - {QEMU}]
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", help="results.tsv in bench/run's work folder")
    parser.add_argument("--clock", choices=CLOCKS, default="own")
    options = parser.parse_args()
    return show(options.results, options.clock)


if __name__ == "__main__":
    sys.exit(main())
