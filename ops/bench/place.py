"""Where a benchmark happens: one folder, a broker of its own, topics filled with the benchmark's events, projectors that
run until they have committed everything, and what they cost while they do."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))

from tarn import BUILD  # noqa: E402
from tarn.events import Schema  # noqa: E402
from tarn.kafka import Kafka  # noqa: E402
from tarn.process import environment  # noqa: E402
from tarn.programs import Projector, run_command  # noqa: E402

PROGRAMS = BUILD / "bench"
PARTITIONS = 4
TICKS = os.sysconf("SC_CLK_TCK")
STOLEN_MAX = 0.02  # of the machine's time: a millisecond that its host takes is a millisecond of latency that is nobody's here
TRIES = 4
REST_S = 20  # before another try: a host gives less to those that have just had much
RATE_TRIES, RATE_REST_S = 2, 5  # of rates, which suffer less and are more


def stat_of(path):
    """Its name and the numbered fields behind it, of a process or thread in /proc; None when it is gone."""
    try:
        name, fields = (path / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
    except (OSError, IndexError):
        return None
    return name, fields.split()


def ticks_of(fields):
    """Of processor time, in user space and the kernel."""
    return int(fields[11]) + int(fields[12])


class BenchKafka(Kafka):
    """Apache Kafka as in production: the optimizing compiler, a gigabyte of heap."""

    def compile_seconds(self):
        """What its compilers have taken so far, of those of their threads that are still there."""
        stats = map(stat_of, pathlib.Path(f"/proc/{self.process.pid}/task").iterdir())
        return sum(ticks_of(fields) for name, fields in filter(None, stats) if "Compiler" in name) / TICKS

    def _java(self, main_class, *arguments):
        return ["java", "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-Djava.awt.headless=true",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{self.libs}/*", main_class, *arguments]


def run_json(argv, timeout_s=1800, statuses=(0,), **options):
    """What a program prints as its last line, and `cpu_s`, the CPU that it took."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen([str(part) for part in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                 env=environment(), **options)
        deadline = time.monotonic() + timeout_s
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid != 0:
                break
            if time.monotonic() > deadline:
                child.kill()
                raise RuntimeError(f"{argv[0]} still ran after {timeout_s} s")
            time.sleep(0.01)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        said, complained = out.read(), err.read()
    if child.returncode not in statuses:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {complained[-2000:]}{said[-500:]}")
    return {**json.loads(said.strip().splitlines()[-1]), "cpu_s": usage.ru_utime + usage.ru_stime}


def processor_time():
    """(all of it, what the host of a virtual machine gave to others) in ticks, since the start."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields), fields[7]


def cpu_seconds(pid):
    """Of a process and its children."""
    processes = ((path.name, stat_of(path)) for path in pathlib.Path("/proc").glob("[0-9]*"))
    return sum(ticks_of(stat[1]) for name, stat in processes if stat and str(pid) in (name, stat[1][1])) / TICKS


def handled_records(projector):
    """Since its start, whether or not they are committed."""
    try:
        return projector.metrics().sum("tarn_projector_records_total")
    except requests.ConnectionError:
        return 0


def own_bytes(pid):
    """Memory of its own: what it maps from the store belongs to the page cache, and goes when others need it."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


