"""Generations: how long comparing two of them takes, and what a change of who is served costs those who read meanwhile."""

import sys

from place import ROOT, run_json

NAME = "generations"
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


def script(place, name, *arguments):
    return run_json([sys.executable, ROOT / "ops" / "bench" / name, "--views", place.options.full, "--folder", place.folder,
                     "--json", *arguments], statuses=(0, DIFFERENCES))
