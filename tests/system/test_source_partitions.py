"""New partitions, compacted logs, null values."""

import threading

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from source_support import lender_name, position, publish_lenders, two_topics, wait_log, wait_position
from tarn.events import Publisher
from tarn.waiting import wait_until


@pytest.fixture
def publisher(kafka, examples):
    """One that soon notices new partitions."""
    publisher = Publisher(kafka, examples, topic_metadata_refresh_interval_ms=200)
    yield publisher
    publisher.producer.flush(5)


def test_new_partitions_under_load_lose_nothing_and_keep_the_order_of_each_key(kafka, new_topic, publisher, programs,
                                                                                store):
    topic = new_topic("all", partitions=2)
    projector = programs.projector(store, kafka, topic)
    is_enough = threading.Event()
    rounds = [0]

    def publish():
        while not is_enough.is_set() or rounds[0] < 40:
            publish_lenders(publisher, topic, range(50), name=f"round {rounds[0]}")
            rounds[0] += 1

    load = threading.Thread(target=publish)
    load.start()
    try:
        wait_until(lambda: rounds[0] >= 5, "load")
        kafka.add_partitions(topic, 5)
        wait_log(projector, "3 new partitions")
        wait_until(lambda: all(kafka.ends([topic])[topic, p] > 0 for p in range(5)), "records in the new partitions",
                   120, poll_s=0.5)
    finally:
        is_enough.set()
        load.join()
    publisher.flush()
    for (name, partition), end in kafka.ends([topic]).items():
        wait_position(projector, name, end, partition)
    assert projector.metrics().sum("tarn_projector_records_total") == 50 * rounds[0]
    projector.stop()
    for number in (0, 17, 49):
        assert lender_name(projector, number) == f"round {rounds[0] - 1} {number}"


def test_a_new_partition_is_not_begun_before_the_old_ones_have_reached_their_ends(kafka, new_topic, publisher, programs,
                                                                                  store):
    topic = new_topic("all", partitions=1)
    publish_lenders(publisher, topic, range(100), name="old", partition=0)
    projector = programs.projector(store, kafka, topic)
    wait_position(projector, topic, 100)
    projector.stop()
    publish_lenders(publisher, topic, range(20000), name="older", partition=0)
    kafka.add_partitions(topic, 2)

    def is_new_partition_known():
        try:
            publish_lenders(publisher, topic, range(1), name="new", partition=1)
            return True
        except KafkaException:
            return False

    wait_until(is_new_partition_known, "the new partition")
    publish_lenders(publisher, topic, range(1, 100), name="new", partition=1)
    projector.start()
    wait_position(projector, topic, 100, partition=1)
    assert position(projector, topic) == 20100
    log = projector.log()
    assert "1 new partitions" in log and "the partitions before it have passed their ends; begins" in log
    projector.stop()
    assert lender_name(projector, 7) == "new 7"


def test_gaps_of_a_compacted_log_are_no_lag_and_a_compacted_last_record_is_no_rewritten_log(kafka, new_topic, publisher,
                                                                                             programs, store):
    lenders = new_topic("lenders", cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio=0.001,
                        max_compaction_lag_ms=1000, min_compaction_lag_ms=0, delete_retention_ms=0)
    topics = two_topics(lenders, new_topic("others"))
    for i in range(5):
        publish_lenders(publisher, lenders, range(10), name=f"round {i}")
    projector = programs.projector(store, kafka, topics)
    wait_position(projector, lenders, 50)
    projector.stop()
    publish_lenders(publisher, lenders, range(10), name="last")

    def is_compacted():
        publish_lenders(publisher, lenders, [99])  # rolls the segment
        consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": "look", "log_level": 0})
        consumer.assign([TopicPartition(lenders, 0, 0)])
        first = consumer.consume(1, timeout=5)
        consumer.close()
        return first and first[0].offset() >= 50

    wait_until(is_compacted, "compaction", 90, poll_s=1)
    end = kafka.ends([lenders])[lenders, 0]
    projector.start()
    wait_position(projector, lenders, end)
    projector.stop()
    assert lender_name(projector, 3) == "last 3"
    assert "truncated" not in projector.log()


def test_a_null_value_is_the_tombstone_of_its_stream_and_skipped_where_none_is_meant(kafka, new_topic, publisher,
                                                                                     programs, store):
    topics = two_topics(new_topic("lenders"), new_topic("others"))
    publish_lenders(publisher, topics["lender"], [1, 2])
    publisher.publish(topics["lender"], None, None, key="l1")
    publisher.publish(topics["genetics"], None, None, key="u1")
    publisher.flush()
    projector = programs.projector(store, kafka, topics)
    wait_position(projector, topics["lender"], 3)
    wait_position(projector, topics["genetics"], 1)
    assert projector.metrics().sum("tarn_projector_parked_events") == 0
    projector.stop()
    assert lender_name(projector, 1) is None
    assert lender_name(projector, 2) == "Bank 2"


def test_a_start_reads_the_last_record_of_each_partition_at_once_however_large_the_batches(own_kafka, examples, programs,
                                                                                          store):
    """Kafka lets only the first partition of a fetch exceed its limit: each of the others has to have its turn without waiting
    a second for it, or a start takes as many seconds as there are partitions."""
    topic = own_kafka.create_topic("all", partitions=6)
    publisher = Publisher(own_kafka, examples, linger_ms=200, batch_size=900_000)
    publish_lenders(publisher, topic, range(600), name="Bank " + 1000 * "x")
    projector = programs.projector(store, own_kafka, topic).wait_caught_up()
    projector.stop()
    publish_lenders(publisher, topic, range(600))
    projector.flags = ["--log-level", "debug"]
    projector.start()
    projector.wait_caught_up()
    assert "couldn't be read in time" not in projector.log()
