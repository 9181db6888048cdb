#!/usr/bin/env python3
"""Measures announcements: from a change's visibility, as the record tells it, to the consumer of the topic.

    build/venv/bin/python ops/bench/bench_announce.py [--rate 200] [--seconds 20] [--runs 3] [--json]

An Apache Kafka of its own and the projector share this machine's processors. Reports arrive open loop at a fixed rate, each
of them is announced, and the consumer waits for each record by itself. Times are whole milliseconds of one clock."""

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))

from announcement_support import Announcements, announcement_schema  # noqa: E402
from tarn.events import Publisher, Schema  # noqa: E402
from tarn.kafka import Kafka  # noqa: E402
from tarn.programs import Projector  # noqa: E402


def publish(kafka, topic, rate, count):
    publisher = Publisher(kafka, Schema(), linger_ms=0)
    began, run = time.monotonic(), time.time_ns()  # the same report again would be no change
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        user = f"u{number % 5000}"
        publisher.publish(topic, "genetics.v1.AnalysisCompleted", {"user_id": user, "report_id": f"{run}-{number}"}, key=user)
    publisher.flush()


def percentile(values, part):
    return values[min(len(values) - 1, int(len(values) * part))]


def measure(kafka, heard, events, rate, count):
    heard.records.clear(), heard.all.clear()
    publishing = threading.Thread(target=publish, args=(kafka, events, rate, count))
    publishing.start()
    arrived, told = [], []
    while len(arrived) < count:
        announcement = heard.next(30)
        assert announcement is not None, f"{len(arrived)} of {count} announcements came"
        visible_ms = announcement.visible_time.ToMilliseconds()
        arrived.append(time.time() * 1000 - visible_ms)
        told.append(heard.records[-1].timestamp()[1] - visible_ms)
    publishing.join()
    arrived.sort(), told.sort()
    return {"p50_ms": percentile(arrived, 0.5), "p99_ms": percentile(arrived, 0.99), "max_ms": arrived[-1],
            "produce_p99_ms": percentile(told, 0.99), "count": count}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-bench-announce-", dir=arguments.folder))
    kafka = Kafka(folder / "kafka").start()
    projector = None
    try:
        events, topic = kafka.create_topic("events", 4), kafka.create_topic("announcements", 1)
        projector = Projector(folder, "projector", folder / "store", kafka, events, flags=["--announce-topic", topic])
        projector.start()
        heard = Announcements(kafka, topic, announcement_schema(folder))
        measure(kafka, heard, events, arguments.rate, arguments.rate * 3)  # a broker that has just started is another subject
        figures = [measure(kafka, heard, events, arguments.rate, arguments.rate * arguments.seconds)
                   for _ in range(arguments.runs)]
        heard.close()
        if arguments.json:
            print(json.dumps({"runs": figures}))
            return
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; {arguments.rate} announcements/s")
        for figure in figures:
            print(f"visible to consumed: p50 {figure['p50_ms']:.1f} ms, p99 {figure['p99_ms']:.1f} ms, "
                  f"most {figure['max_ms']:.1f} ms; visible to produced: p99 {figure['produce_p99_ms']} ms")
    finally:
        if projector is not None:
            projector.end()
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
