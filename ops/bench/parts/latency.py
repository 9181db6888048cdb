"""From produce to readable on a full store, and what readers feel of the writing: open loop, counted from the planned time."""

import os
import statistics
import subprocess
import time

from place import PROGRAMS, in_turns, run_json
from readers import Tarn

from tarn.process import environment

NAME = "latency"
RATES = ((1000, 5, 10), (5000, 35, 60))  # events/s, aim and floor of p99 in ms
WRITES_PER_SECOND = 5000
READS_PER_SECOND = 5000
BARE = "bench-bare"  # a topic that nobody else reads
WARM_UPS = 6  # at the most,
COMPILES_MAX = 0.1  # of a core: less than that is taken for a broker that has run for long


def run(place, results):
    options = place.options
    projector = place.full_store()
    results.section(f"Live, on a full store of {options.full:,} views, open loop, from the planned time")
    figures = {rate: [] for rate, _, _ in RATES}
    bare = {rate: [] for rate, _, _ in RATES}
    place.make_topic(BARE)
    warm_up(place, projector)
    for run_number in place.runs():
        for rate, _, _ in in_turns(run_number, RATES):
            for kept, measured in in_turns(run_number, ((figures, lambda: latency(place, projector, rate)),
                                                        (bare, lambda: consumed(place, rate)))):
                kept[rate].append(measured())
            own, others = figures[rate][-1], bare[rate][-1]
            results.keep(f"latency {rate}", own)
            results.keep(f"latency {rate}, bare consumer", others)
            place.say(f"{rate:,} events/s: p50 {own['p50_ms']} ms, p99 {own['p99_ms']} ms; bare consumer: p50 {others['p50_ms']} ms,"
                      f" p99 {others['p99_ms']} ms")
    for rate, aim, floor in RATES:
        p50 = statistics.median(figure["p50_ms"] for figure in figures[rate])
        bare_p50, bare_p99 = (statistics.median(figure[name] for figure in bare[rate]) for name in ("p50_ms", "p99_ms"))
        results.value(f"produce to readable at {rate:,} events/s: p99", [figure["p99_ms"] for figure in figures[rate]], " ms",
                      aim, floor, tarn=f"p50 {p50:.1f} ms",
                      peer=f"produce to consumed: p50 {bare_p50:.1f}, p99 {bare_p99:.1f} ms")
    place.tell_disturbed(results)
    beside_writes(place, results, projector)
    projector.stop(timeout_s=60)


def warm_up(place, projector, people=None):
    """A broker that has just started compiles its code, which takes one of two cores for half a minute; that is another
    subject. So is the disk's work on what other parts have left: it is done first."""
    os.sync()
    for _ in range(WARM_UPS):
        began, compiled = time.monotonic(), place.kafka.compile_seconds()
        for rate, _, _ in RATES:
            waited_for(place, projector.topics, projector.store, rate, place.options.latency_seconds, people)
        share = (place.kafka.compile_seconds() - compiled) / (time.monotonic() - began)
        place.say(f"warming up: the broker compiles for {max(0, share):.0%} of the time")
        if share < COMPILES_MAX:
            return


def latency(place, projector, rate):
    return place.undisturbed(lambda: waited_for(place, projector.topics, projector.store, rate, place.options.latency_seconds))


def consumed(place, rate):
    """What Kafka and librdkafka take of it: the same events until a bare consumer has them."""
    return place.undisturbed(lambda: waited_for(place, BARE, "-", rate, place.options.latency_seconds))


def waited_for(place, topic, store, rate, seconds, people=None):
    return run_json([PROGRAMS / "bench_latency", place.kafka.brokers, topic, store, int(rate * seconds), rate,
                     people or place.options.full])


def beside_writes(place, results, projector):
    tarn = Tarn(place.folder, place.options.full, store=projector.store, shape="/v1/genetic-result/user-########")
    pairs = []
    try:
        for run_number in place.runs():
            got = {}
            # Broker and producer share the machine with the reads: they are the same in both, and only the projector isn't.
            for name, topic in in_turns(run_number, (("without", BARE), ("with", projector.topics))):
                got[name] = place.undisturbed(lambda: reads(place, projector, tarn, topic, 1000 + run_number))
                results.keep(f"reads {name} writes", got[name])
            place.say(f"p99 of reads {got['with']['p99_ms']:.2f} ms beside {WRITES_PER_SECOND:,} events/s that are applied,"
                      f" {got['without']['p99_ms']:.2f} ms beside as many that nobody reads")
            pairs.append((got["with"], got["without"]))
    finally:
        tarn.end()
    ratios = [a["p99_ms"] / b["p99_ms"] for a, b in pairs]
    middle = sorted(pairs, key=lambda pair: pair[0]["p99_ms"] / pair[1]["p99_ms"])[len(pairs) // 2]
    results.value(f"p99 of {READS_PER_SECOND:,} reads/s beside {WRITES_PER_SECOND:,} events/s / without the projector", ratios,
                  "", 1.5, 1.5, digits=2, tarn=f"{middle[0]['p99_ms']:.2f} ms beside",
                  peer=f"{middle[1]['p99_ms']:.2f} ms without")


def reads(place, projector, tarn, topic, seed):
    """A load of reads while events are produced into the topic; their producer begins before it and ends after it."""
    seconds = place.options.seconds
    events = int(WRITES_PER_SECOND * (seconds + 2))
    writer = subprocess.Popen([str(part) for part in (
        PROGRAMS / "bench_produce", place.kafka.brokers, topic, events, place.options.full, seed, WRITES_PER_SECOND)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment())
    try:
        tarn.load(1, rate=READS_PER_SECOND)
        return tarn.load(seconds, rate=READS_PER_SECOND)
    finally:
        writer.wait(120)
        projector.wait_caught_up()
