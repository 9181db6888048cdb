"""The same records in any interleaving of topics and partitions, in batches of any size, one partition after the other:
the same digest. And a digest that notices one byte that somebody changed by hand."""

import random
import re

import pytest
from survive_support import PacedPublisher, chance, tiers  # noqa: F401 (a fixture)
from tarn.programs import run_command
from tarn.workload import topics_for_examples

PARTITIONS = 3


class Log:
    """Records as they shall stand in each partition; published into new topics in one order or another."""

    def __init__(self, publisher, chance, count):
        kinds = {stream: stream for stream in topics_for_examples(lambda name, partitions: name)}
        groups = {stream: chance.randrange(3) for stream in kinds}  # three topics
        paced = PacedPublisher(publisher, kinds, chance, distinct=count, people=count // 25)
        self.topic_of = {stream: f"topic-{groups[stream]}" for stream in kinds}
        self.partitions = {}
        for number, (stream, event_type, key, value) in enumerate(paced.records):
            at = (self.topic_of[stream], sum(key.encode()) % PARTITIONS)
            self.partitions.setdefault(at, []).append((event_type, key, value, 1767225600000 + number))

    def topics(self, names):
        return {stream: names[topic] for stream, topic in self.topic_of.items()}

    def interleaved(self, chance, run_length):
        """((topic, partition), record), runs of about that length from one partition and then another."""
        left = {at: list(reversed(records)) for at, records in self.partitions.items()}
        while left:
            at = chance.choice(sorted(left))
            for _ in range(chance.randrange(1, 2 * run_length)):
                yield at, left[at].pop()
                if not left[at]:
                    del left[at]
                    break


def whole_partitions(log, chance):
    """Each to its end before the next begins; the projector has taken it before the next one is there."""
    order = sorted(log.partitions)
    chance.shuffle(order)
    for at in order:
        yield [(at, record) for record in log.partitions[at]]


def in_pieces(log, chance, run_length):
    records = list(log.interleaved(chance, run_length))
    size = max(1, len(records) // 5)
    for first in range(0, len(records), size):
        yield records[first:first + size]


# name: (parts, each of which is taken before the next is published; whether a projector runs meanwhile; its flags)
SMALL_FETCHES = ["--kafka", "fetch.message.max.bytes=1000"]
WAYS = {
    "at once": (lambda log, chance: [list(log.interleaved(chance, 1))], False, []),
    "partition by partition": (whole_partitions, True, []),
    "in long runs, from a small cache": (lambda log, chance: in_pieces(log, chance, 500), True, ["--memory", "64MiB"]),
    "in small batches": (lambda log, chance: in_pieces(log, chance, 3), True, SMALL_FETCHES),
    "backwards": (lambda log, chance: [part for part in reversed(list(whole_partitions(log, chance)))], False,
                  SMALL_FETCHES),
}


@tiers(short={"records": 3000, "rounds": 1}, soak={"records": 60000, "rounds": 3, "fixed_seed": False})
def test_any_interleaving_of_topics_and_partitions_in_any_batches_gives_the_same_digest(tier, chance, kafka, new_topic,
                                                                                        publisher, programs, tmp_path):
    log = Log(publisher, chance, tier["records"])
    seen = {}
    for number in range(tier["rounds"]):
        for way, (parts_of, is_running, flags) in WAYS.items():
            names = {topic: new_topic(topic, PARTITIONS) for topic in sorted(set(log.topic_of.values()))}
            name = re.sub(r"\W+", "-", f"{way}-{number}")
            projector = programs.projector(tmp_path / name, kafka, log.topics(names), name=name, flags=flags,
                                           start=is_running)
            for part in parts_of(log, random.Random(chance.randrange(2**31))):
                for (topic, partition), (event_type, key, value, at) in part:
                    publisher.publish(names[topic], event_type, None, key=key, raw=value, at=at, partition=partition)
                publisher.flush()
                if is_running:
                    projector.wait_caught_up()
            if not is_running:
                projector.start()
                projector.wait_caught_up()
            seen[name] = projector.digests()
            projector.stop()
            print(f"{name}: {sum(map(len, log.partitions.values()))} records of {len(log.partitions)} partitions")
    assert len(set(seen.values())) == 1, seen
    assert all(int(line.split()[1]) > 0 for line in next(iter(seen.values())).splitlines() if "bureau" in line)


@pytest.fixture
def small_store(kafka, new_topic, publisher, programs, store):
    topics = topics_for_examples(new_topic)
    for number in range(40):
        publisher.publish(topics["lender"], "lender.v1.LenderChanged",
                          {"lender_id": f"L{number}", "name": f"the name of lender {number:04}"}, key=f"L{number}")
    publisher.flush()
    projector = programs.projector(store, kafka, topics).wait_caught_up()
    projector.stop()
    return projector


def test_one_byte_that_somebody_changed_by_hand_is_found_by_its_digest(small_store):
    before = small_store.digests()
    assert run_command("digest", "--check", "--store", small_store.store).status == 0
    (data,) = small_store.store.glob("generations/*/data.mdb")
    pages = data.read_bytes()
    name = b"the name of lender 0007"
    assert name in pages
    data.write_bytes(pages.replace(name, b"the name of lender 000X"))  # in every version of the row

    assert small_store.cli("get", "lenders", "L7", "--json")["view"]["name"] == "the name of lender 000X"
    checked = run_command("digest", "--check", "--store", small_store.store)
    assert checked.status == 3, checked
    assert "digest" in checked.err or "bucket" in checked.err or "sum" in checked.err, checked.err
    data.write_bytes(pages)
    again = run_command("digest", "--check", "--store", small_store.store)
    assert (again.status, again.out) == (0, before)


def test_one_byte_of_one_event_is_another_digest(kafka, new_topic, publisher, programs, tmp_path):
    digests = []
    for name in ("a name", "a nane"):
        topics = topics_for_examples(new_topic)
        for number in range(40):
            publisher.publish(topics["lender"], "lender.v1.LenderChanged",
                              {"lender_id": f"L{number}", "name": name if number == 7 else "another"}, key=f"L{number}",
                              at=1767225600000)
        publisher.flush()
        projector = programs.projector(tmp_path / name.replace(" ", "-"), kafka, topics).wait_caught_up()
        digests.append(projector.digests().splitlines())
        projector.stop()
    different = [(a, b) for a, b in zip(*digests) if a != b]
    assert len(different) == 1 and different[0][0].split()[:2] == different[0][1].split()[:2] == ["lenders", "40"]
