"""Generations as an operator meets them: rebuild, compare, promote, rollback, drop, check --against, copy and restore,
beside a projector that runs and query servers that answer, on a real Kafka."""

import json
import signal
import subprocess
import threading

import pytest
from survive_support import EPOCH_MS, SURVIVE, survive_schema  # noqa: F401 (fixtures)
from tarn import BUILD, PATIENCE, ROOT
from tarn.events import Publisher
from tarn.process import environment
from tarn.programs import run_command
from tarn.waiting import wait_until

PEOPLE = 40


def compile_schema(folder, name, change):
    """survive.proto with some text replaced, as a descriptor set of its own."""
    protos = ROOT / "tests" / "protos"
    source = folder / name
    source.mkdir()
    text = (protos / "survive.proto").read_text()
    for old, new in change:
        assert old in text, old
        text = text.replace(old, new)
    (source / "survive.proto").write_text(text)
    out = folder / f"{name}.binpb"
    subprocess.run(["protoc", "-I", source, "-I", ROOT / "schema", "-I", protos, "--include_imports",
                    f"--descriptor_set_out={out}", "survive.proto"], check=True, capture_output=True)
    return out


# A field more, which nobody fills; the readers of before find everything as it was.
ADDED = [("string name = 4;", "string name = 4;\n  string motto = 9;")]
# Purse is gone for its readers.
BROKEN = [("message Purse {", "message Wallet {")]
# The same fields, other values: what is spent counts by the number of times.
OTHER_VALUES = [('apply: ADD from { key: "total" value: "amount" } }', 'apply: ADD from { key: "total" value: "1" } }')]


class Shop:
    """A store with people who spend, its projector, and what is published to it."""

    def __init__(self, kafka, new_topic, schema, programs, store):
        self.kafka = kafka
        self.topics = {"shop": new_topic("shop", partitions=2), "people": new_topic("people"), "club": new_topic("club")}
        self.publisher = Publisher(kafka, schema)
        self.store = store
        self.sent = 0
        self.programs = programs
        self.spend_all()
        self.projector = programs.projector(store, kafka, self.topics, schema=SURVIVE)
        self.wait_caught_up()
        self.first = self.names()[0]

    def spend_all(self):
        for person in range(PEOPLE):
            self.sent += 1
            self.publisher.publish(self.topics["shop"], "shop.v1.Spent", {"person": f"p{person}", "amount": "3"},
                                   key=f"p{person}", at=EPOCH_MS + self.sent)
        self.publisher.flush()

    def command(self, *arguments, expect=0, timeout_s=60):
        patience = ("--wait", f"{25 * PATIENCE}s") if arguments[0] == "compare" else ()
        done = run_command(*arguments, *patience, "--store", self.store, timeout_s=timeout_s)
        assert done.status == expect, done
        return json.loads(done.out.splitlines()[-1]) if "--json" in arguments else done.out + done.err

    def generations(self):
        return self.command("generations", "--json")

    def names(self):
        return [g["name"] for g in self.generations()["generations"]]

    def served(self):
        return dict(self.generations()["served"]["shares"])

    def state(self, name):
        return next(g["state"] for g in self.generations()["generations"] if g["name"] == name)

    def wait_caught_up(self):
        ends = self.kafka.ends(self.topics.values())

        def are_caught_up():
            for generation in self.command("status", "--json")["generations"]:
                seen = {(p["topic"], p["partition"]): p["position"] + 1 for p in generation["partitions"]}
                assert all(seen.get(place, -1) >= end for place, end in ends.items()), (ends, generation)
            return True

        wait_until(are_caught_up, "all generations to catch up", 60, alive=[self.projector.process], poll_s=0.1)

    def rebuild(self, *flags):
        """The name of a generation that has caught up."""
        out = self.command("rebuild", *flags, "--wait")
        return out.splitlines()[0].split()[1]

    def digest(self, name):
        return self.command("digest", name)


@pytest.fixture
def shop(kafka, new_topic, survive_schema, programs, store):  # noqa: F811
    return Shop(kafka, new_topic, survive_schema, programs, store)


