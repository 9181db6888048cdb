"""Events that come twice, on a real Kafka: an id counts once within the window, through kills and rebuilds, and a
request waits for one."""

import threading
import time

import pytest
from tarn.programs import run_command
from tarn.workload import topics_for_examples

LENDER = "lender.v1.LenderChanged"
WINDOW = 20


@pytest.fixture
def lenders(kafka, new_topic, publisher, programs, store):
    """.tell(id, name) publishes a lender's name; .name() is what the screen says."""

    class Lenders:
        def __init__(self):
            self.topics = topics_for_examples(new_topic, partitions=1)
            self.projector = programs.projector(store, kafka, self.topics, flags=["--dedupe-window", str(WINDOW)])
            self.query = programs.query(store)

        def tell(self, event_id, name, key="KB"):
            headers = [("id", event_id.encode())] if event_id else []
            publisher.publish(self.topics["lender"], LENDER, {"lender_id": key, "name": name}, key=key, headers=headers)
            publisher.flush()

        def name(self, path="/v1/lenders/KB"):
            return self.query.get(path).json()["name"]

    return Lenders()


def test_an_event_that_comes_again_after_a_kill_counts_once_and_one_behind_the_window_again(lenders):
    lenders.tell("1", "old")
    lenders.tell("2", "new")
    lenders.projector.wait_caught_up()
    lenders.projector.kill()
    lenders.tell("1", "old")
    lenders.projector.start()
    lenders.projector.wait_caught_up()
    assert lenders.name() == "new"
    assert lenders.projector.metrics().sum("tarn_projector_events_total", outcome="duplicate") == 1

    for number in range(WINDOW):
        lenders.tell(None, f"name {number}", key="other")
    lenders.tell("2", "new")
    lenders.tell("1", "old")
    lenders.projector.wait_caught_up()
    assert lenders.name() == "old"


def test_a_rebuild_skips_the_same_repeats_and_a_restored_copy_knows_the_ids_of_what_it_holds(lenders, kafka, programs, store,
                                                                                             tmp_path):
    lenders.tell("1", "old")
    lenders.tell("2", "new")
    lenders.tell("1", "old")
    lenders.projector.wait_caught_up()
    served = lenders.projector.cli("status", "--json")["generations"][0]["name"]
    assert run_command("rebuild", "--wait", "--store", store, timeout_s=60).status == 0
    made = next(one["name"] for one in lenders.projector.cli("status", "--json")["generations"] if one["name"] != served)
    compared = run_command("compare", served, made, "--store", store, "--json")
    assert compared.status == 0, compared.out + compared.err
    lenders.projector.cli("promote", made, "--json")
    assert lenders.name() == "new"

    assert run_command("copy", "--to", tmp_path / "copy", "--store", store).status == 0
    assert run_command("restore", tmp_path / "copy", "--store", tmp_path / "restored").status == 0
    lenders.tell("1", "old")
    restored = programs.projector(tmp_path / "restored", kafka, lenders.topics).wait_caught_up()
    assert programs.query(tmp_path / "restored").get("/v1/lenders/KB").json()["name"] == "new"
    assert restored.metrics().sum("tarn_projector_events_total", outcome="duplicate") == 1


def test_each_generation_tells_its_window(lenders, store):
    lenders.projector.wait_caught_up()
    assert run_command("rebuild", "--dedupe-window", "7", "--wait", "--store", store, timeout_s=60).status == 0
    generations = lenders.projector.cli("generations", "--json")["generations"]
    assert sorted(one["dedupe_window"] for one in generations) == [7, WINDOW]
    table = run_command("generations", "--store", store).out.splitlines()
    assert "DEDUPE WINDOW" in table[0] and {line.split()[3] for line in table[1:3]} == {"7", str(WINDOW)}


def test_a_request_waits_for_an_event_by_its_id(lenders):
    lenders.tell("1", "first")
    assert lenders.name("/v1/lenders/KB?at-least=id=1&wait=10000") == "first"
    assert lenders.query.get("/v1/lenders/KB?at-least=id=2&wait=100").status_code == 409
    later = threading.Timer(0.5, lenders.tell, ["2", "second"])
    later.start()
    began = time.monotonic()
    assert lenders.name("/v1/lenders/KB?at-least=id=2&wait=20000") == "second"
    assert 0.4 < time.monotonic() - began < 15
    later.join()
