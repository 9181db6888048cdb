"""The write side: rows of an outbox, and of a first load, on their way to Kafka with real acknowledgements."""

import sys

import machine
from place import ROOT, run_json

NAME = "write-side"


ANNOUNCEMENTS_PER_SECOND = 200


def run(place, results):
    options = place.options
    results.section(f"Write side: {options.rows:,} rows of an outbox, 300 bytes each; {options.flat:,} flat rows of a first load")
    announcements(place, results)
    if not machine.has("mariadbd"):
        results.missing("the relay", "MariaDB isn't installed")
        return
    place.say("relaying")
    figures = run_json([sys.executable, ROOT / "ops" / "bench" / "bench_relay.py", "--rows", options.rows, "--flat",
                        options.flat, "--runs", options.runs, "--folder", place.folder, "--json"])
    results.keep("relay", figures)
    results.rate("relay, acknowledged by Kafka and deleted", figures["outbox"], 50_000)
    results.rate("first load", figures["first_load"], 200_000)


def announcements(place, results):
    place.say("announcing")
    figures = run_json([sys.executable, ROOT / "ops" / "bench" / "bench_announce.py", "--rate", ANNOUNCEMENTS_PER_SECOND,
                        "--seconds", max(1, int(place.options.latency_seconds)), "--runs", place.options.runs, "--folder",
                        place.folder, "--json"])["runs"]
    results.keep("announcements", figures)
    results.value("announcement after visibility: p99", [figure["p99_ms"] for figure in figures], " ms", 20, 20,
                  tarn=f"{ANNOUNCEMENTS_PER_SECOND}/s, p50 {figures[len(figures) // 2]['p50_ms']:.1f} ms")
