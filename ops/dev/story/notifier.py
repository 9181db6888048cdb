"""Reads announcements, as whoever sends push notifications would, and tells who is ready.

Beside them it reads the events themselves: only so a test knows which result an announcement is of."""

import threading
import time
import uuid

from confluent_kafka import Consumer, TopicPartition

from .stage import EVENTS, PARTITIONS, READY


class Heard:
    """An announcement: `repeat` counts from 0."""

    __slots__ = ("person", "result_id", "place", "offset", "link", "heard_us", "repeat")

    def __init__(self, announcement, heard_us, repeat):
        self.person = announcement.key[0]
        self.place, self.offset = f"{announcement.topic}/{announcement.partition}", announcement.offset
        self.link, self.heard_us, self.repeat = announcement.link, heard_us, repeat
        self.result_id = None


class Notifier(threading.Thread):
    """Calls ready(heard) for each announcement, repeats too, from its own thread; after some, rest()."""

    def __init__(self, stage, ready=lambda heard: None, rest=lambda: None):
        super().__init__(daemon=True)
        self.schema = stage.schema
        self.ready, self.rest = ready, rest
        self.results = {}    # (place, offset) of each record: its result's id
        self.announced = {}  # id of each announcement: how often
        self.repeated_records = 0
        self.fault = None
        self._known, self._waiting = set(), []
        self._stop_event = threading.Event()
        self._consumer = Consumer({"bootstrap.servers": stage.kafka.brokers, "group.id": f"notifier-{uuid.uuid4()}",
                                   "log_level": 0, "isolation.level": "read_committed", "auto.offset.reset": "earliest",
                                   "enable.auto.commit": False, "fetch.wait.max.ms": 10,
                                   "reconnect.backoff.max.ms": 500})
        self._consumer.assign([TopicPartition(topic, number, 0) for topic in (EVENTS, READY) for number in range(PARTITIONS)])
        self.start()

    def run(self):
        try:
            while not self._stop_event.is_set():
                for message in self._consumer.consume(2000, 0.02):
                    if message.error() is None:
                        self._take(message, time.monotonic_ns() // 1000)
                self._tell()
        except Exception as fault:
            self.fault = fault

    def _take(self, message, now_us):
        if message.topic() == EVENTS:
            event = self.schema.decode("story.ResultCame", message.value())
            self.results[f"{EVENTS}/{message.partition()}", message.offset()] = event.result_id
            self.repeated_records += event.result_id in self._known
            self._known.add(event.result_id)
            return
        announcement = self.schema.decode("tarn.Announcement", message.value())
        repeat = self.announced.get(announcement.id, 0)
        self.announced[announcement.id] = repeat + 1
        heard = Heard(announcement, now_us, repeat)
        self._waiting.append(heard)

    def _tell(self):
        """The event may come a moment after its announcement: two topics, one consumer."""
        waiting, self._waiting = self._waiting, []
        for heard in waiting:
            heard.result_id = self.results.get((heard.place, heard.offset))
            if heard.result_id is None:
                self._waiting.append(heard)
            else:
                self.ready(heard)
        if waiting:
            self.rest()

    def assert_well(self):
        if self.fault is not None:
            raise self.fault

    def finish(self):
        self._stop_event.set()
        self.join(30)
        self._consumer.close()
        self.assert_well()
