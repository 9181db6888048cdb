"""Generations: how long comparing two of them takes, and what a change of who is served costs those who read meanwhile."""

import os
import statistics
import sys

from parts.latency import latency
from place import ROOT, in_turns, run_json

from tarn.waiting import wait_until

NAME = "generations"
LIVE_PER_SECOND = 1000
DIFFERENCES = 3  # exit status: a target was missed; the row says so


def run(place, results):
    options = place.options
    results.section(f"Generations of {options.full:,} views")
    place.say("comparing generations")
    for row in script(place, "bench_compare.py", "--runs", 1)["rows"]:
        results.value(f"compare: {row['case']}", [row["seconds"]], " s", 15, 15, tarn=f"{row['cpu_s']:.1f} s CPU")
    place.say("changing generations under load")
    for row in script(place, "bench_cutover.py", "--runs", options.runs, "--seconds", max(1, round(options.seconds)))["rows"]:
        results.value("p99 while who is served changes every second / without", row["ratios"], "", 2, 2, digits=2,
                      tarn=f"{row['p99_ms']:.2f} ms, {row['answers_failed']:.0f} of the answers failed",
                      peer=f"{row['p99_ms_quiet']:.2f} ms without")
    beside_a_rebuild(place, results)


def beside_a_rebuild(place, results):
    """What live events feel of a generation that is built beside the one they are served from."""
    projector = place.full_store()
    pairs = []
    os.sync()  # as for latencies
    latency(place, projector, LIVE_PER_SECOND)
    for run_number in place.runs():
        got = {}
        for name in in_turns(run_number, ("without", "beside")):
            generation = begin_rebuild(projector) if name == "beside" else None
            got[name] = latency(place, projector, LIVE_PER_SECOND)
            results.keep(f"latency {name} a rebuild", got[name])
            if generation:
                projector.cli("drop", generation, timeout_s=60)
        place.say(f"p99 of live events: {got['beside']['p99_ms']} ms beside a rebuild, {got['without']['p99_ms']} ms without")
        pairs.append((got["beside"]["p99_ms"], got["without"]["p99_ms"]))
    beside, without = (statistics.median(figures) for figures in zip(*pairs))
    results.value(f"p99 of {LIVE_PER_SECOND:,} live events/s beside a rebuild / without", [a / b for a, b in pairs], "", 2, 2,
                  digits=2, tarn=f"{beside:.1f} ms beside", peer=f"{without:.1f} ms without")
    place.tell_disturbed(results)
    projector.stop(timeout_s=60)


def begin_rebuild(projector):
    """Its name, once it has handled something."""
    name = projector.cli("rebuild", "--json")["generation"]

    def has_begun():
        built = [one for one in projector.cli("status", "--json")["generations"] if one["name"] == name]
        return built and any(partition["position"] >= 0 for partition in built[0]["partitions"])

    wait_until(has_begun, "the rebuild to begin", alive=[projector.process])
    return name


def script(place, name, *arguments):
    return run_json([sys.executable, ROOT / "ops" / "bench" / name, "--views", place.options.full, "--folder", place.folder,
                     "--json", *arguments], statuses=(0, DIFFERENCES))
