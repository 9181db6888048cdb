"""Kafka that isn't there, goes away, or comes back; topics that come later; stops."""

import time

from confluent_kafka import Consumer, TopicPartition
from source_support import publish_lenders, wait_log, wait_position
from tarn.events import Publisher
from tarn.kafka import Kafka
from tarn.process import free_port
from tarn.waiting import wait_until


class NoKafka:
    """An address where nobody listens."""

    def __init__(self):
        self.brokers = f"127.0.0.1:{free_port()}"


def test_run_starts_without_kafka_says_so_once_and_stops_within_two_seconds(programs, store):
    projector = programs.projector(store, NoKafka(), "all", wait_ready=False)
    wait_log(projector, "Kafka doesn't answer")
    assert projector.healthz().status_code == 200
    answer = projector.readyz()
    assert answer.status_code == 503 and answer.headers["Content-Type"] == "application/problem+json"
    assert projector.metrics().sum("tarn_projector_kafka_connected") == 0
    time.sleep(3)  # librdkafka goes on trying; it isn't logged again
    assert projector.log().count("Kafka doesn't answer") == 1
    assert projector.stop() < 2


def test_run_takes_kafka_up_when_it_comes(tmp_path, examples, programs, store):
    kafka = Kafka(tmp_path / "kafka")
    kafka.start()
    topic = kafka.create_topic("all")
    publish_lenders(Publisher(kafka, examples), topic, range(10))
    kafka.stop()
    projector = programs.projector(store, kafka, topic, wait_ready=False)
    wait_log(projector, "Kafka doesn't answer")
    kafka.restart()
    try:
        projector.wait_ready()
        wait_position(projector, topic, 10)
        assert "Kafka answers again" in projector.log()
    finally:
        kafka.stop()


def test_a_broker_that_is_killed_and_comes_back_is_survived_and_shown(own_kafka, examples, programs, store):
    topic = own_kafka.create_topic("all")
    publisher = Publisher(own_kafka, examples)
    publish_lenders(publisher, topic, range(10))
    projector = programs.projector(store, own_kafka, topic)
    own_kafka.kill()
    wait_log(projector, "Kafka doesn't answer")
    assert projector.healthz().status_code == 200
    assert projector.readyz().status_code == 200  # stale screens beat no screens
    own_kafka.restart()
    wait_log(projector, "Kafka answers again")
    publish_lenders(publisher, topic, range(10))
    wait_position(projector, topic, 20)
    assert projector.metrics().sum("tarn_projector_records_total") == 20


def test_a_stop_while_kafka_is_away_takes_less_than_two_seconds(own_kafka, examples, programs, store):
    topic = own_kafka.create_topic("all")
    publish_lenders(Publisher(own_kafka, examples), topic, range(10))
    projector = programs.projector(store, own_kafka, topic)
    own_kafka.kill()
    wait_log(projector, "Kafka doesn't answer")
    assert projector.stop() < 2


def test_a_stop_in_the_middle_of_catching_up_takes_less_than_two_seconds_and_loses_nothing(kafka, new_topic, publisher,
                                                                                           programs, store):
    topic = new_topic("all", partitions=3)
    publish_lenders(publisher, topic, (i % 5000 for i in range(100000)))
    projector = programs.projector(store, kafka, topic, wait_ready=False)
    time.sleep(0.3)
    assert projector.stop() < 2
    projector.start(wait_ready=False)
    for (name, partition), end in kafka.ends([topic]).items():
        wait_position(projector, name, end, partition)


def test_a_topic_that_comes_later_is_waited_for_and_never_made_by_us(kafka, publisher, programs, store):
    topic = f"later-{time.time_ns()}"
    projector = programs.projector(store, kafka, topic, wait_ready=False)
    wait_log(projector, f"topic {topic}: there is no such topic yet; waiting for it")
    assert topic not in kafka.admin.list_topics(timeout=5).topics
    assert f"topic {topic} isn't there" in projector.readyz().text or projector.readyz().status_code == 503
    kafka.create_topic(topic)
    try:
        publish_lenders(publisher, topic, range(3))
        wait_position(projector, topic, 3)
        projector.wait_ready()
    finally:
        kafka.admin.delete_topics([topic])


def test_the_position_of_a_kill_is_gone_on_from(kafka, new_topic, publisher, programs, store):
    topic = new_topic("all")
    publish_lenders(publisher, topic, range(100))
    projector = programs.projector(store, kafka, topic)
    wait_position(projector, topic, 100)
    projector.kill()
    publish_lenders(publisher, topic, range(50))
    projector.start()
    wait_position(projector, topic, 150)


def test_kafkas_own_tools_see_the_lag(kafka, new_topic, publisher, programs, store):
    topic = new_topic("all")
    publish_lenders(publisher, topic, range(10))
    programs.projector(store, kafka, topic, flags=["--group", "lag-monitor"])
    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": "lag-monitor", "log_level": 0})
    try:
        wait_until(lambda: consumer.committed([TopicPartition(topic, 0)], timeout=5)[0].offset == 10,
                   "the committed offset", poll_s=0.5)
    finally:
        consumer.close()
