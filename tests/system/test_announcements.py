"""Announcements on a real Kafka: who is told of what, and when."""

import os
import random

import pytest
from announcement_support import Announcements, announcement_schema
from tarn.events import Publisher, Schema
from tarn.programs import run_command
from tarn.waiting import wait_until


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return announcement_schema(tmp_path_factory.mktemp("announcement"))


@pytest.fixture
def listen(kafka, new_topic, schema):
    opened = []

    def make():
        topic = new_topic("announcements")
        opened.append(Announcements(kafka, topic, schema))
        return topic, opened[-1]

    yield make
    for announcements in opened:
        announcements.close()


def report(publisher, topic, user, number, **more):
    publisher.publish(topic, "genetics.v1.AnalysisCompleted", {"user_id": user, "report_id": f"rep{number}"}, key=user,
                      **more)


def test_a_new_report_is_announced_once_readers_get_it_and_a_first_filling_never(programs, kafka, new_topic, listen,
                                                                               tmp_path):
    events, (topic, heard) = new_topic("events", 2), listen()
    publisher = Publisher(kafka, Schema())
    for number in range(50):
        report(publisher, events, f"u{number}", 1)
    publisher.flush()
    projector = programs.projector(tmp_path / "store", kafka, events, flags=["--announce-topic", topic])
    projector.wait_caught_up()
    query = programs.query(projector.store)
    for number in range(20):
        report(publisher, events, f"u{number}", 2)
        publisher.publish(events, "identity.v1.UserRenamed", {"user_id": f"u{number}", "name": "Min"}, key=f"u{number}")
    publisher.flush()
    for _ in range(20):
        announcement = heard.next()
        answer = query.get(announcement.link.split("?")[0])
        assert answer.json()["reportId"] == "rep2", announcement
    assert len(heard.read(1)) == 20 == len(set(heard.ids()))
    told = {announcement.key[0]: announcement for announcement in heard.all}
    assert set(told) == {f"u{number}" for number in range(20)}
    for record, announcement in zip(heard.records, heard.all):
        owner = announcement.key[0]
        assert record.key().decode() == owner
        assert dict(record.headers()) == {"type": b"tarn.Announcement", "id": announcement.id.encode()}
        assert (announcement.name, announcement.view) == ("ready", "genetic-result")
        assert announcement.generation == projector.status()["name"]
        assert announcement.link == (f"/v1/genetic-result/{owner}?at-least="
                                     f"{events}/{announcement.partition}@{announcement.offset}")
        assert announcement.event_time.ToMilliseconds() <= announcement.visible_time.ToMilliseconds() + 1000
        assert announcement.visible_time.ToMilliseconds() <= record.timestamp()[1]


@pytest.fixture
def world(programs, kafka, new_topic, listen, tmp_path):
    """A caught-up projector that announces; what was there before isn't announced."""

    class World:
        def __init__(self):
            self.events = new_topic("events", 2)
            self.topic, self.heard = listen()
            self.publisher = Publisher(kafka, Schema())
            self.told = 0
            for number in range(10):
                report(self.publisher, self.events, f"u{number}", "old")
            self.publisher.flush()
            self.projector = programs.projector(tmp_path / "store", kafka, self.events,
                                                flags=["--announce-topic", self.topic])
            self.projector.wait_caught_up()
            self.query = programs.query(self.projector.store)

        def report(self, count, **more):
            """That many new reports, of one person each."""
            for _ in range(count):
                self.told += 1
                report(self.publisher, self.events, f"n{self.told}", self.told, **more)
            self.publisher.flush()

        def wait_told(self, timeout_s=60):
            wait_until(lambda: len({announcement.id for announcement in self.heard.read(0.01)}) >= self.told,
                       f"{self.told} announcements", timeout_s)

        def people(self):
            return sorted(announcement.key[0] for announcement in self.heard.read(1))

        def expected(self):
            return sorted(f"n{number + 1}" for number in range(self.told))

        def generations(self):
            return {generation["name"] for generation in self.projector.cli("status", "--json")["generations"]}

        def rebuild(self):
            before = self.generations()
            done = run_command("rebuild", "--schema", self.projector.schema, "--store", self.projector.store, "--wait",
                               timeout_s=120)
            assert done.status == 0, done
            return (self.generations() - before).pop()

    return World()


def test_neither_a_rebuild_nor_a_first_load_nor_what_readers_do_not_see_is_announced(world):
    world.report(3)
    world.wait_told()
    world.rebuild()
    report(world.publisher, world.events, "u1", "loaded", headers=[("first-load", b"genetic-result")])
    # A person without a screen yet: the name makes none.
    world.publisher.publish(world.events, "identity.v1.UserRenamed", {"user_id": "x", "name": "Kim"}, key="x")
    report(world.publisher, world.events, "u2", "old")  # the same again
    world.report(2)
    assert world.query.get("/v1/genetic-result/u1?wait=1000").status_code == 200
    world.wait_told()
    assert world.people() == world.expected()


