"""`tarn-projector relay` as a test holds it, and a reader of what it published."""

import time
import uuid

from confluent_kafka import Consumer, TopicPartition

from . import BUILD, PATIENCE
from .process import free_port
from .programs import Program, run_command


class Relay(Program):
    """`topics`: a topic's name for all streams, or {stream: topic}."""

    def __init__(self, folder, name, database, kafka, topics, flags=(), env=None, program=BUILD / "tarn-projector"):
        super().__init__(folder, name)
        self.database = database
        self.kafka = kafka
        self.topics = topics
        self.flags = list(flags)
        self.program = program
        self.env = {"TARN_DATABASE": database if isinstance(database, str) else database.url(),
                    "TARN_DATABASE_TLS": "disabled", **(env or {})}

    def choose_ports(self):
        self.admin_port = free_port()
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"

    def argv(self):
        topics = self.topics if isinstance(self.topics, str) else ",".join(f"{s}={t}" for s, t in self.topics.items())
        return [self.program, "relay", "--brokers", self.kafka.brokers, "--topics", topics, "--listen",
                f"127.0.0.1:{self.admin_port}", *self.flags]

    def metric(self, name, **labels):
        return self.metrics().sum(f"tarn_relay_{name}", **labels)


def relay_command(database, *arguments, env=None, **options):
    """`tarn-projector relay ...` to its end."""
    return run_command("relay", *arguments, env={
        "TARN_DATABASE": database if isinstance(database, str) else database.url(), "TARN_DATABASE_TLS": "disabled",
        **(env or {})}, **options)


class Record:
    def __init__(self, message):
        self.partition, self.offset = message.partition(), message.offset()
        self.key, self.value = message.key(), message.value()
        self.time_ms = message.timestamp()[1]
        self.headers = {name: value.decode() for name, value in message.headers() or []}


class Log:
    """What committed transactions have put into a topic, read from its beginning."""

    def __init__(self, kafka, topic):
        self.consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": f"log-{uuid.uuid4()}", "log_level": 0,
                                  "isolation.level": "read_committed", "auto.offset.reset": "earliest",
                                  "enable.auto.commit": False, "fetch.wait.max.ms": 50,
                                  "fetch.message.max.bytes": 32 << 20})
        partitions = self.consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self.consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        self.records = []

    def read(self, until, timeout_s=30):
        """Reads on until until(records) holds."""
        deadline = time.monotonic() + timeout_s * PATIENCE
        while not until(self.records):
            for message in self.consumer.consume(10000, 0.1):
                assert message.error() is None, message.error()
                self.records.append(Record(message))
            assert time.monotonic() < deadline, f"{len(self.records)} records after {timeout_s * PATIENCE} s"
        return self.records

    def read_count(self, count, timeout_s=30):
        return self.read(lambda records: len(records) >= count, timeout_s)

    def close(self):
        self.consumer.close()
