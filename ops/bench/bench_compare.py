#!/usr/bin/env python3
"""How long `compare` takes: two generations of the same views, of which none, some and all differ.

Usage: bench_compare.py [--views 1000000] [--runs 3] [--json]. Needs `make build` and bench-programs; takes about 4 GB
under --folder. Between the runs nothing is written; the files are in the page cache after the first."""

import argparse
import json
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "build" / "release" / "bench"
PROJECTOR = ROOT / "build" / "tarn-projector"
TARGET_S = 15.0


def run(*argv, expect=(0,)):
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True)
    if done.returncode not in expect:
        sys.exit(f"{argv[0]}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def generations(store):
    return [g["name"] for g in json.loads(run(PROJECTOR, "generations", "--store", store, "--json"))["generations"]]


def children_cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(store, first, second, runs):
    took, busy = [], []
    for _ in range(runs):
        began, cpu = time.monotonic(), children_cpu_s()
        answer = json.loads(run(PROJECTOR, "compare", first, second, "--store", store, "--json", "--examples", 0, expect=(0, 3)))
        took.append(time.monotonic() - began)
        busy.append(children_cpu_s() - cpu)
    return statistics.median(took), statistics.median(busy), answer["differences"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-bench-compare-", dir=arguments.folder))
    rows = []
    try:
        store = folder / "store"
        run(BENCH / "bench_fill", store, arguments.views)
        first = generations(store)[0]
        # The copy takes the ordinal that comes next, as a rebuild would have made it.
        run(PROJECTOR, "rebuild", "--store", store, "--from-generation", first)
        second = next(name for name in generations(store) if name != first)
        for what, every in (("equal", 0), ("one in 1,000 differs", 1000), ("all differ", 1)):
            if every:
                run(PROJECTOR, "promote", second, "--store", store, "--force")
                run(BENCH / "bench_alter", store, every)
            seconds, cpu, differences = measure(store, first, second, arguments.runs)
            rows.append({"case": what, "views": arguments.views, "differences": differences, "seconds": round(seconds, 3),
                         "cpu_s": round(cpu, 3), "target_s": TARGET_S})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        print(json.dumps({"bench": "compare", "rows": rows}))
    else:
        for row in rows:
            print(f"{row['case']:<22} {row['views']:>9} views  {row['differences']:>8} differences  {row['seconds']:>7.3f} s"
                  f"  {row['cpu_s']:>7.3f} s CPU  (target {row['target_s']:.0f} s)")
    return 0 if all(row["seconds"] <= TARGET_S for row in rows) else 3


if __name__ == "__main__":
    sys.exit(main())
