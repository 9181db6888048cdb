"""Where the story happens: MariaDB, Apache Kafka, relay, projector and query server, in a folder of their own."""

import concurrent.futures
import pathlib
import shutil
import subprocess
import tempfile

from tarn import ROOT
from tarn.events import Schema
from tarn.kafka import Kafka
from tarn.mariadb import Database
from tarn.programs import Projector, Query
from tarn.relay import Relay, relay_command
from tarn.waiting import wait_until

from . import FOLDER

PARTITIONS = 4
EVENTS, READY = "results", "ready"

# A broker that was killed is taken for alive until its session is over, and can't register before.
BROKER = """
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


class Stage:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-story-"))  # short, as a socket's path must be
        self.kafka = Kafka(self.folder / "kafka", more=BROKER)
        self.database = Database(self.folder / "db", buffer_pool="256M")
        self.programs = []
        # The kernel ends a child with the thread that started it: these threads stay until everything has ended.
        self.pool = concurrent.futures.ThreadPoolExecutor(8)

    def start(self):
        for started in [self.pool.submit(part) for part in (self._start_kafka, self._start_database, self._compile)]:
            started.result()
        self.projector = Projector(self.folder, "projector", self.folder / "store", self.kafka, EVENTS, schema=self.set,
                                   flags=["--announce-topic", READY, "--kafka", "fetch.wait.max.ms=20"])
        self.query = Query(self.folder, "query", self.folder / "store")
        self.relay = Relay(self.folder, "relay", self.database, self.kafka, EVENTS, flags=["--poll", "20ms"])
        self.programs += [self.projector, self.query, self.relay]
        for program in self.programs:
            program.start()
        return self

    def _start_kafka(self):
        self.kafka.start()
        for topic in (EVENTS, READY):
            self.kafka.create_topic(topic, PARTITIONS)

    def _start_database(self):
        self.database.start()
        done = relay_command(self.database, "--init")
        assert done.status == 0, done.err

    def _compile(self):
        self.set = self.folder / "story.binpb"
        done = subprocess.run(["protoc", "-I", ROOT / "schema", "-I", FOLDER, "--include_imports",
                               f"--descriptor_set_out={self.set}", "story.proto", "tarn/announcement.proto"],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.schema = Schema(self.set)

    def wait_drained(self, timeout_s=120):
        """Until what is committed in the database is in the store."""
        wait_until(lambda: self.database.value("SELECT COUNT(*) FROM outbox") == "0", "an empty outbox", timeout_s,
                   alive=[self.relay.process, self.database.process], poll_s=0.1)
        self.projector.wait_caught_up(timeout_s)

    def victims(self):
        """For Chaos. Starting is over when it answers, not when it has what it needs of the others. The broker, which takes
        longest to come, is let up for less time than the others, so that these are killed while it is there, too."""
        return {"relay": (self.relay.kill, lambda: self.relay.start(wait_ready=False), 8),
                "projector": (self.projector.kill, lambda: self.projector.start(wait_ready=False), 8),
                "broker": (self.kafka.kill, self.kafka.restart, 5),
                "database": (self.database.kill, self.database.restart, 8)}

    def assert_sane(self):
        for program in self.programs:
            program.assert_sane()

    def end(self):
        for program in reversed(self.programs):
            program.end()
        self.database.stop()
        self.kafka.stop()
        self.pool.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)
