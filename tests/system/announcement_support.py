"""What was announced, as a consumer of the topic sees it, and a topic that is read from its beginning."""

import subprocess
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from tarn import ROOT
from tarn.events import Schema


def announcement_schema(folder):
    path = folder / "announcement.binpb"
    subprocess.run(["protoc", "-I", "schema", "--include_imports", f"--descriptor_set_out={path}",
                    "schema/tarn/announcement.proto"], cwd=ROOT, check=True)
    return Schema(path)


class Announcements:
    """All announcements of a topic so far, in the order of its one partition; `seen_at` beside each."""

    def __init__(self, kafka, topic, schema):
        self.schema = schema
        self.consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": topic, "enable.auto.commit": False,
                                  "fetch.wait.max.ms": 10, "log_level": 0})
        self.consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        self.records = []
        self.all = []
        self.seen_at = []

    def read(self, wait_s=0.05):
        """Takes in what is there; returns all so far."""
        while (record := self.consumer.poll(wait_s)) is not None:
            if record.error() is None:
                self.records.append(record)
                self.all.append(self.schema.decode("tarn.Announcement", record.value()))
                self.seen_at.append(time.monotonic())
        return self.all

    def next(self, timeout_s=10):
        """The next record only, as soon as it comes; None: none came."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            record = self.consumer.poll(0.05)
            if record is not None and record.error() is None:
                self.records.append(record)
                self.all.append(self.schema.decode("tarn.Announcement", record.value()))
                self.seen_at.append(time.monotonic())
                return self.all[-1]
        return None

    def ids(self):
        return [announcement.id for announcement in self.all]

    def offsets(self):
        return sorted((announcement.topic, announcement.partition, announcement.offset) for announcement in self.all)

    def close(self):
        self.consumer.close()