def test_a_rebuild_ends_equal_is_promoted_rolled_back_and_dropped(shop):
    second = shop.rebuild()
    assert second != shop.first and shop.state(second) == "ready"
    assert shop.digest(second) == shop.digest(shop.first)
    answer = shop.command("compare", shop.first, second, "--json")
    assert answer["differences"] == 0 and answer["not_compared"] == []
    assert {v["view"]: v["keys_a"] for v in answer["views"]}["purse"] == PEOPLE

    assert shop.command("promote", second, "--json")["shares"] == [[second, 100]]
    assert shop.served() == {second: 100} and shop.state(shop.first) == "retained"
    shop.command("drop", second, expect=2)  # served
    shop.spend_all()
    shop.wait_caught_up()  # the retained one too
    assert shop.digest(second) == shop.digest(shop.first)

    assert shop.command("rollback", "--json")["shares"] == [[shop.first, 100]]
    shop.command("rollback", expect=2)  # nothing was served before
    history = shop.generations()["history"]
    assert [entry["undone"] for entry in history] == [True]
    shop.command("drop", second)
    shop.command("drop", second)  # gone already
    assert shop.names() == [shop.first]
    assert shop.rebuild() not in (shop.first, second)  # a name is never used again


def test_the_same_rebuild_again_is_the_same_generation_while_it_is_under_construction(shop):
    shop.projector.stop()
    name = shop.command("rebuild", "--rate", "10", "--json")["generation"]
    assert shop.command("rebuild", "--rate", "10", "--json")["generation"] == name
    assert shop.command("rebuild", "--rate", "20", "--json")["generation"] != name
    assert shop.state(name) == "building"
    refused = shop.command("promote", name, expect=2)
    assert "hasn't caught up" in refused and "--force" in refused


def test_a_changed_schema_is_judged_compared_on_what_it_shares_and_served(shop, tmp_path):
    added, broken = compile_schema(tmp_path, "added", ADDED), compile_schema(tmp_path, "broken", BROKEN)
    fine = shop.command("check", added, "--against", shop.first, "--json")
    assert fine == {"breaking": 0, "changes": [{"breaking": False, "view": "purse", "field": "motto",
                                                "change": "the field is new"}]}
    told = shop.command("check", broken, "--against", "served", expect=3)
    assert "break" in told and "the view is gone" in told
    shop.command("check", added, "--against", "ffffff-9", expect=2)

    second = shop.rebuild("--schema", added)
    answer = shop.command("compare", shop.first, second, "--json")
    assert answer["differences"] == 0
    assert answer["not_compared"] == ["survive.Purse.motto: only in B"]
    shop.command("promote", second)


def test_values_that_differ_are_found_and_only_told_when_asked_for(shop, tmp_path):
    second = shop.rebuild("--schema", compile_schema(tmp_path, "other", OTHER_VALUES))
    answer = shop.command("compare", shop.first, second, "--json", expect=3)
    purse = next(v for v in answer["views"] if v["view"] == "purse")
    assert (purse["different"], purse["fields"]) == (PEOPLE, [{"field": "total", "views": PEOPLE}])
    assert answer["differences"] == PEOPLE and "a" not in purse["examples"][0]
    shop.command("compare", shop.first, second, "--max-diff", str(PEOPLE))
    shop.command("compare", shop.first, second, "--max-diff", str(PEOPLE - 1), expect=3)
    with_values = shop.command("compare", shop.first, second, "--values", "--json", expect=3)
    example = next(v for v in with_values["views"] if v["view"] == "purse")["examples"][0]
    assert (example["a"]["total"], example["b"]["total"]) == (3, 1)


def test_generations_are_compared_at_the_same_positions_while_events_arrive(shop):
    second = shop.rebuild()
    stop = threading.Event()

    def publish():
        while not stop.wait(0.02):  # a pace that a busy machine keeps up with
            shop.spend_all()

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        for _ in range(5):
            assert shop.command("compare", shop.first, second, "--json")["differences"] == 0
    finally:
        stop.set()
        publisher.join()


def test_without_a_projector_the_commands_do_it_themselves(shop):
    second = shop.rebuild()
    shop.projector.stop()
    assert shop.command("compare", shop.first, second, "--json")["differences"] == 0
    assert shop.command("promote", second, "--traffic", "30", "--json")["shares"] == [[shop.first, 70], [second, 30]]
    assert shop.command("rollback", "--json")["shares"] == [[shop.first, 100]]
    shop.command("drop", second)
    assert shop.names() == [shop.first]


def test_a_sample_is_made_compared_and_never_promoted(shop):
    sample = shop.rebuild("--sample", "50%")
    answer = shop.command("compare", shop.first, sample, "--json")
    purse = next(v for v in answer["views"] if v["view"] == "purse")
    assert 0 < purse["keys_b"] < PEOPLE and answer["differences"] == 0
    assert "sample" in shop.command("promote", sample, "--force", expect=2)
    assert "sample" in shop.command("copy", sample, "--to", shop.store.parent / "copy", expect=2)


