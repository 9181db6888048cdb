"""Exposures on a real Kafka: who saw which generation, told at least once, and joined with what people did."""

import collections
import subprocess

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from cutover_support import OWNERS, make_store, publish_screens
from tarn import ROOT
from tarn.events import Schema
from tarn.waiting import wait_until


@pytest.fixture(scope="module")
def exposure_schema(tmp_path_factory):
    path = tmp_path_factory.mktemp("exposure") / "exposure.binpb"
    subprocess.run(["protoc", "-I", "schema", "--include_imports", f"--descriptor_set_out={path}",
                    "schema/tarn/exposure.proto"], cwd=ROOT, check=True)
    return Schema(path)


class Topic:
    """All records of a topic, as a consumer that starts at its beginning sees them."""

    def __init__(self, kafka, name, partitions):
        self.consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": name, "enable.auto.commit": False,
                                  "log_level": 0})
        self.consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for partition in range(partitions)])
        self.records = []

    def read(self):
        while (record := self.consumer.poll(0.05)) is not None:
            if record.error() is None:
                self.records.append(record)
        return self.records

    def close(self):
        self.consumer.close()


@pytest.fixture
def topic_of(kafka, new_topic):
    opened = []

    def make(name, partitions=2):
        full_name = new_topic(name, partitions)
        opened.append(Topic(kafka, full_name, partitions))
        return full_name, opened[-1]

    yield make
    for topic in opened:
        topic.close()


def decoded(schema, records):
    return [schema.decode("tarn.Exposure", record.value()) for record in records]


def flags_of(kafka, topic, *more):
    return ["--exposure-topic", topic, "--brokers", kafka.brokers, *more]


def published(query):
    return query.metrics().sum("tarn_query_exposures_published_total")


def test_a_consumer_joins_who_saw_which_generation_with_what_they_did(programs, kafka, topic_of, exposure_schema,
                                                                      tmp_path):
    shop, purchases = topic_of("shop")
    exposures_name, exposures = topic_of("exposures")
    publish_screens(kafka, shop)
    store = make_store(programs, kafka, shop, tmp_path)
    candidate = store.other()
    store.command("promote", candidate, "--traffic", 30)
    servers = [programs.query(store.path, flags=flags_of(kafka, exposures_name)) for _ in range(2)]
    saw = {}
    for number in range(OWNERS):
        owner = f"u{number}"
        for query in servers:
            answer = query.get(f"/v1/screen/{owner}")
            assert query.get(f"/v1/screen/{owner}").headers["Tarn-Generation"] == answer.headers["Tarn-Generation"]
            saw[owner] = answer.headers["Tarn-Generation"]
        assert servers[0].get(f"/v1/screen/nobody-{number}").status_code == 404
    for query in servers:
        wait_until(lambda: published(query) == OWNERS, "all to be acknowledged", alive=[query.process])
        assert query.metrics().sum("tarn_query_exposures_dropped_total") == 0

    records = wait_until(lambda: len(exposures.read()) >= 2 * OWNERS and exposures.records, "the exposures")
    told = decoded(exposure_schema, records)
    by_id = {exposure.id: exposure for exposure in told}
    assert len(by_id) == OWNERS  # two servers, one id
    assert {exposure.owner: exposure.generation for exposure in by_id.values()} == saw
    assert {exposure.view for exposure in told} == {"screen"}
    for record, exposure in zip(records, told):
        assert record.key().decode() == exposure.owner
        assert dict(record.headers()) == {"type": b"tarn.Exposure", "id": exposure.id.encode()}
        assert abs(exposure.time.ToMilliseconds() - record.timestamp()[1]) < 60000

    # The join: exposures lie in the partitions of their owners' events.
    wait_until(lambda: len(purchases.read()) >= OWNERS, "the purchases")
    partition_of = {record.key(): record.partition() for record in purchases.records}
    assert all(partition_of[record.key()] == record.partition() for record in records)
    bought = collections.Counter(saw[record.key().decode()] for record in purchases.records)
    joined = collections.Counter(exposure.generation for exposure in by_id.values()
                                 if exposure.owner.encode() in partition_of)
    assert joined == bought and set(joined) == set(store.letters)

    # Another generation is another exposure; the same again isn't.
    store.command("promote", candidate)
    for query in servers:
        wait_until(lambda: query.get("/v1/screen/u1").headers["Tarn-Generation"] == candidate, "the candidate")
    moved = next(owner for owner, generation in saw.items() if generation != candidate)
    stayed = next(owner for owner, generation in saw.items() if generation == candidate)
    before = {query: published(query) for query in servers}
    for query in servers:
        for _ in range(3):
            assert query.get(f"/v1/screen/{moved}").status_code == 200
            assert query.get(f"/v1/screen/{stayed}").status_code == 200

    def generations_of(owner):
        return {exposure.generation for exposure in decoded(exposure_schema, exposures.read()) if exposure.owner == owner}

    wait_until(lambda: len(generations_of(moved)) == 2, "the other exposure")
    assert generations_of(stayed) == {candidate}
    assert all(published(query) - before[query] <= 2 for query in servers)  # u1's and the moved one's

    # A server that is started again has forgotten whom it told of: a repeat, with the same id.
    servers[0].stop()
    servers[0].start()
    assert servers[0].get(f"/v1/screen/{stayed}").status_code == 200
    servers[0].stop()  # sends what it has before it ends

    def ids_of(owner):
        return [exposure.id for exposure in decoded(exposure_schema, exposures.read()) if exposure.owner == owner]

    wait_until(lambda: len(ids_of(stayed)) == 3, "the repeat")
    assert len(set(ids_of(stayed))) == 1


