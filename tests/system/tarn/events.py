"""Events: JSON in, protobuf records on Kafka out, by a descriptor set at run time."""

import base64
import datetime
import json

from confluent_kafka import Producer as KafkaProducer
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from . import EXAMPLES


class Schema:
    """The message types of a descriptor set."""

    def __init__(self, path=EXAMPLES):
        self.path = path
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for file in descriptors.file:  # imports come before those who import
            self.pool.Add(file)

    def new(self, full_name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(full_name))()

    def encode(self, full_name, fields):
        """The bytes of a message given as proto3 JSON."""
        return json_format.ParseDict(fields, self.new(full_name)).SerializeToString(deterministic=True)

    def decode(self, full_name, data):
        message = self.new(full_name)
        message.ParseFromString(data)
        return message


def milliseconds(text):
    """Of "2026-11-22T09:00:00Z", since 1970."""
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


class Publisher:
    """Publishes events. `partitioner` is librdkafka's name for it: murmur2 is what Java's clients use."""

    def __init__(self, kafka, schema, partitioner="murmur2", **settings):
        self.schema = schema
        self.producer = KafkaProducer({
            "bootstrap.servers": kafka.brokers, "partitioner": partitioner, "linger.ms": 5, "log_level": 0,
            "enable.idempotence": True, **{name.replace("_", "."): value for name, value in settings.items()}})

    def publish(self, topic, event_type, fields, key=None, at=None, headers=(), partition=None, raw=None,
                on_delivery=None):
        """One event. `fields` None: a null value; `raw`: these bytes instead; `key` None: no key; `at`: ISO time or ms."""
        if raw is not None:
            value = raw
        else:
            value = None if fields is None else self.schema.encode(event_type, fields)
        all_headers = list(headers)
        if event_type is not None:
            all_headers.insert(0, ("type", event_type.encode()))
        options = {}
        if at is not None:
            options["timestamp"] = milliseconds(at) if isinstance(at, str) else at
        if partition is not None:
            options["partition"] = partition
        while True:
            try:
                self.producer.produce(topic, value=value, key=key, headers=all_headers, on_delivery=on_delivery, **options)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def publish_record(self, topic, record):
        """A record as golden files write it: {key, type, event, at, headers, raw}."""
        raw = base64.b64decode(record["raw"]) if "raw" in record else None
        headers = [(name, value.encode()) for name, value in record.get("headers", {}).items()]
        self.publish(topic, record.get("type"), record.get("event"), key=record.get("key"), at=record.get("at"),
                     headers=headers, raw=raw)

    def flush(self):
        assert self.producer.flush(30) == 0, "Kafka didn't take all records within 30 s"


def read_jsonl(path):
    """Lines of JSON; empty lines and lines that begin with // are for the reader."""
    records = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("//"):
            try:
                records.append(json.loads(line))
            except ValueError as error:
                raise AssertionError(f"{path}:{number}: {error}") from error
    return records
