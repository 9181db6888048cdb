"""Announcements on a real Kafka: who is told of what, and when."""

import pytest
from announcement_support import Announcements, announcement_schema
from tarn.events import Publisher, Schema
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
