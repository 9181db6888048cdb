"""Only what was committed counts, and what never happened leaves no gap that looks like lag."""

import uuid

from confluent_kafka import Producer
from source_support import position, publish_lenders, wait_position


def transactional(kafka):
    producer = Producer({"bootstrap.servers": kafka.brokers, "transactional.id": f"t-{uuid.uuid4()}", "log_level": 0})
    producer.init_transactions(30)
    return producer


def produce_lender(producer, examples, topic, number, name):
    producer.produce(topic, key=f"l{number}", headers=[("type", b"lender.v1.LenderChanged")],
                     value=examples.encode("lender.v1.LenderChanged", {"lenderId": f"l{number}", "name": name}))


def handled(projector):
    return projector.metrics().sum("tarn_projector_records_total")


def test_aborted_records_are_not_applied_and_control_records_are_no_lag(kafka, new_topic, examples, programs, store):
    topic = new_topic("all")
    producer = transactional(kafka)
    producer.begin_transaction()
    produce_lender(producer, examples, topic, 1, "committed")
    producer.commit_transaction(30)
    producer.begin_transaction()
    for number in range(2, 12):
        produce_lender(producer, examples, topic, number, "aborted")
    producer.flush(30)
    producer.abort_transaction(30)
    end = kafka.ends([topic])[topic, 0]
    assert end == 13  # 1 + 10 records, a commit and an abort marker

    projector = programs.projector(store, kafka, topic)
    wait_position(projector, topic, end)
    assert handled(projector) == 1
    assert projector.metrics().sum("tarn_projector_lag", topic=topic) == 0


def test_records_of_an_open_transaction_are_neither_applied_nor_lag_until_it_ends(kafka, new_topic, examples, programs,
                                                                                  publisher, store):
    topic = new_topic("all")
    publish_lenders(publisher, topic, [1])
    projector = programs.projector(store, kafka, topic)
    producer = transactional(kafka)
    producer.begin_transaction()
    produce_lender(producer, examples, topic, 2, "later")
    producer.flush(30)
    publish_lenders(publisher, topic, [3])
    assert kafka.ends([topic])[topic, 0] == 1  # what can be read
    assert position(projector, topic) == 1
    assert projector.metrics().sum("tarn_projector_lag", topic=topic) == 0
    assert projector.readyz().status_code == 200
    producer.commit_transaction(30)
    wait_position(projector, topic, 4)
    assert handled(projector) == 3


def test_a_restart_behind_control_records_goes_on_where_it_was(kafka, new_topic, examples, programs, publisher, store):
    topic = new_topic("all")
    producer = transactional(kafka)
    producer.begin_transaction()
    produce_lender(producer, examples, topic, 1, "one")
    producer.commit_transaction(30)
    projector = programs.projector(store, kafka, topic)
    wait_position(projector, topic, 2)
    projector.stop()
    publish_lenders(publisher, topic, [2])
    projector.start()
    wait_position(projector, topic, 3)
    assert handled(projector) == 1