def test_answers_go_on_without_kafka_and_the_next_one_tries_again(programs, own_kafka, exposure_schema, tmp_path):
    own_kafka.create_topic("shop", 1)
    own_kafka.create_topic("exposures", 1)
    publish_screens(own_kafka, "shop", owners=20)
    projector = programs.projector(tmp_path / "store", own_kafka, "shop",
                                   schema=ROOT / "build" / "protos" / "cutover_a.binpb")
    projector.wait_caught_up()
    projector.stop()
    own_kafka.kill()
    flags = flags_of(own_kafka, "exposures", "--kafka", "message.timeout.ms=1500")
    query = programs.query(projector.store, flags=flags)
    for number in range(20):
        answer = query.get(f"/v1/screen/u{number}")
        assert answer.status_code == 200 and answer.elapsed.total_seconds() < 1
    wait_until(lambda: query.metrics().sum("tarn_query_exposures_dropped_total") == 20, "Kafka to be given up",
               alive=[query.process])
    assert query.log().count("exposures don't reach topic exposures") == 1
    own_kafka.restart()

    def all_are_published():
        for number in range(20):
            assert query.get(f"/v1/screen/u{number}").status_code == 200
        return published(query) == 20

    wait_until(all_are_published, "everybody's exposure", 60, alive=[query.process], poll_s=0.3)
    assert "exposures reach topic exposures again" in query.log()
    topic = Topic(own_kafka, "exposures", 1)
    wait_until(lambda: len(topic.read()) >= 20, "the exposures")
    assert len({exposure.id for exposure in decoded(exposure_schema, topic.records)}) == 20
    topic.close()


def test_what_is_missing_or_wrong_is_named_and_no_secret_told(programs, tmp_path):
    for flags, word in [
            (["--exposure-topic", "t"], "--exposure-topic needs --brokers"),
            (["--exposure-topic", "t", "--brokers", "localhost:1", "--kafka", "no.such=secret"], "no.such"),
            (["--exposure-topic", "t", "--brokers", "localhost:1", "--kafka", "acks=secret"], "acks"),
            (["--exposure-topic", "t", "--brokers", "localhost:1", "--kafka", "bootstrap.servers=secret"], "--brokers")]:
        query = programs.query(tmp_path, start=False, flags=flags)
        query.choose_ports()
        done = subprocess.run([str(part) for part in query.argv()], capture_output=True, text=True, timeout=20)
        assert done.returncode == 2, done
        assert word in done.stderr and "secret" not in done.stderr, done.stderr


def test_nothing_is_published_unless_asked_for(programs, kafka, topic_of, tmp_path):
    shop, _ = topic_of("shop")
    _, exposures = topic_of("exposures")
    publish_screens(kafka, shop, owners=5)
    projector = programs.projector(tmp_path / "store", kafka, shop,
                                   schema=ROOT / "build" / "protos" / "cutover_a.binpb")
    projector.wait_caught_up()
    query = programs.query(projector.store, flags=["--brokers", kafka.brokers])  # for both programs' environment
    assert query.get("/v1/screen/u1").status_code == 200
    assert not any("exposures" in name for name in query.metrics().names())
    assert exposures.read() == []
