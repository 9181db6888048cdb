"""What holds still from one machine to the next: instructions per event and per request, and memory per connection."""

import re
import subprocess
import sys

import machine
from place import PROGRAMS, ROOT, run_json

from tarn.process import environment

NAME = "cost"
EVENTS, PEOPLE = 20_000, 2_000
CONNECTIONS = 5_000


def run(place, results):
    results.section("Instructions (callgrind, fixed input) and memory")
    place.say("resting connections")
    memory = script("idle_connections.py", "--connections", CONNECTIONS)["bytes_per_1000"] / 2**20
    results.value("tarn-query's own memory for 1,000 resting connections", [memory], " MiB", 1, 1, digits=2)
    if not machine.has("valgrind"):
        results.missing("instructions", "valgrind isn't installed")
    else:
        place.say("counting the instructions of an event")
        results.value("one event into its view (a mix of 20,000 over 2,000 people): instructions", [instructions_of_event(place)], digits=0)
        place.say("counting the instructions of a request")
        counted = script("request_instructions.py")
        for kind in ("json", "protobuf"):
            figures = counted[kind]
            results.value(f"one request, answered with {figures['body_bytes']:,} bytes of {kind}: instructions",
                          [figures["instructions"]], digits=0)


def instructions_of_event(place):
    """Of materializer_handle() and all below it."""
    counts = place.folder / "callgrind.out"
    done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}",
                           "--toggle-collect=materializer_handle", PROGRAMS / "bench_fold", place.schema(), str(EVENTS),
                           str(PEOPLE)], capture_output=True, text=True, timeout=900, env=environment())
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        raise RuntimeError(f"callgrind: {done.stderr[-2000:]}")
    return int(found[1]) / EVENTS


def script(name, *arguments):
    return run_json([sys.executable, ROOT / "ops" / "bench" / name, *arguments])
