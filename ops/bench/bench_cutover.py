#!/usr/bin/env python3
"""What a promote under load costs the readers: p99 with a change of generations every second, against p99 without.

Usage: bench_cutover.py [--views 1000000] [--runs 5] [--seconds 6] [--json]. Needs `make build` and bench-programs.
Pairs of runs, one after the other, of the same server: quiet first, then with promotes, shares and roll-backs by
tarn-projector's own commands, on the same machine. The generations hold the same views; both are in the page cache."""

import argparse
import itertools
import json
import pathlib
import shutil
import statistics
import sys
import tempfile
import threading

from bench_compare import BENCH, PROJECTOR, generations, run
from readers import CONNECTIONS, Tarn

TARGET = 2.0
EVERY_S = 1.0


def change(store, command, *arguments):
    """The copy follows no Kafka here, and so it never catches up: it has to be forced."""
    force = ["--force"] if command == "promote" else []
    run(PROJECTOR, command, *arguments, "--store", store, *force)


class Changes:
    """Changes who is served, until it is told to stop."""

    def __init__(self, store, first, second):
        self.steps = itertools.cycle([("promote", second), ("rollback",), ("promote", second, "--traffic", "50"),
                                      ("promote", second, "--traffic", "0")])
        self.store, self.count, self.stop = store, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.wait(EVERY_S):
            change(self.store, *next(self.steps))
            self.count += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def failed_answers(query):
    return query.metrics().sum("tarn_query_answers_total", **{"class": "5xx"})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-bench-cutover-", dir=arguments.folder))
    tarn = None
    quiet, changing, changes = [], [], 0
    try:
        store = folder / "store"
        run(BENCH / "bench_fill", store, arguments.views)
        first = generations(store)[0]
        run(PROJECTOR, "rebuild", "--store", store, "--from-generation", first)
        second = next(name for name in generations(store) if name != first)
        tarn = Tarn(folder, arguments.views, store=store)
        change(store, "promote", second)
        tarn.load(2)  # pages of both are there
        change(store, "rollback")
        tarn.load(2)
        for _ in range(arguments.runs):
            quiet.append(tarn.load(arguments.seconds))
            with Changes(store, first, second) as under_way:
                changing.append(tarn.load(arguments.seconds))
            changes += under_way.count
        failed = failed_answers(tarn.query)
    finally:
        if tarn is not None:
            tarn.end()
        shutil.rmtree(folder, ignore_errors=True)
    ratios = [after["p99_ms"] / before["p99_ms"] for before, after in zip(quiet, changing)]
    row = {"case": f"a change every {EVERY_S:.0f} s, {CONNECTIONS} connections", "views": arguments.views,
           "changes": changes, "answers_failed": failed,
           "p99_ms_quiet": round(statistics.median(figure["p99_ms"] for figure in quiet), 3),
           "p99_ms": round(statistics.median(figure["p99_ms"] for figure in changing), 3),
           "per_second_quiet": round(statistics.median(figure["per_second"] for figure in quiet)),
           "per_second": round(statistics.median(figure["per_second"] for figure in changing)),
           "ratio": round(statistics.median(ratios), 2), "ratios": [round(ratio, 2) for ratio in ratios], "target": TARGET}
    if arguments.json:
        print(json.dumps({"bench": "cutover", "rows": [row]}))
    else:
        print(f"{row['case']}: p99 {row['p99_ms']} ms, quiet {row['p99_ms_quiet']} ms, ratio {row['ratio']}"
              f" (target {TARGET}); {row['changes']} changes, {row['answers_failed']:.0f} answers failed;"
              f" {row['per_second']}/s, quiet {row['per_second_quiet']}/s")
    return 0 if row["ratio"] <= TARGET and failed == 0 else 3


if __name__ == "__main__":
    sys.exit(main())