def test_a_link_with_the_position_is_waited_for_by_a_replica_that_is_behind(world, programs, kafka, tmp_path):
    replica = programs.projector(tmp_path / "replica", kafka, world.events, name="replica")
    replica.wait_caught_up()
    query = programs.query(replica.store, name="replica-query")
    replica.stop()
    world.report(1)
    announcement = world.heard.next()
    assert query.get(announcement.link + "&wait=100").status_code == 409
    replica.start(wait_ready=False)
    answer = wait_until(lambda: (got := query.get(announcement.link + "&wait=5000")).status_code == 200 and got,
                        "the replica")
    assert answer.json()["reportId"] == "rep1"


def test_cut_overs_in_traffic_lose_no_announcement_and_make_none_twice(world):
    first = world.projector.status()["name"]
    other = world.rebuild()
    chance = random.Random(7)
    steps = [("promote", other), ("promote", first), ("promote", other, "--traffic", "30"), ("promote", other),
             ("rollback",), ("promote", first), ("promote", other)]
    for step in steps:
        world.report(chance.randrange(20, 60))
        world.projector.cli(*step)
        world.report(chance.randrange(20, 60))
    world.wait_told()
    assert world.people() == world.expected()
    assert {announcement.generation for announcement in world.heard.all} == {first, other}


def test_an_orderly_restart_makes_no_repeat(world):
    for _ in range(3):
        world.report(100)
        world.projector.stop()
        world.report(50)
        world.projector.start()
    world.wait_told()
    assert world.people() == world.expected()


def test_what_comes_after_a_kill_right_behind_the_first_ready_is_announced(programs, kafka, new_topic, listen, tmp_path):
    events, publisher = new_topic("events", 2), Publisher(kafka, Schema())
    topic, heard = listen()
    projector = programs.projector(tmp_path / "store", kafka, events, flags=["--announce-topic", topic]).wait_caught_up()
    projector.kill()
    for number in range(20):
        report(publisher, events, f"n{number}", number)
    publisher.flush()
    projector.start()
    wait_until(lambda: len({announcement.id for announcement in heard.read(0.01)}) >= 20, "20 announcements", 20)


@pytest.mark.parametrize("kills", [10, pytest.param(60, marks=pytest.mark.soak)])
def test_kills_lose_no_announcement_and_repeats_have_the_same_id(world, kills):
    seed = int(os.environ.get("TARN_SEED", "1"))
    chance = random.Random(seed)
    for _ in range(kills):
        world.report(chance.randrange(50, 400))
        world.projector.kill()
        world.report(chance.randrange(0, 100))
        world.projector.start(wait_ready=False)
    world.wait_told()
    world.heard.read(1)
    by_id = {announcement.id: announcement for announcement in world.heard.all}
    assert sorted(announcement.key[0] for announcement in by_id.values()) == world.expected()
    for announcement in world.heard.all:
        first = by_id[announcement.id]
        assert (announcement.key, announcement.offset) == (first.key, first.offset)
    print(f"seed {seed}: {len(world.heard.all) - len(by_id)} repeats of {len(by_id)}")


def test_a_topic_that_cannot_be_written_to_holds_up_nothing_and_the_oldest_are_given_up(programs, kafka, new_topic,
                                                                                      schema, tmp_path):
    events, missing = new_topic("events"), f"missing-{random.randrange(10**9)}"
    publisher = Publisher(kafka, Schema())
    projector = programs.projector(tmp_path / "store", kafka, events,
                                   flags=["--announce-topic", missing, "--announce-backlog", "100"])
    report(publisher, events, "u", 0)
    publisher.flush()
    projector.wait_caught_up()
    query = programs.query(projector.store)

    def given_up():
        return projector.metrics().sum("tarn_projector_announcements_given_up_total")

    def pending():
        return projector.status()["announcements_pending"]

    for number in range(1, 301):
        report(publisher, events, f"u{number}", number)
        if number % 50 == 0:
            publisher.flush()
            projector.wait_caught_up()
            assert query.get(f"/v1/genetic-result/u{number}").status_code == 200
    wait_until(lambda: "announcements don't reach topic" in projector.log(), "people to be told", 30)
    wait_until(lambda: "are given up, the oldest" in projector.log(), "people to be told", 30)
    print(run_command("status", "--store", projector.store).out, given_up())
    assert given_up() + pending() == 301 and pending() <= 101  # what is on its way isn't given up
    assert projector.metrics().sum("tarn_projector_announcements_oldest_seconds") > 0
    kafka.create_topic(missing, 1)
    heard = Announcements(kafka, missing, schema)
    try:
        wait_until(lambda: len(heard.read()) >= 301 - given_up(), "the rest", 60)
        assert len(heard.read(1)) == 301 - given_up() == len(set(heard.ids()))
        assert "u300" in {announcement.key[0] for announcement in heard.all}
        wait_until(lambda: pending() == 0, "nothing to be pending")
        assert "announcements reach topic" in projector.log()
    finally:
        heard.close()
