"""`make bench`: the ratios that Tarn promises, each pair measured in one run, on this machine.

    ops/bench/bench.py [--events 5000000] [--people 1000000] [--runs 5] [--only rebuild,catch-up,latency,query]

Prints one table, and writes it with the machine's description to ops/docs/benchmarks.md (--write). Peers run with the
configuration that stands here, as their own documentation advises. A rate without its peer means little on another
machine: read the ratios.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))

from tarn import BUILD  # noqa: E402
from tarn.kafka import Kafka  # noqa: E402
from tarn.process import environment  # noqa: E402
from tarn.programs import Projector  # noqa: E402

import readers  # noqa: E402

TOPIC = "bench"
PARTITIONS = 4
SCHEMA = ROOT / "build" / "bench" / "genetics.binpb"
STREAMS = ROOT / "build" / "bench" / "streams"


class BenchKafka(Kafka):
    """Apache Kafka as in production: the optimizing compiler, a gigabyte of heap."""

    def _java(self, main_class, *arguments):
        return ["java", "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-Djava.awt.headless=true",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{self.libs}/*", main_class, *arguments]


def output(argv, timeout_s=1800, **options):
    """The JSON that a program prints as its last line."""
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True, timeout=timeout_s,
                          env=environment(), **options)
    if done.returncode != 0:
        raise RuntimeError(f"{argv}: {done.stderr[-2000:]}{done.stdout[-500:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-bench-", dir=options.folder))
        self.rows = []
        self.kafka = None

    def row(self, what, figure, target, verdict):
        self.rows.append((what, figure, target, verdict))
        say(f"  {what}: {figure} (target {target}) {verdict}")

    # --- what all of them need ---

    def start(self):
        SCHEMA.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["protoc", "-I", "schema", "-I", "schema/examples", "--include_imports",
                        f"--descriptor_set_out={SCHEMA}", "genetics/screens.proto"], cwd=ROOT, check=True)
        self.kafka = BenchKafka(self.folder / "kafka").start()
        self.fill(TOPIC, self.options.events, seed=1)

    def fill(self, topic, events, seed):
        self.kafka.create_topic(topic, PARTITIONS)
        say(f"filling topic {topic} with {events} events of {self.options.people} people")
        say("  ", output([BUILD / "bench" / "bench_produce", self.kafka.brokers, topic, events, self.options.people,
                          seed]))

    def more(self, topic, events, seed):
        output([BUILD / "bench" / "bench_produce", self.kafka.brokers, topic, events, self.options.people, seed])

    def projector(self, store, topic=TOPIC, flags=()):
        return Projector(self.folder, store.name, store, self.kafka, topic, schema=SCHEMA, flags=flags)

    def run_until_caught_up(self, projector, events):
        """Seconds from the start of the process until everything is committed, CPU per event, peak memory."""
        began = time.monotonic()
        projector.start(wait_ready=False)
        ends = sum(self.kafka.ends(projector.topic_names()).values())
        while True:
            projector.assert_alive()
            partitions = projector.status()["partitions"]
            if sum(p["position"] + 1 for p in partitions) >= ends:
                break
            time.sleep(0.1)
        seconds = time.monotonic() - began
        cpu = cpu_seconds(projector.process.pid)
        peak = peak_bytes(projector.process.pid)
        return {"seconds": seconds, "per_second": events / seconds, "cpu_us": cpu * 1e6 / events, "peak": peak}

    # --- rebuild ---

    def consume(self, mode, topic=TOPIC):
        return output([BUILD / "bench" / "bench_consume", self.kafka.brokers, topic, SCHEMA, mode])

    def rebuild_once(self, memory):
        store = self.folder / f"rebuild-{memory}"
        shutil.rmtree(store, ignore_errors=True)
        projector = self.projector(store, flags=["--memory", memory])
        try:
            return self.run_until_caught_up(projector, self.options.events)
        finally:
            projector.kill()

    def rebuild(self):
        ratios, decodes, rates, defaults, cpus = [], [], [], [], []
        for run in range(self.options.runs):
            decode = self.consume("decode")
            tarn = self.rebuild_once("4GiB")
            default = self.rebuild_once("1GiB")
            say(f"  run {run}: decode {decode['per_second']:.0f}/s {decode['cpu_us_per_record']} us,"
                f" tarn {tarn['per_second']:.0f}/s {tarn['cpu_us']:.2f} us {tarn['peak'] >> 20} MiB,"
                f" at the default {default['per_second']:.0f}/s {default['cpu_us']:.2f} us {default['peak'] >> 20} MiB")
            ratios.append(tarn["per_second"] / decode["per_second"])
            decodes.append(decode["per_second"])
            rates.append(tarn["per_second"])
            defaults.append(default["per_second"])
            cpus.append(tarn["cpu_us"])
        ratio = statistics.median(ratios)
        self.row("rebuild from empty, --memory 4GiB / consume + decode alone",
                 f"{ratio:.2f} ({statistics.median(rates):,.0f}/s, {statistics.median(cpus):.1f} us CPU;"
                 f" {statistics.median(decodes):,.0f}/s)", ">= 0.65 (0.5)", verdict(ratio, 0.65, 0.5))
        self.row("  the same with the default memory (1GiB)", f"{statistics.median(defaults):,.0f}/s", "", "")
        if self.options.streams:
            streams = [self.streams("exactly_once_v2", self.options.events, f"eos-{run}")["per_second"]
                       for run in range(self.options.peer_runs)]
            ratio = statistics.median(rates) / statistics.median(streams)
            self.row("rebuild / Kafka Streams exactly_once_v2", f"{ratio:.1f} ({statistics.median(streams):,.0f}/s)",
                     ">= 8 (6)", verdict(ratio, 8, 6))

    # --- the peer ---

    def streams(self, guarantee, records, application, topic=TOPIC):
        self.compile_streams()
        classpath = (STREAMS / "classpath").read_text().strip()
        state = self.folder / "streams" / application
        answer = output(["java", "-Xms2g", "-Xmx2g", "-cp", f"{STREAMS / 'classes'}:{classpath}",
                         "tarn.bench.GeneticsStreams", self.kafka.brokers, topic, records, guarantee, application,
                         state])
        say(f"  Kafka Streams {guarantee}: {answer}")
        return answer

    def compile_streams(self):
        if (STREAMS / "classpath").exists():
            return
        generated = STREAMS / "generated"
        generated.mkdir(parents=True, exist_ok=True)
        subprocess.run(["protoc", "-I", "schema", "-I", "schema/examples", f"--java_out={generated}", "tarn/view.proto",
                        "genetics/events.proto", "genetics/screens.proto", "consultation/events.proto",
                        "identity/events.proto"], cwd=ROOT, check=True)
        maven = ["mvn", "-q", "-B", "-f", "ops/bench/streams/pom.xml", f"-Dwork={STREAMS}", f"-Dgenerated={generated}"]
        subprocess.run([*maven, "compile"], cwd=ROOT, check=True)
        subprocess.run([*maven, "dependency:build-classpath", f"-Dmdep.outputFile={STREAMS / 'classpath'}"], cwd=ROOT,
                       check=True)

    # --- catching up on a full store ---

    def catch_up(self):
        """The store holds everybody already; what came meanwhile is read, every commit synced."""
        topic = "bench-full"
        self.fill(topic, self.options.events, seed=1)
        store = self.folder / "full"
        projector = self.projector(store, topic)
        self.run_until_caught_up(projector, self.options.events)
        rates = []
        for run in range(self.options.runs):
            projector.stop()
            self.more(topic, self.options.missed, seed=100 + run)
            done = self.run_until_caught_up(projector, self.options.missed)
            say(f"  run {run}: {done['per_second']:.0f}/s {done['cpu_us']:.2f} us {done['peak'] >> 20} MiB")
            rates.append(done["per_second"])
        projector.stop()
        if not self.options.streams:
            self.row("catch-up on a full store", f"{statistics.median(rates):,.0f}/s", ">= 6x Streams (4)", "")
            return
        full = "full-peer"
        self.streams("at_least_once", self.options.events + self.options.missed * self.options.runs, full, topic)
        peers = []
        for run in range(self.options.peer_runs):
            self.more(topic, self.options.missed, seed=200 + run)
            peers.append(self.streams("at_least_once", self.options.missed, full, topic)["per_second"])
        ratio = statistics.median(rates) / statistics.median(peers)
        self.row("catch-up on a full store / Kafka Streams at_least_once on its full store",
                 f"{ratio:.1f} ({statistics.median(rates):,.0f}/s; {statistics.median(peers):,.0f}/s)", ">= 6 (4)",
                 verdict(ratio, 6, 4))

    # --- latency ---

    def latency(self):
        """Live, on a full store: 1,000/s and 5,000/s, open loop."""
        topic = "bench-live"
        self.fill(topic, self.options.events, seed=1)
        projector = self.projector(self.folder / "live", topic)
        self.run_until_caught_up(projector, self.options.events)
        for rate, aim, floor in ((1000, 5, 10), (5000, 35, 60)):
            runs = [output([BUILD / "bench" / "bench_latency", self.kafka.brokers, topic, self.folder / "live",
                            rate * 20, rate, self.options.people]) for _ in range(self.options.runs)]
            p99 = statistics.median(run["p99_ms"] for run in runs)
            p50 = statistics.median(run["p50_ms"] for run in runs)
            self.row(f"produce to readable at {rate}/s, full store", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
                     f"p99 <= {aim} ms ({floor})", verdict(-p99, -aim, -floor))
        projector.stop()

    # --- reads ---

    def query(self):
        """Each answer against what people would use instead; the servers take turns."""
        figures = readers.measure(self.folder / "query", self.options.readers, self.options.runs, self.options.seconds, say)

        def ratio(a, b, key="per_second"):
            return statistics.median(x / y for x, y in zip(figures[a][key], figures[b][key]))

        def median(name, key="per_second"):
            return statistics.median(figures[name][key])

        for name, peer, aim, floor in (("tarn json", "nginx", 1.4, 1.2), ("tarn json", "redis json", 1.0, 0.75),
                                       ("tarn json", "mariadb", 7, 5), ("tarn protobuf", "redis json", 1.15, 0.95)):
            value = ratio(name, peer)
            self.row(f"{name} / {peer}", f"{value:.2f} ({median(name):,.0f}/s, {median(name, 'cpu_us'):.1f} us;"
                     f" {median(peer):,.0f}/s, {median(peer, 'cpu_us'):.1f} us)", f">= {aim} ({floor})",
                     verdict(value, aim, floor))
        value = ratio("tarn json", "mariadb", "cpu_us")
        self.row("CPU of an answer / of the join in MariaDB", f"1/{1 / value:.1f}", "<= 1/9 (1/7)",
                 verdict(1 / value, 9, 7))

    def end(self):
        if self.kafka:
            self.kafka.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def verdict(value, aim, floor):
    return "aim" if value >= aim else "floor" if value >= floor else "MISSED"


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.processor())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {cpu}, {memory:.0f} GiB, Linux {platform.release()}"


def table(rows):
    lines = ["| | measured | target: aim (floor) | |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {what} | {figure} | {target} | {word} |" for what, figure, target, word in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--missed", type=int, default=1_000_000, help="events that a stopped projector has missed")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peer-runs", type=int, default=3, help="runs of a peer that takes minutes")
    parser.add_argument("--readers", type=int, default=100_000, help="people whose screens are read")
    parser.add_argument("--seconds", type=int, default=5, help="of load for each reading server and run")
    parser.add_argument("--only", default="rebuild,catch-up,latency,query")
    parser.add_argument("--no-streams", dest="streams", action="store_false")
    parser.add_argument("--folder", default=None, help="where brokers and stores go; wants 20 GiB")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    bench = Bench(options)
    try:
        if options.only != "query":
            bench.start()
        for name in options.only.split(","):
            say(f"--- {name}")
            getattr(bench, name.replace("-", "_"))()
    finally:
        bench.end()
    print(f"\n{machine()}\n\n{table(bench.rows)}")


if __name__ == "__main__":
    main()
