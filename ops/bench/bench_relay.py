#!/usr/bin/env python3
"""Measures the relay: outbox rows a second with real acknowledgements, and rows a second of a first load.

    build/venv/bin/python ops/bench/bench_relay.py [--rows 300000] [--flat 1000000] [--runs 3] [--json]

A MariaDB and an Apache Kafka of its own, on this machine, share its processors with the relay. The outbox is filled with
rows of 300 bytes of payload before the relay starts; the figure is all rows over the time from its first round to an empty
table, deletes and acknowledgements included. The first load reads a flat table of lenders."""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))

from tarn import EXAMPLES  # noqa: E402
from tarn.kafka import Kafka  # noqa: E402
from tarn.mariadb import Database  # noqa: E402
from tarn.relay import Relay, relay_command  # noqa: E402
from tarn.waiting import wait_until  # noqa: E402


def timed(relay, counter, rows):
    """Rows a second, and the relay's own processor time for each, in microseconds."""
    relay.start(wait_ready=False)
    wait_until(lambda: relay.metric(counter) > 0, "the first rows", 120, alive=[relay.process], poll_s=0.005)
    began, done_before = time.monotonic(), relay.metric(counter)
    wait_until(lambda: relay.metric(counter) >= rows, "the last row", 600, alive=[relay.process], poll_s=0.01)
    seconds = time.monotonic() - began
    fields = pathlib.Path(f"/proc/{relay.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    cpu_us = (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK") / rows
    relay.stop(60)
    return (rows - done_before) / seconds, cpu_us


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300000)
    parser.add_argument("--flat", type=int, default=1000000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-bench-relay-", dir=arguments.folder))
    database = Database(folder / "db", buffer_pool="1G").start()
    kafka = Kafka(folder / "kafka").start()
    try:
        assert relay_command(database, "--init").status == 0
        database.run((ROOT / "schema/examples/lender/tables.sql").read_text())
        database.run(f"INSERT INTO lenders SELECT LPAD(seq, 8, '0'), CONCAT('Lender ', seq) FROM seq_1_to_{arguments.flat}")
        outbox, load = [], []
        for run in range(arguments.runs):
            topic = kafka.create_topic(f"outbox-{run}", 4)
            database.run(f"""INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
                SELECT 'bench', CONCAT('user-', seq % 100000), 'bench.v1.Changed', REPEAT(CHAR(65 + seq % 26), 300)
                FROM seq_1_to_{arguments.rows}""")
            outbox.append(timed(Relay(folder, f"relay-{run}", database, kafka, topic), "rows_total", arguments.rows))
            flags = ["--schema", EXAMPLES, "--first-load", "lenders", "--first-load-again"]
            load.append(timed(Relay(folder, f"load-{run}", database, kafka, topic, flags=flags), "first_load_rows_total",
                              arguments.flat))
        if arguments.json:
            print(json.dumps({name: [{"per_second": rate, "cpu_us": cpu} for rate, cpu in figures]
                              for name, figures in (("outbox", outbox), ("first_load", load))}))
            return
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        for name, figures in (("outbox, 300 B", outbox), ("first load, flat", load)):
            rates, costs = zip(*figures)
            print(f"{name}: {statistics.median(rates):,.0f} rows/s (of {', '.join(f'{r:,.0f}' for r in rates)}), "
                  f"{statistics.median(costs):.1f} us of the relay's processor a row")
    finally:
        database.stop()
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
