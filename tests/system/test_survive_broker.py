"""Whatever happens to Kafka while events flow: brokers that stop, die and come back, partitions that are added, transactions
that are aborted, projectors killed in between. In the end the store is that of a quiet run, and what never happened isn't
in it."""

import contextlib
import threading
import time
import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from source_support import is_stopped, lender_name, publish_lenders, wait_log
from survive_support import PacedPublisher, Readers, chance, tables_with, tiers  # noqa: F401 (a fixture)
from tarn.events import Publisher
from tarn.waiting import wait_until
from tarn.workload import STREAM_TOPICS

LENDERS = 40
RATE = 400
NEVER = "what was never committed"
SCREENS = ("monthly-spending", "unified-balance", "genetic-result")


class Lenders:
    """The same few lenders renamed again and again, each by the number of its round: whoever reads a key's records out of
    order ends with another name."""

    def __init__(self, kafka, schema, topic):
        self.publisher = Publisher(kafka, schema, topic_metadata_refresh_interval_ms=200)
        self.topic, self.rounds = topic, 0
        self._stop, self._turn = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.1):
            with self._turn:
                for number in range(LENDERS):
                    self.publisher.publish(self.topic, "lender.v1.LenderChanged", {
                        "lenderId": f"l{number}", "name": f"round {self.rounds} {number}"}, key=f"l{number}")
                self.rounds += 1

    @contextlib.contextmanager
    def paused(self):
        with self._turn:
            self.publisher.flush()
            yield

    def wait_partitions(self, count):
        """Until the producer knows of so many."""
        def are_known():
            return len(self.publisher.producer.list_topics(self.topic, timeout=10).topics[self.topic].partitions) == count

        wait_until(are_known, "the new partitions", poll_s=0.2)

    def stop(self):
        self._stop.set()
        self._thread.join(60)
        self.publisher.flush()


class Mishaps:
    def __init__(self, chance, kafka, schema, topics, projector, lenders):
        self.chance, self.kafka, self.schema, self.topics = chance, kafka, schema, topics
        self.projector, self.lenders = projector, lenders
        self.partitions = 2
        self.counts = {}

    def broker_stopped(self):
        self.kafka.stop()
        time.sleep(self.chance.uniform(0, 1.5))
        self.kafka.restart()

    def broker_killed(self):
        self.kafka.kill()
        time.sleep(self.chance.uniform(0, 1.5))
        self.kafka.restart()

    def broker_and_projector_killed(self):
        self.kafka.kill()
        self.projector.kill()
        self.projector.start(wait_ready=False)  # without Kafka
        self.kafka.restart()

    def projector_killed(self):
        self.projector.kill()
        self.projector.start(wait_ready=False)

    def partitions_added(self):
        """The producer learns of them first: what it still writes into the old ones after the projector has looked at
        their ends may be read behind what it has written into the new ones."""
        with self.lenders.paused():
            self.projector.wait_caught_up(120)
            self.partitions += self.chance.randrange(1, 3)
            self.kafka.add_partitions(self.topics["lender"], self.partitions)
            self.lenders.wait_partitions(self.partitions)

    def transaction_aborted(self):
        producer = Producer({"bootstrap.servers": self.kafka.brokers, "transactional.id": f"t-{uuid.uuid4()}",
                             "log_level": 0})
        producer.init_transactions(30)
        producer.begin_transaction()
        for _ in range(self.chance.randrange(1, 200)):
            user = f"u{self.chance.randrange(400)}"
            producer.produce(self.topics["identity"], key=user, headers=[("type", b"identity.v1.UserRenamed")],
                             value=self.schema.encode("identity.v1.UserRenamed", {"userId": user, "name": NEVER}))
        producer.flush(30)
        producer.abort_transaction(30)

    FEW = (broker_and_projector_killed, partitions_added, transaction_aborted)  # a broker takes seconds to start
    ALL = (*FEW, broker_stopped, broker_killed, projector_killed)

    def happen(self, number, kinds):
        """Each kind once in an order by chance, then each once more in another."""
        if number % len(kinds) == 0:
            self.order = self.chance.sample(kinds, len(kinds))
        mishap = self.order[number % len(kinds)]
        mishap(self)
        self.counts[mishap.__name__] = self.counts.get(mishap.__name__, 0) + 1
        time.sleep(self.chance.uniform(0, 0.7))


