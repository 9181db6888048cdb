"""Parked events where there are several generations: each parks what it can't apply, by its own schema."""

import json
import shutil

import pytest
from survive_support import EPOCH_MS, SURVIVE, survive_schema  # noqa: F401 (a fixture)
from test_generation_commands import compile_schema
from test_generations import folder, generations, served, wait_all_caught_up
from tarn.events import Publisher
from tarn.waiting import wait_until

TOO_MUCH = 2**40
# Room for what is too much for an int32; the bytes of what is there stay the same.
MENDED = [("int32 total = 2;", "int64 total = 2;")]


class Purses:
    """People who spend, some of them more than fits; a projector that runs."""

    def __init__(self, kafka, new_topic, schema, programs, store):
        self.topics = {"shop": new_topic("shop", partitions=2), "people": new_topic("people"), "club": new_topic("club")}
        self.publisher = Publisher(kafka, schema)
        self.sent = 0
        for person in ("a", "b", "c"):
            self.spend(person, 1, TOO_MUCH, 10, 100)
        self.spend("d", 5)
        self.projector = programs.projector(store, kafka, self.topics, schema=SURVIVE).wait_caught_up()
        self.query = programs.query(store)

    def spend(self, person, *amounts):
        for amount in amounts:
            self.sent += 1
            self.publisher.publish(self.topics["shop"], "shop.v1.Spent",
                                   {"person": person, "amount": str(amount), "note": str(amount)}, key=person,
                                   at=EPOCH_MS + self.sent)
        self.publisher.flush()

    def rebuild(self, *flags):
        name = self.projector.cli("rebuild", *flags, "--wait", timeout_s=60).split()[1]
        self.catch_up()
        return name

    def catch_up(self):
        wait_all_caught_up(self.projector, generations(self.projector))

    def parked(self, name):
        """{key: how many wait behind}"""
        listed = self.projector.cli("parked", "list", "--generation", name, "--json")
        return {event["key"]: event["waiting"] for event in listed}

    def total(self, person, name):
        """What the purse adds up to, and the notes in their order."""
        told = self.projector.cli("get", "purse", person, "--generation", name)
        purse = json.loads(told.splitlines()[0])
        return int(purse["total"]), [note["text"] for note in purse["notes"]]

    def retry(self, *which, generation=None, expect=0):
        return self.projector.cli("parked", "retry", *which, *(("--generation", generation) if generation else ()),
                                  "--json", expect=expect)

    def unit(self, person):
        return ("--topic", self.topics["shop"], "--key", person)


@pytest.fixture
def purses(kafka, new_topic, survive_schema, programs, store):  # noqa: F811
    return Purses(kafka, new_topic, survive_schema, programs, store)


@pytest.fixture
def mended(tmp_path):
    return compile_schema(tmp_path, "mended", MENDED)


def test_a_rebuild_with_a_mended_schema_parks_nothing_and_brings_each_unit_back_in_order(purses, mended):
    first = served(purses.projector)
    assert purses.parked(first) == {"a": 2, "b": 2, "c": 2}
    second = purses.rebuild("--schema", mended)
    assert purses.parked(second) == {}
    whole = (1 + TOO_MUCH + 10 + 100, ["1", str(TOO_MUCH), "10", "100"])
    for person in ("a", "b", "c"):
        assert purses.total(person, second) == whole
        assert purses.total(person, first) == (1, ["1"])
    # Where the schema is as it was, a retry changes nothing, and what comes waits behind the rest.
    assert purses.retry("--all") == {"applied": 0, "dropped": 0, "left": 9}
    purses.spend("a", 1000)
    purses.catch_up()
    assert purses.parked(first) == {"a": 3, "b": 2, "c": 2} and purses.parked(second) == {}
    assert purses.total("a", second)[0] == whole[0] + 1000
    purses.projector.cli("promote", second)
    wait_until(lambda: purses.query.json("/v1/purse/b")["total"] == str(whole[0]), "the mended one",
               alive=[purses.query.process])
    assert "Tarn-Incomplete" not in purses.query.get("/v1/purse/b").headers


def test_a_unit_parked_in_two_generations_is_retried_in_both_in_order(purses, mended):
    """A schema never changes under a generation, but a program may be mended. Here two generations of the mended schema get
    the store of the first, as a program with a fault had filled it."""
    first = served(purses.projector)
    names, fresh = [purses.rebuild("--schema", mended) for _ in range(2)], purses.rebuild("--schema", mended)
    purses.projector.stop()
    purses.query.stop()
    for name in names:
        shutil.copy(folder(purses.projector, first) / "data.mdb", folder(purses.projector, name) / "data.mdb")
    purses.projector.start()
    purses.catch_up()
    assert [purses.parked(name) for name in names] == [{"a": 2, "b": 2, "c": 2}] * 2
    purses.spend("a", 1000)  # waits too
    purses.catch_up()
    assert purses.retry(*purses.unit("a")) == {"applied": 8, "dropped": 0, "left": 4}  # those of the first one are left
    for name in names:
        assert purses.parked(name) == {"b": 2, "c": 2}
        assert purses.total("a", name) == purses.total("a", fresh)
    assert purses.total("a", fresh)[1] == ["1", str(TOO_MUCH), "10", "100", "1000"]
    assert purses.retry("--all") == {"applied": 12, "dropped": 0, "left": 10}
    assert [purses.parked(name) for name in names] == [{}, {}]
    assert len({purses.projector.cli("digest", name) for name in (*names, fresh)}) == 1
    assert purses.parked(first) == {"a": 3, "b": 2, "c": 2}


def test_what_was_dropped_in_one_generation_stays_dropped_in_those_made_later(purses, mended):
    first = served(purses.projector)
    purses.projector.cli("parked", "drop", *purses.unit("b"))
    assert purses.parked(first) == {"a": 2, "c": 2} and purses.total("b", first) == (111, ["1", "10", "100"])
    same, other = purses.rebuild(), purses.rebuild("--schema", mended)
    assert purses.parked(same) == {"a": 2, "c": 2}
    assert purses.parked(other) == {}
    for name in (same, other):  # though the mended schema had room for it
        assert purses.total("b", name) == (111, ["1", "10", "100"])
    assert purses.projector.cli("digest", same) == purses.projector.cli("digest", first)