class Place:
    def __init__(self, options, say):
        self.options = options
        self.say = say
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-bench-", dir=options.folder))
        self._schema = None
        self._kafka = None
        self._full = {}  # name: projector
        self.started = []
        self.disturbed = 0  # measurements, since it was last told
        self.began = time.monotonic()

    def runs(self):
        """The numbers of the runs: all that are asked for, or, once --minutes are over, only the first."""
        for number in range(self.options.runs):
            if number > 0 and self.options.minutes and time.monotonic() - self.began > self.options.minutes * 60:
                self.say(f"no time for more than {number} runs")
                return
            self.say(f"run {number + 1} of {self.options.runs}")
            yield number

    def undisturbed(self, measure, tries_max=TRIES, rest_s=REST_S):
        """The figures, and how much of the processors the host took away meanwhile (`stolen`, 0 to 1). Measured again while
        that is too much; the least disturbed try counts, whatever it says."""
        tries = []
        for _ in range(tries_max):
            all_before, stolen_before = processor_time()
            figures = measure()
            all_after, stolen_after = processor_time()
            tries.append({**figures, "stolen": (stolen_after - stolen_before) / max(1, all_after - all_before)})
            if tries[-1]["stolen"] <= STOLEN_MAX:
                break
            self.disturbed += 1
            self.say(f"the host took {tries[-1]['stolen']:.0%} of the processors' time: not a measurement")
            if len(tries) < tries_max and not self.options.smoke:
                time.sleep(rest_s)
        return min(tries, key=lambda figures: figures["stolen"])

    def undisturbed_rate(self, measure):
        return self.undisturbed(measure, RATE_TRIES, RATE_REST_S)

    def tell_disturbed(self, results, tries_max=TRIES, rest_s=REST_S):
        if self.disturbed:
            results.note(f"{self.disturbed} measurements were disturbed (tried up to {tries_max} times each, after a rest"
                         f" of {rest_s} s, and the least disturbed counts): the host of this virtual machine gave more than"
                         f" {STOLEN_MAX:.0%} of the processors' time to others.")
        self.disturbed = 0

    def tell_disturbed_rates(self, results):
        self.tell_disturbed(results, RATE_TRIES, RATE_REST_S)

    def say_rate(self, who, figures):
        self.say(f"{who}: {figures['per_second']:,.0f}/s" + (f", {figures['cpu_us']:.1f} µs CPU" if "cpu_us" in figures else ""))

    # --- schema, broker and topics ---

    def schema(self):
        """The genetics screen's descriptor set alone."""
        if self._schema is None:
            self._schema = self.folder / "genetics.binpb"
            subprocess.run(["protoc", "-I", "schema", "-I", "schema/examples", "--include_imports",
                            f"--descriptor_set_out={self._schema}", "genetics/screens.proto"], cwd=ROOT, check=True)
        return self._schema

    def message_maker(self, full_name):
        schema = Schema(self.schema())
        return lambda: schema.new(full_name)

    @property
    def kafka(self):
        if self._kafka is None:
            self._kafka = BenchKafka(self.folder / "kafka").start()
        return self._kafka

    def make_topic(self, name):
        self.kafka.create_topic(name, PARTITIONS)

    def produce(self, topic, events, people, seed=1):
        """`events`: how many, or "everyone" for one whole report of each."""
        self.say(f"producing {events} events over {people:,} people into {topic}")
        run_json([PROGRAMS / "bench_produce", self.kafka.brokers, topic, events, people, seed])

    # --- projectors ---

    def projector(self, store, topic, flags=()):
        projector = Projector(self.folder, f"projector-{store.name}", store, self.kafka, topic, schema=self.schema(),
                              flags=[*flags, "--log-level", "warn"])
        self.started.append(projector)
        return projector

    def run_until_caught_up(self, projector, events):
        """From the start of the process until all of the topic's events are committed."""
        ends = sum(self.kafka.ends(projector.topic_names()).values())
        peak = 0
        began = time.monotonic()
        projector.start(wait_ready=False)
        while True:
            projector.assert_alive()
            peak = max(peak, own_bytes(projector.process.pid))
            # A status takes a process of its own, tens of milliseconds of it: not before its answer can be yes.
            if handled_records(projector) >= events and \
                    sum(p["position"] + 1 for p in projector.status()["partitions"]) >= ends:
                break
            time.sleep(0.02)
        seconds = time.monotonic() - began
        return {"seconds": seconds, "per_second": events / seconds,
                "cpu_us": cpu_seconds(projector.process.pid) * 1e6 / events, "own_bytes": peak}

    def full_store(self, name="full", people=None):
        """A projector, caught up, whose store has a view of each person (of --full unless told otherwise); and its topic.
        Made once."""
        people = people or self.options.full
        if name not in self._full:
            topic = f"bench-{name}"
            self.make_topic(topic)
            self.produce(topic, "everyone", people)
            projector = self.projector(self.folder / name, topic)
            figures = self.run_until_caught_up(projector, people)
            projector.wait_caught_up()
            projector.wait_ready()
            self.say(f"{name} store: {people:,} views after {figures['seconds']:.1f} s")
            self._full[name] = projector
        elif not self._full[name].process.is_alive():
            self._full[name].start()
            self._full[name].wait_caught_up()
        return self._full[name]

    def digest(self, store):
        done = run_command("digest", "--store", store, timeout_s=120)
        assert done.status == 0, done.err
        return done.out.strip()

    def remove(self, folder):
        shutil.rmtree(folder, ignore_errors=True)

    def end(self):
        for program in self.started:
            program.end()
        if self._kafka:
            self._kafka.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def in_turns(run, members):
    """The members of a pair take turns in going first."""
    return list(members) if run % 2 == 0 else list(reversed(members))
