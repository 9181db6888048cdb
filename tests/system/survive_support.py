"""What the survival campaigns share: tiers, seeds, a publisher with a pace, readers that never rest, the store's rows.

Each campaign has two tiers: a short one with a fixed seed in `make test`, the full one in `make soak`, whose seed is
new each time. TARN_SEED=N repeats a run in both."""

import os
import random
import subprocess
import threading
import time

import pytest
import requests

from tarn import BUILD, PATIENCE, ROOT
from tarn.events import Schema
from tarn.waiting import wait_until
from tarn.workload import events

SURVIVE = ROOT / "build" / "protos" / "survive.binpb"
EPOCH_MS = 1767225600000


def tiers(short, soak):
    """@tiers(short={...}, soak={...}): the test gets `tier`, one of the two."""
    return pytest.mark.parametrize("tier", [
        pytest.param(short, id="short"),
        pytest.param(soak, id="soak", marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])


@pytest.fixture
def chance(tier, request):
    """A random generator; the seed is printed."""
    seed = os.environ.get("TARN_SEED")
    if seed is None:
        seed = 1 if tier.get("fixed_seed", True) else random.SystemRandom().randrange(2**31)
    print(f"{request.node.name}: TARN_SEED={seed}")
    return random.Random(int(seed))


@pytest.fixture(scope="session")
def survive_schema():
    return Schema(SURVIVE)


class PacedPublisher:
    """Publishes a life of the example domains, encoded beforehand, over and over: in one go, or so many a second."""

    def __init__(self, publisher, topics, chance, distinct=5000, people=400):
        self.publisher = publisher
        self.records = [(topics[stream], event_type, key, publisher.schema.encode(event_type, fields))
                        for stream, event_type, key, fields in events(distinct, people, chance.randrange(2**31))]
        self.published = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = None
        self._fault = None

    def burst(self, count):
        with self._lock:
            for _ in range(count):
                topic, event_type, key, value = self.records[self.published % len(self.records)]
                self.publisher.publish(topic, event_type, None, key=key, raw=value, at=EPOCH_MS + self.published)
                self.published += 1

    def start(self, per_second):
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(per_second,), daemon=True)
        self._thread.start()

    def _run(self, per_second):
        began, before = time.monotonic(), self.published
        try:
            while not self._stop.wait(0.01):
                self.burst(int((time.monotonic() - began) * per_second) - (self.published - before))
        except Exception as fault:
            self._fault = fault

    def stop(self):
        self._stop.set()
        self._thread.join(30)
        assert self._fault is None, self._fault
        self.publisher.flush()


class Readers:
    """Somebody who looks at a screen again and again. Every answer must be one; `with` fails when one wasn't.

    Waits a little after each answer: on a small machine the readers are not what is tested."""

    def __init__(self, query, paths, chance, pause_s=0.005):
        self.query = query
        self.paths = paths
        self.chance = random.Random(chance.randrange(2**31))
        self.pause_s = pause_s
        self.answers = {}
        self.slowest_s = 0.0
        self.faults = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, fault, trace):
        self._stop.set()
        self._thread.join(30)
        if kind is None:
            self.check()

    def check(self):
        assert not self.faults, self.faults[:5]
        assert self.answers.get(200, 0) > 0, f"no screen was seen: {self.answers}"

    def wait_answers(self, count):
        """Until there are so many more screens."""
        enough = self.answers.get(200, 0) + count

        def are_enough():
            self.check()
            assert self.answers[200] >= enough, f"answers: {self.answers}"
            return True

        wait_until(are_enough, f"{count} screens", 30, alive=[self.query.process])

    def _run(self):
        session = requests.Session()
        while not self._stop.wait(self.pause_s):
            path = self.chance.choice(self.paths)
            began = time.monotonic()
            try:
                answer = session.get(self.query.url + path, timeout=10 * PATIENCE)
                answer.json()
            except (requests.RequestException, ValueError) as fault:
                self.faults.append(f"{path}: {fault}")
                continue
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
            if answer.status_code not in (200, 404):
                self.faults.append(f"{path}: {answer.status_code} {answer.text}")


def rows(store):
    """[(table, key, value)]: every live row of the served generation."""
    done = subprocess.run([BUILD / "model" / "store_rows", store], capture_output=True, text=True,
                          timeout=60 * PATIENCE)
    assert done.returncode == 0, done.stderr
    lines = (line.split(" ") for line in done.stdout.splitlines())
    return [(table, bytes.fromhex(key), bytes.fromhex(value)) for table, key, value in lines]


def tables_with(store, text):
    """The tables whose live rows hold the bytes somewhere."""
    wanted = text if isinstance(text, bytes) else text.encode()
    return {table for table, key, value in rows(store) if wanted in key or wanted in value}
