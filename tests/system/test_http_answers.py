"""What a client of tarn-query sees, with a projector and a real Kafka behind it: headers, statuses, waiting."""

import threading
import time

import pytest

from tarn.waiting import wait_until
from tarn.workload import topics_for_examples

PROTOBUF = {"Accept": "application/x-protobuf"}
LENDER = "lender.v1.LenderChanged"


@pytest.fixture
def bank(kafka, new_topic, publisher, programs, store):
    """Projector and query server over a store with the lender KB; .put(name) publishes and returns the offset."""

    class Bank:
        def __init__(self):
            self.topics = topics_for_examples(new_topic, partitions=1)
            self.topic = self.topics["lender"]
            self.offset = -1
            self.put("KB")
            self.projector = programs.projector(store, kafka, self.topics)
            self.query = programs.query(store)
            self.wait_for_name("KB")

        def put(self, name, key="KB", **fields):
            publisher.publish(self.topic, LENDER, {"lender_id": key, "name": name, **fields}, key=key)
            publisher.flush()
            self.offset += 1
            return self.offset

        def get(self, path="/v1/lenders/KB", headers=None, method="GET"):
            return self.query.get(path, headers, method)

        def wait_for_name(self, name):
            def has_name():
                answer = self.get()
                return answer.status_code == 200 and answer.json()["name"] == name
            wait_until(has_name, f"the name {name}", alive=[self.projector, self.query])

    return Bank()


def test_an_answer_says_all_that_a_client_must_know(bank, examples):
    answer = bank.get()
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["Tarn-Generation"] == bank.projector.status()["name"]
    assert int(answer.headers["Tarn-Age"]) <= 1
    assert f"{bank.topic}/0@0" in answer.headers["Tarn-Position"].split(", ")
    assert "Tarn-Incomplete" not in answer.headers

    head = bank.get(method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("ETag", "Content-Length", "Content-Type", "Tarn-Position"):
        assert head.headers[name] == answer.headers[name]

    protobuf = bank.get(headers=PROTOBUF)
    assert protobuf.headers["Content-Type"] == "application/x-protobuf"
    assert protobuf.headers["ETag"] != answer.headers["ETag"]
    assert examples.decode("lender.screens.Lender", protobuf.content).name == "KB"

    assert bank.get(headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert bank.get(headers={"If-None-Match": answer.headers["ETag"], **PROTOBUF}).status_code == 200
    assert bank.get("/v1/lenders/KB?fields=name").json() == {"name": "KB"}


def test_the_entity_tag_changes_when_the_screen_does_and_only_then(bank):
    first = bank.get().headers["ETag"]
    same = bank.put("KB")  # the same bytes again: the position moves, the tag doesn't
    answer = bank.get(headers={"Tarn-At-Least": f"{bank.topic}/0@{same}", "Tarn-Wait": "10000"})
    assert answer.status_code == 200
    assert answer.headers["ETag"] == first
    assert f"{bank.topic}/0@{same}" in answer.headers["Tarn-Position"]
    bank.put("KB Bank")
    bank.wait_for_name("KB Bank")
    assert bank.get().headers["ETag"] != first


def test_a_request_waits_for_the_position_it_asks_for(bank):
    answers = []

    def ask():
        began = time.monotonic()
        answer = bank.get(headers={"Tarn-At-Least": f"{bank.topic}/0@1", "Tarn-Wait": "20000"})
        answers.append((answer, time.monotonic() - began))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    assert not answers
    bank.put("Later")
    asking.join(30)
    answer, took_s = answers[0]
    assert answer.json()["name"] == "Later"
    assert took_s >= 0.3
    late = bank.get(f"/v1/lenders/KB?at-least={bank.topic}/0@2&wait=100")
    assert (late.status_code, late.headers["Retry-After"]) == (409, "1")
    assert late.headers["Content-Type"] == "application/problem+json"
    assert f"{bank.topic}/0@1" in late.headers["Tarn-Position"]
    assert bank.get(f"/v1/lenders/KB?at-least={bank.topic}/7@2").status_code == 400
    assert bank.get("/v1/lenders/KB?at-least=nothing/0@2").status_code == 400
    assert bank.get("/v1/lenders/KB?at-least=id=&wait=0").status_code == 400
    assert bank.get("/v1/lenders/KB?at-least=id=e-1&wait=0").status_code == 409


def test_a_key_without_a_screen_says_how_far_the_store_is(bank):
    answer = bank.get("/v1/lenders/nobody")
    assert answer.status_code == 404
    assert answer.json()["status"] == 404
    assert f"{bank.topic}/0@0" in answer.headers["Tarn-Position"]
    assert {"Tarn-Age", "Tarn-Generation"} <= set(answer.headers)


def test_a_parked_event_makes_its_key_incomplete_and_no_other(bank, publisher):
    publisher.publish(bank.topic, LENDER, None, key="KB", raw=b"\xff\xff\xff")
    publisher.flush()
    wait_until(lambda: bank.get().headers.get("Tarn-Incomplete") == "true", "Tarn-Incomplete",
               alive=[bank.projector, bank.query])
    assert bank.get().json()["name"] == "KB"
    assert "Tarn-Incomplete" not in bank.get("/v1/lenders/nobody").headers


def test_answers_survive_the_projector_and_say_how_old_they_are(bank):
    bank.projector.kill()
    wait_until(lambda: int(bank.get().headers["Tarn-Age"]) >= 3, "Tarn-Age to grow", alive=[bank.query])
    assert bank.query.readyz().status_code == 200
    missed = bank.put("While it was dead")
    assert bank.get().json()["name"] == "KB"
    bank.projector.start()
    bank.wait_for_name("While it was dead")
    wait_until(lambda: int(bank.get().headers["Tarn-Age"]) <= 1, "Tarn-Age to fall", alive=[bank.query])
    assert f"{bank.topic}/0@{missed}" in bank.get().headers["Tarn-Position"]


def test_a_server_that_was_there_first_takes_the_store_up(kafka, new_topic, publisher, programs, store):
    query = programs.query(store, wait_ready=False)
    assert query.get("/healthz").status_code == 200
    assert query.readyz().status_code == 503
    assert query.get("/v1/lenders/KB").status_code == 503
    topics = topics_for_examples(new_topic, partitions=1)
    publisher.publish(topics["lender"], LENDER, {"lender_id": "KB", "name": "KB"}, key="KB")
    publisher.flush()
    programs.projector(store, kafka, topics)
    query.wait_ready()
    assert query.json("/v1/lenders/KB")["name"] == "KB"
    assert query.metrics()
