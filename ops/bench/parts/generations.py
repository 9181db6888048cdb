"""Generations: how long comparing two of them takes, and what a change of who is served costs those who read meanwhile."""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from parts.latency import waited_for, warm_up
from place import ROOT, in_turns, run_json

NAME = "generations"
LIVE_PER_SECOND = 1000
REBUILT_PART = 4  # of the full store's views: on two cores that others use, too, a rebuild of all takes more than a minute
REBUILD_FACTOR = 4  # how many times as long as other latencies this one is measured, at first
REBUILD_FACTOR_MAX = 8  # and at the most: on a machine that others use a rebuild holds back for long
REBUILD_TRIES = 2  # to find the host quiet: each takes a minute
UNCOUNTED = 0.2  # of bench_latency's time, at its beginning
START_S = 0.5  # of that program, at most
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
    """What live events feel of a generation that is built beside the one they are served from, to the end of it: that is
    when all of it has to be on the disk."""
    people = place.options.full // REBUILT_PART
    projector = place.full_store("rebuilt", people)
    seconds = place.options.latency_seconds * REBUILD_FACTOR
    measures = {"without": live, "beside": live_beside_a_rebuild}
    pairs = []
    warm_up(place, projector, people)
    for run_number in place.runs():
        while True:
            got = {name: place.undisturbed(lambda: measures[name](place, projector, seconds, people), REBUILD_TRIES)
                   for name in in_turns(run_number, measures)}
            if got["beside"]["is_built"]:
                break
            if seconds >= place.options.latency_seconds * REBUILD_FACTOR_MAX:
                results.note(f"Run {run_number + 1}: the rebuild didn't end within {seconds:.0f} s, so its end isn't in these"
                             " figures.")
                break
            seconds *= 2
            place.say(f"the rebuild hadn't ended: both again, for {seconds:.0f} s")
        for name, figures in got.items():
            results.keep(f"latency {name} a rebuild", figures)
        place.say(f"p99 of live events: {got['beside']['p99_ms']} ms beside a rebuild, {got['without']['p99_ms']} ms without")
        pairs.append((got["beside"]["p99_ms"], got["without"]["p99_ms"]))
    beside, without = (statistics.median(figures) for figures in zip(*pairs))
    results.value(f"p99 of {LIVE_PER_SECOND:,} live events/s beside a rebuild of {people:,} views, to its end / without",
                  [a / b for a, b in pairs], "", 2, 2, digits=2, tarn=f"{beside:.1f} ms beside", peer=f"{without:.1f} ms without")
    place.tell_disturbed(results, REBUILD_TRIES)
    projector.stop(timeout_s=60)


def live(place, projector, seconds, people):
    return waited_for(place, projector.topics, projector.store, LIVE_PER_SECOND, seconds, people)


def live_beside_a_rebuild(place, projector, seconds, people):
    """The rebuild begins when events begin to be counted; `is_built`: its end was within the time."""
    name = None
    with ThreadPoolExecutor(1) as pool:
        measured = pool.submit(live, place, projector, seconds, people)
        try:
            time.sleep(seconds * UNCOUNTED + START_S)
            name = projector.cli("rebuild", "--json")["generation"]
            figures = measured.result()
            state = next(one["state"] for one in projector.cli("status", "--json")["generations"] if one["name"] == name)
        finally:
            if name:
                projector.cli("drop", name, timeout_s=60)
    return {**figures, "is_built": state != "building"}


def script(place, name, *arguments):
    return run_json([sys.executable, ROOT / "ops" / "bench" / name, "--views", place.options.full, "--folder", place.folder,
                     "--json", *arguments], statuses=(0, DIFFERENCES))
