"""Fixtures of the system tests. Each test owns its folder, topics and processes; the broker is shared by a session."""

import pathlib
import re
import shutil
import tempfile
import uuid

import pytest

from tarn import EXAMPLES
from tarn.events import Publisher, Schema
from tarn.kafka import DEFAULT_VERSION, Kafka
from tarn.mariadb import Database
from tarn.programs import Projector, Query
from tarn.relay import Log, Relay


@pytest.fixture(scope="session")
def brokers():
    """One Kafka of each version that is asked for, for the whole session."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-kafka-"))
    running = {}

    def of_version(version):
        if version not in running:
            running[version] = Kafka(folder / version, version)
            running[version].start()
        running[version].process.assert_alive()
        return running[version]

    yield of_version
    for kafka in running.values():
        kafka.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kafka_version():
    """Parametrize this to run a test on another version."""
    return DEFAULT_VERSION


@pytest.fixture
def kafka(brokers, kafka_version):
    return brokers(kafka_version)


@pytest.fixture
def own_kafka(tmp_path, kafka_version):
    """A broker for one test, to be killed and started again."""
    kafka = Kafka(tmp_path / "kafka", kafka_version)
    kafka.start()
    yield kafka
    kafka.stop()


@pytest.fixture
def new_topic(kafka, request):
    """new_topic("loans", partitions=3): makes a topic of this test's own and returns its name."""
    made = []

    def make(name, partitions=1, **config):
        test = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name)[:60].strip("-")
        full_name = f"{name}.{test}.{uuid.uuid4().hex[:8]}"
        made.append(kafka.create_topic(full_name, partitions, **config))
        return full_name

    yield make
    for name in made:
        if kafka.process.is_alive():
            kafka.admin.delete_topics([name])


@pytest.fixture(scope="session")
def database_server():
    """One MariaDB for the whole session; its folder's name is short, as a socket's path must be."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-db-"))
    database = Database(folder).start()
    yield database
    database.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(database_server):
    """The session's MariaDB with an empty database `bank`."""
    database_server.process.assert_alive()
    database_server.run("DROP DATABASE IF EXISTS bank; CREATE DATABASE bank CHARACTER SET utf8mb4", database="mysql")
    return database_server


@pytest.fixture
def own_database():
    """A MariaDB for one test, to be killed and started again."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-db-"))
    database = Database(folder).start()
    yield database
    database.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def examples():
    return Schema(EXAMPLES)


@pytest.fixture
def publisher(kafka, examples):
    publisher = Publisher(kafka, examples)
    yield publisher
    publisher.producer.flush(5)


@pytest.fixture
def store(tmp_path):
    """The path of a store that isn't there yet."""
    return tmp_path / "store"


@pytest.fixture
def programs(tmp_path, request):
    """Starts Projector and Query, ends them with the test, and scans what they said."""
    started = []
    request.node.tarn_programs = started

    class Programs:
        @staticmethod
        def projector(store, kafka, topics, name="projector", start=True, wait_ready=True, **options):
            program = Projector(tmp_path, _unused(name), store, kafka, topics, **options)
            started.append(program)
            return program.start(wait_ready) if start else program

        @staticmethod
        def query(store, name="query", start=True, wait_ready=True, **options):
            program = Query(tmp_path, _unused(name), store, **options)
            started.append(program)
            return program.start(wait_ready) if start else program

        @staticmethod
        def relay(database, kafka, topics, name="relay", start=True, wait_ready=True, **options):
            program = Relay(tmp_path, _unused(name), database, kafka, topics, **options)
            started.append(program)
            return program.start(wait_ready) if start else program

    def _unused(name):
        taken = {program.name for program in started}
        return next(n for n in [name, *(f"{name}-{i}" for i in range(2, 1000))] if n not in taken)

    yield Programs()
    for program in reversed(started):
        program.end()
    for program in started:
        program.assert_sane()


@pytest.fixture
def log_of(kafka):
    """log_of(topic): reads what is committed in a topic."""
    logs = []

    def open_log(topic, of=None):
        logs.append(Log(of or kafka, topic))
        return logs[-1]

    yield open_log
    for log in logs:
        log.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of each program's log."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for program in getattr(item, "tarn_programs", []):
            report.sections.append((f"log of {program.name}", program.log()[-8000:]))
        kafka = item.funcargs.get("own_kafka") or item.funcargs.get("kafka") if hasattr(item, "funcargs") else None
        if kafka is not None and kafka.process is not None:
            report.sections.append((f"log of {kafka.process.name}", kafka.process.log()[-4000:]))