@tiers(short={"mishaps": 3, "kinds": Mishaps.FEW}, soak={"mishaps": 36, "kinds": Mishaps.ALL, "fixed_seed": False})
def test_whatever_happens_to_kafka_the_store_ends_as_that_of_a_quiet_run(tier, chance, own_kafka, examples, programs,
                                                                         tmp_path):
    events = own_kafka.create_topic("events", 2)
    topics = {**dict.fromkeys(STREAM_TOPICS, events), "identity": own_kafka.create_topic("people", 2),
              "lender": own_kafka.create_topic("lenders", 2)}
    publisher = Publisher(own_kafka, examples)
    paced = PacedPublisher(publisher, topics, chance)
    paced.burst(1000)
    publisher.flush()
    projector = programs.projector(tmp_path / "store", own_kafka, topics)
    projector.wait_caught_up()
    query = programs.query(projector.store)
    paths = [f"/v1/{view}/u{user}" for view in SCREENS for user in range(0, 400, 7)]
    lenders = Lenders(own_kafka, examples, topics["lender"])
    mishaps = Mishaps(chance, own_kafka, examples, topics, projector, lenders)
    paced.start(RATE)
    with Readers(query, paths, chance) as readers:
        for number in range(tier["mishaps"]):
            mishaps.happen(number, tier["kinds"])
        paced.stop()
        lenders.stop()
        projector.wait_caught_up(120)
    print(f"{mishaps.counts}; {paced.published} events, {lenders.rounds} rounds of {LENDERS} lenders over {mishaps.partitions} "
          f"partitions; answers: {readers.answers}, the slowest after {readers.slowest_s * 1000:.0f} ms")
    partitions = projector.status()["partitions"]
    projector.stop()

    assert tables_with(projector.store, NEVER) == set()
    for number in range(LENDERS):
        assert lender_name(projector, number) == f"round {lenders.rounds - 1} {number}", partitions
    quiet = programs.projector(tmp_path / "quiet", own_kafka, topics, name="quiet").wait_caught_up()
    # A fresh store doesn't know when the lenders' new partitions came: what it makes of them is another matter.
    assert without_lenders(quiet.digests()) == without_lenders(projector.digests())


def without_lenders(digests):
    return [line for line in digests.splitlines() if not line.startswith("lenders ")]


@pytest.mark.soak  # Kafka looks after its logs for the first time when it has run for 30 s; records that were deleted by
# command are among the tests of rewritten logs
def test_a_retention_that_overtook_a_stopped_projector_is_said_and_stops_that_partition_alone(kafka, new_topic, publisher,
                                                                                              programs, store):
    lenders = new_topic("lenders", retention_ms=2000, segment_ms=500)
    others = new_topic("others")
    topics = {**dict.fromkeys(STREAM_TOPICS, others), "identity": others, "lender": lenders}
    publish_lenders(publisher, lenders, range(20))
    projector = programs.projector(store, kafka, topics).wait_caught_up()
    projector.stop()
    publish_lenders(publisher, lenders, range(30))

    def first_offset():
        consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": "look", "log_level": 0})
        try:
            return consumer.get_watermark_offsets(TopicPartition(lenders, 0), timeout=10)[0]
        finally:
            consumer.close()

    wait_until(lambda: first_offset() > 20, "Kafka's own retention", 60, poll_s=0.5)
    projector.start(wait_ready=False)
    wait_until(lambda: is_stopped(projector, lenders), "the stop of that partition", alive=[projector.process])
    wait_log(projector, "but 20 was to be read next; raise the topic's retention")
    assert any(p["state"] == "lost" for p in projector.status()["partitions"] if p["topic"] == lenders)
    query = programs.query(store, wait_ready=False)
    assert query.get("/v1/lenders/l7").json()["name"] == "Bank 7"  # what was there is still served
    publisher.publish(others, "genetics.v1.AnalysisCompleted", {"user_id": "u1", "report_id": "r1"}, key="u1")
    publisher.flush()
    wait_until(lambda: query.get("/v1/genetic-result/u1").status_code == 200, "another topic's screen",
               alive=[projector.process])
