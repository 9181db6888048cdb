"""Publishes events that are written as JSON, one a line, to Kafka: for trying screens out.

    ops/dev/publish.sh BROKERS screens.binpb TOPIC < events.jsonl

A line: {"key": "u1", "type": "parcel.v1.Accepted", "event": {...}}, and if wanted "at" (ISO time) and "headers"; an event
that is null is a null value. The descriptor set knows the types. ops/dev/publish.sh brings the Python packages.
"""

import datetime
import json
import sys

from confluent_kafka import Producer
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory


def types_of(path):
    pool = descriptor_pool.DescriptorPool()
    with open(path, "rb") as file:
        for descriptor in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
            pool.Add(descriptor)
    return pool


def value_of(pool, record):
    if record["event"] is None:
        return None
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(record["type"]))()
    return json_format.ParseDict(record["event"], message).SerializeToString()


def publish(producer, pool, topic, record):
    headers = [(name, text.encode()) for name, text in record.get("headers", {}).items()]
    if record.get("type"):
        headers.append(("type", record["type"].encode()))
    options = {}
    if "at" in record:
        options["timestamp"] = round(datetime.datetime.fromisoformat(record["at"]).timestamp() * 1000)
    failures = []
    producer.produce(topic, value_of(pool, record), key=record["key"], headers=headers,
                     on_delivery=lambda error, _: failures.append(error) if error else None, **options)
    left = producer.flush(30)
    if failures or left:
        sys.exit(f"not published: {failures[0] if failures else 'no answer from the brokers'}")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    brokers, schema, topic = sys.argv[1:]
    pool = types_of(schema)
    # As Java's producers do it: the same key, the same partition, whoever publishes.
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2", "log_level": 3})
    count = 0
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip() or line.startswith("//"):
            continue
        try:
            publish(producer, pool, topic, json.loads(line))
        except (ValueError, KeyError, json_format.ParseError) as error:
            sys.exit(f"line {number}: {error}")
        count += 1
    print(f"{count} events published")


main()
