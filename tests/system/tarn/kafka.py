"""Apache Kafka: one node that is broker and controller (KRaft), in a folder and on ports of its own."""

import subprocess
import uuid

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from . import ROOT
from .process import Process, free_port
from .waiting import wait_until

DEFAULT_VERSION = "3.9.1"
NEXT_VERSION = "4.1.1"

# Retention is off: events of tests have times of their own, and a week after them Kafka would delete them in mid-test.
CONFIGURATION = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
num.partitions=1
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
background.threads=2
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
delete.topic.enable=true
log.retention.ms=-1
log.retention.check.interval.ms=1000
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.backoff.ms=200
log.segment.delete.delay.ms=0
file.delete.delay.ms=0
controlled.shutdown.enable=false
{more}
"""


class Kafka:
    def __init__(self, folder, version=DEFAULT_VERSION, more=""):
        """`more`: further lines of its configuration."""
        self.more = more
        self.folder = folder
        self.version = version
        self.libs = ROOT / "build" / f"kafka-{version}" / "libs"
        self.process = None
        self.admin = None
        assert self.libs.is_dir(), f"{self.libs} isn't there: ops/dev/install.sh test installs it"

    def start(self):
        """Starts it on ports that are free; again on others when somebody took one in between."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(3):
            self.port, controller_port = free_port(), free_port()
            (self.folder / "server.properties").write_text(
                CONFIGURATION.format(folder=self.folder, port=self.port, controller_port=controller_port,
                                     more=self.more))
            if not (self.folder / "data").exists():
                self._format()
            try:
                self._run()
                return self
            except AssertionError:
                if "Address already in use" not in self.process.log() or attempt == 2:
                    raise
        return self

    def restart(self):
        """Starts it again on the ports that it had, after kill() or stop()."""
        self._run()

    def _run(self):
        self.admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        self.process = Process(self._java("kafka.Kafka", "server.properties"), self.folder / "kafka.log",
                               cwd=self.folder, name=f"kafka {self.version}")
        wait_until(self._is_ready, f"Apache Kafka {self.version}", 120, alive=[self.process], poll_s=0.1)

    def _java(self, main_class, *arguments):
        return ["java", "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                "-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-cp", f"{self.libs}/*", main_class, *arguments]

    def _format(self):
        identity = subprocess.run(self._java("kafka.tools.StorageTool", "random-uuid"), capture_output=True, text=True,
                                  check=True).stdout.split()[-1]
        done = subprocess.run(self._java("kafka.tools.StorageTool", "format", "-t", identity, "-c", "server.properties"),
                              capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr

    def _is_ready(self):
        try:
            return len(self.admin.list_topics(timeout=1).brokers) == 1
        except KafkaException:
            return False

    @property
    def brokers(self):
        return f"127.0.0.1:{self.port}"

    def create_topic(self, name, partitions=1, **config):
        """`config`: topic settings with _ for the dots: cleanup_policy="compact"."""
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        self._done(self.admin.create_topics([NewTopic(name, partitions, 1, config=settings)]))

        def is_led():
            partition = self.admin.list_topics(name, timeout=5).topics[name].partitions
            return len(partition) == partitions and all(p.leader == 1 for p in partition.values())

        wait_until(is_led, f"leaders of topic {name}", alive=[self.process])
        return name

    def delete_topic(self, name):
        self._done(self.admin.delete_topics([name]))
        wait_until(lambda: name not in self.admin.list_topics(timeout=5).topics, f"the end of topic {name}")

    def add_partitions(self, name, total):
        self._done(self.admin.create_partitions([NewPartitions(name, total)]))

    def delete_records(self, name, partition, before_offset):
        self._done(self.admin.delete_records([TopicPartition(name, partition, before_offset)]))

    @staticmethod
    def _done(futures):
        for future in futures.values():
            future.result(30)  # raises what went wrong

    def ends(self, topics):
        """{(topic, partition): the next offset that a record would get}"""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": f"ends-{uuid.uuid4()}", "log_level": 0})
        try:
            ends = {}
            for topic in topics:
                for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
                    _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
                    ends[topic, partition] = end
            return ends
        finally:
            consumer.close()

    def stop(self):
        if self.process:
            self.process.end()

    def kill(self):
        self.process.kill()
