"""What the other system tests take for granted."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from tarn.events import milliseconds
from tarn.kafka import DEFAULT_VERSION, NEXT_VERSION


@pytest.mark.parametrize("kafka_version", [DEFAULT_VERSION, NEXT_VERSION])
def test_an_event_that_was_published_is_read_back_with_its_type_key_and_time(kafka, new_topic, publisher, examples):
    topic = new_topic("identity", partitions=3)
    publisher.publish(topic, "identity.v1.UserRenamed", {"userId": "u1", "name": "지우"}, key="u1",
                      at="2026-11-01T09:00:00Z", partition=2)
    publisher.publish(topic, "identity.v1.UserErased", None, key="u1", partition=2)
    publisher.flush()
    assert kafka.ends([topic]) == {(topic, 0): 0, (topic, 1): 0, (topic, 2): 2}

    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": "harness"})
    consumer.assign([TopicPartition(topic, 2, 0)])
    named, erased = consumer.consume(2, timeout=10)
    consumer.close()
    assert named.key() == b"u1"
    assert named.headers() == [("type", b"identity.v1.UserRenamed")]
    assert named.timestamp()[1] == milliseconds("2026-11-01T09:00:00Z")
    assert examples.decode("identity.v1.UserRenamed", named.value()).name == "지우"
    assert erased.value() is None