def test_what_begins_later_is_partial_and_needs_force(shop):
    name = shop.rebuild("--from", f"{shop.topics['shop']}/0@5")
    assert "--force" in shop.command("promote", name, expect=2)
    assert next(g["is_partial"] for g in shop.generations()["generations"] if g["name"] == name)
    assert shop.command("promote", name, "--force", "--json")["shares"] == [[name, 100]]
    for wrong in ("yesterday", "shop@5", f"{shop.topics['shop']}/0@x", ""):
        shop.command("rebuild", "--from", wrong, expect=2)


def test_a_rebuild_says_what_kafka_no_longer_has_before_it_begins(shop):
    shop.kafka.delete_records(shop.topics["shop"], 0, 4)
    refused = shop.command("rebuild", expect=2)
    assert f"{shop.topics['shop']}/0 begins at 4, so 0 to 3 would be missing" in refused
    assert f"--from-generation {shop.first}" in refused
    assert shop.names() == [shop.first]

    copied = shop.rebuild("--from-generation", shop.first)
    assert shop.digest(copied) == shop.digest(shop.first)
    shop.command("promote", copied)
    partial = shop.rebuild("--force")
    assert next(g["is_partial"] for g in shop.generations()["generations"] if g["name"] == partial)
    shop.command("promote", partial, expect=2)


def test_a_copy_beside_a_running_projector_is_restored_and_goes_on(shop, tmp_path, programs, kafka):
    copied = shop.command("copy", "--to", tmp_path / "copy", "--json")
    assert copied["generation"] == shop.first
    assert {d["view"]: d["keys"] for d in copied["digests"]}["purse"] == PEOPLE
    done = run_command("restore", tmp_path / "copy", "--store", tmp_path / "restored", "--json")
    assert done.status == 0 and json.loads(done.out)["digests"] == copied["digests"]
    shop.spend_all()
    shop.wait_caught_up()
    restored = programs.projector(tmp_path / "restored", kafka, shop.topics, schema=SURVIVE).wait_caught_up()
    assert restored.digests() == shop.digest(shop.first)
    assert run_command("restore", tmp_path / "restored", "--store", tmp_path / "again").status in (1, 2)  # has moved on


class Asking:
    """Somebody asks for purses, all the time."""

    def __init__(self, query):
        self.query = query
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        number = 0
        while not self.stop.is_set():
            number += 1
            self.query.get(f"/v1/purse/p{number % PEOPLE}")

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def test_the_guard_raises_what_answers_well_and_takes_back_what_does_not(shop, tmp_path, programs):
    query = programs.query(shop.store)
    good = shop.rebuild("--schema", compile_schema(tmp_path, "added", ADDED))
    bad = shop.rebuild("--schema", compile_schema(tmp_path, "broken", BROKEN))
    caught = shop.command("compare", shop.first, bad, "--json", expect=3)
    assert caught["keys_missing"] == PEOPLE and "view purse: only in A" in caught["not_compared"]
    guard = ("--traffic", "40", "--guard", "error-rate=0.1%,p99=50x", "--for", "3s", "--metrics",
             f"{query.admin_url}/metrics")
    with Asking(query):
        taken_back = shop.command("promote", bad, *guard, "--json", expect=3)
        assert taken_back["raised"] is False and "error rate" in taken_back["why"]
        assert shop.served() == {shop.first: 100}
        raised = shop.command("promote", good, *guard, "--json")
    assert raised["raised"] is True and "answers" in raised["why"]
    assert shop.served() == {good: 100}
    for wrong in (("--guard", "p99=2x"), ("--metrics", "http://127.0.0.1:1/metrics"), ("--traffic", "101"),
                  ("--guard", "p98=2x", "--metrics", "http://127.0.0.1:1/metrics", "--traffic", "10")):
        shop.command("promote", shop.first, *wrong, expect=2)


def test_a_guard_that_is_killed_leaves_the_share_and_goes_on_when_it_is_run_again(shop, programs):
    query = programs.query(shop.store)
    second = shop.rebuild()
    arguments = ["promote", second, "--store", shop.store, "--traffic", "30", "--guard", "error-rate=1%", "--for", "2s",
                 "--metrics", f"{query.admin_url}/metrics"]
    with Asking(query):
        killed = subprocess.Popen([BUILD / "tarn-projector", *arguments], env=environment(), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        wait_until(lambda: shop.served().get(second) == 30, "the share")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert shop.served() == {shop.first: 70, second: 30}
        assert run_command(*arguments, timeout_s=60).status == 0
    assert shop.served() == {second: 100}
