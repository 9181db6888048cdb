"""`make bench`: what Tarn promises, measured on this machine beside what people would use instead.

    ops/bench/bench.py [--only rebuild,reading] [--runs 5] [--events 2000000] [--json FILE] ...

Both members of a pair run in the same run and take turns in going first; what counts is the median of the runs. Peers run
as their own documentation advises, with the configuration that stands here (peers/, streams/). A rate without its peer
means little on another machine: read the ratios. Prints one table; a run of all parts with at least five runs also writes it, with the
machine's description, into ops/docs/benchmarks.md.
"""

import argparse
import json
import os
import pathlib
import resource
import shlex
import sys
import time
import traceback

import machine
import page
from place import ROOT, Place
from results import Results

from parts import catch_up, cost, generations, latency, reading, rebuild, write_side

# Latencies first: a host that has given much takes part of it back, which a tail feels before a ratio of rates does.
PARTS = (latency, generations, reading, rebuild, catch_up, write_side, cost)
PEERS = ("streams", "nginx", "redis", "mariadb")
PAGE = ROOT / "ops" / "docs" / "benchmarks.md"
RUNS_OF_A_PAGE = 5

# The smallest that still goes through everything but the peers that take long: for the tests.
SMOKE = {"events": 2_000, "people": 500, "full": 500, "missed": 1_000, "rows": 1_000, "flat": 1_000, "runs": 1, "readers": 200, "seconds": 0.3,
         "latency_seconds": 0.5, "peers": "nginx,redis"}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(part.NAME for part in PARTS), metavar="PARTS",
                        help="of " + ", ".join(part.NAME for part in PARTS))
    parser.add_argument("--peers", default=",".join(PEERS), help="of " + ", ".join(PEERS) + "; what isn't installed is left out")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--events", type=int, default=2_000_000, help="of a rebuild")
    parser.add_argument("--people", type=int, default=400_000, help="of a rebuild")
    parser.add_argument("--full", type=int, default=1_000_000, help="views of a full store")
    parser.add_argument("--missed", type=int, default=1_000_000, help="events that a stopped projector has missed")
    parser.add_argument("--latency-seconds", type=float, default=8, help="of each measurement of latency")
    parser.add_argument("--readers", type=int, default=100_000, help="people whose screens are read")
    parser.add_argument("--seconds", type=float, default=4, help="of load on each server and run")
    parser.add_argument("--rows", type=int, default=200_000, help="of the outbox that is relayed")
    parser.add_argument("--flat", type=int, default=500_000, help="rows of a first load")
    parser.add_argument("--folder", default=None, help="where broker and stores go; wants 20 GiB")
    parser.add_argument("--minutes", type=float, help="when they are over, what is still to come gets one run")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also writes the figures of every run")
    parser.add_argument("--page", type=pathlib.Path, metavar="FILE", help="writes this page, whatever was measured")
    parser.add_argument("--no-page", action="store_true", help="leaves ops/docs/benchmarks.md as it is")
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes; the figures are worth nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        for name, value in SMOKE.items():
            if getattr(options, name) == parser.get_default(name):
                setattr(options, name, value)
    names = options.only.split(",")
    unknown = set(names) - {part.NAME for part in PARTS} or set(filter(None, options.peers.split(","))) - set(PEERS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: no part or peer of that name")
    options.parts = [part for part in PARTS if part.NAME in names]
    options.has_peer = lambda name: name in options.peers.split(",")
    return options


class Progress:
    """One line for each step on stderr: which part, since when, what."""

    def __init__(self, parts):
        self.parts = parts
        self.part = None
        self.began = time.monotonic()

    def __call__(self, text):
        number = self.parts.index(self.part) + 1 if self.part else 0
        name = f" {self.part.NAME}" if self.part else ""
        print(f"[{number}/{len(self.parts)}{name}, {time.monotonic() - self.began:.0f} s] {text}", file=sys.stderr, flush=True)


def page_of(options):
    """Where the table goes: a part of it, or too few runs, don't replace the page."""
    if options.page:
        return options.page
    is_whole = len(options.parts) == len(PARTS) and options.runs >= RUNS_OF_A_PAGE and not options.smoke
    return PAGE if is_whole and not options.no_page else None


def measure(options, say):
    results = Results()
    place = Place(options, say)
    try:
        described = machine.describe(place.folder)
        for part in options.parts:
            say.part = part
            try:
                part.run(place, results)
            except Exception as error:  # the other parts are worth having
                traceback.print_exc()
                results.failed(part.NAME, error)
    finally:
        place.end()
    return described, results


def main():
    options = parse(sys.argv[1:])
    target = page_of(options)
    if target:
        page.around(target)  # half an hour later is too late to find that it can't be written
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    say = Progress(options.parts)
    described, results = measure(options, say)
    described.append(("took", f"{(time.monotonic() - say.began) / 60:.0f} minutes"))
    print("\n".join(f"{what}: {which}" for what, which in described) + "\n\n" + results.text())
    if options.json:
        options.json.write_text(json.dumps({"machine": dict(described), **results.as_json()}, indent=1) + "\n")
    if target:
        flags = " ".join(shlex.quote(argument) for argument in sys.argv[1:])
        page.write(target, described, "make bench" + (f' BENCH_FLAGS="{flags}"' if flags else ""), results)
        say(f"wrote {os.path.relpath(target, ROOT)}")
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
