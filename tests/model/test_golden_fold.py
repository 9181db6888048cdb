"""The golden tests of the example domains without Kafka: the same records through the materializer and the store."""

import base64
import json
import random
import struct
import subprocess

import pytest

from tarn import BUILD, EXAMPLES
from tarn.events import Schema, milliseconds
from tarn.golden import all_golden

GOLDEN = {golden.domain: golden for golden in all_golden()}
domains = pytest.mark.parametrize("domain", GOLDEN)


@pytest.fixture(scope="module")
def examples():
    return Schema(EXAMPLES)


def frames(records, schema):
    """Records as tests/model/project.c reads them; each topic has one partition, offsets count up."""
    offsets = {}
    for record in records:
        topic = record["stream"].encode()
        offset = offsets.get(topic, 0)
        offsets[topic] = offset + 1
        event_type = (record.get("type") or "").encode()
        key = record["key"]
        if "raw" in record:
            value = base64.b64decode(record["raw"])
        else:
            value = None if record["event"] is None else schema.encode(record["type"], record["event"])
        yield struct.pack("<HiqqBBIHI", len(topic), 0, offset, milliseconds(record["at"]), key is not None,
                          value is None, len((key or "").encode()), len(event_type), len(value or b""))
        yield topic + (key or "").encode() + event_type + (value or b"")


def project(records, schema, *flags):
    done = subprocess.run([BUILD / "model" / "project", EXAMPLES, *flags], input=b"".join(frames(records, schema)),
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert b"Sanitizer" not in done.stderr and b"runtime error" not in done.stderr, done.stderr.decode()
    return done.stdout.decode()


@domains
def test_hand_written_events_fold_into_hand_written_screens(domain, examples):
    golden = GOLDEN[domain]
    lines = [json.loads(line) for line in project(golden.records, examples).splitlines()]
    screens = {f"/v1/{line['view']}/{line['key']}": line["json"] for line in lines if line.get("made")}
    for path, screen in golden.screens.items():
        assert screens.get(path) == screen, path
    assert [path for path in golden.absent if path in screens] == []

    parked = [line for line in lines if "parked" in line]
    firsts = [(line["key"] or "", line["type"] or "", line["parked"]) for line in parked if line["parked"] != "waiting"]
    assert sorted(firsts) == sorted((p["key"] or "", p["type"], p["reason"]) for p in golden.parked)
    assert len(parked) - len(firsts) == sum(p["waiting"] for p in golden.parked)


def interleaved(seed):
    """The records of all domains, the order within each stream kept, otherwise by chance."""
    streams = {}
    for golden in GOLDEN.values():
        for record in golden.records:
            streams.setdefault(record["stream"], []).append(record)
    chance = random.Random(seed)
    queues = {stream: iter(records) for stream, records in streams.items()}
    order = [stream for stream, records in streams.items() for _ in records]
    chance.shuffle(order)
    return [next(queues[stream]) for stream in order]


def test_any_interleaving_of_the_streams_gives_the_same_digests(examples):
    digests = {project(interleaved(seed), examples, "--digest") for seed in range(12)}
    assert len(digests) == 1, "\n".join(digests)
