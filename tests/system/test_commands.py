"""Each command beside a running projector and without one: what it prints, for people and for programs, and how it ends."""

import base64
import json
import re
import shutil
import signal

import pytest
from survive_support import EPOCH_MS, SURVIVE, survive_schema  # noqa: F401 (fixture)
from tarn import EXAMPLES, ROOT
from tarn.events import Publisher
from tarn.programs import run_command
from tarn.waiting import wait_until

BINARY_KEY = b"\xff\x00person"
BINARY_KEY_SHOWN = base64.b64encode(BINARY_KEY).decode()
SECRET = "a word that only the event holds"


class Till:
    """One store with good and parked events: of a text key, a binary key, and none."""

    def __init__(self, kafka, new_topic, schema, programs, store):
        self.topics = {"shop": new_topic("shop", partitions=2), "people": new_topic("people"), "club": new_topic("club")}
        self.publisher = Publisher(kafka, schema)
        self.store = store
        self.sent = 0
        self.spend("ann", 1)
        self.spend("ann", 2**40, note=SECRET)  # parked: overflow
        self.spend("ann", 10)
        self.send("shop.v1.Spent", {"person": "bob", "amount": "5"}, key=BINARY_KEY)  # parked: foreign key
        self.send("shop.v1.Spent", {"person": "bob", "amount": "6"}, key=None)        # parked: no key
        self.send("shop.v1.Visited", {"person": "cay", "stops": [{"shop": "a bakery/1", "times": "3"}]}, key="cay")
        self.publisher.publish(self.topics["people"], "people.v1.Named", {"person": "dan", "name": "Dan"}, key="dan",
                               at=EPOCH_MS)
        self.publisher.flush()
        self.projector = programs.projector(store, kafka, self.topics, schema=SURVIVE).wait_caught_up()

    def send(self, event_type, fields, **options):
        self.sent += 1
        self.publisher.publish(self.topics["shop"], event_type, fields, at=EPOCH_MS + self.sent, **options)

    def spend(self, person, amount, note=""):
        self.send("shop.v1.Spent", {"person": person, "amount": str(amount), "note": note}, key=person)

    def command(self, *arguments, expect=0):
        """Its stdout, parsed with --json. A success says nothing on stderr, a failure one line."""
        done = run_command(*arguments, "--store", self.store)
        assert done.status == expect, done
        assert len(done.err.splitlines()) == (0 if expect == 0 else 1), done.err
        if expect != 0:
            return done.err
        return json.loads(done.out) if "--json" in arguments else done.out

    def total(self, person):
        return self.command("get", "purse", person, "--json")["view"]["total"]


@pytest.fixture
def till(kafka, new_topic, survive_schema, programs, store):
    return Till(kafka, new_topic, survive_schema, programs, store)


@pytest.fixture(params=["beside", "without"])
def beside_or_without(till, request):
    """The same of a store whose projector runs, and of one that is left alone."""
    if request.param == "without":
        till.projector.stop()
    till.is_running = request.param == "beside"
    return till


# --- looking ---

def test_status_tells_each_partition_in_the_shape_that_scripts_rely_on(beside_or_without):
    till = beside_or_without
    answer = till.command("status", "--json")
    assert list(answer) == ["generations"] and len(answer["generations"]) == 1
    generation = answer["generations"][0]
    assert {name: type(generation[name]) for name in
            ("name", "state", "traffic", "schema", "partitions", "events_per_s", "parked", "announcements_pending")} == \
        {"name": str, "state": str, "traffic": int, "schema": str, "partitions": list, "events_per_s": int, "parked": int,
         "announcements_pending": int}
    assert re.fullmatch(r"[0-9a-f]{6}-1", generation["name"]) and re.fullmatch(r"[0-9a-f]{16}", generation["schema"])
    assert (generation["state"], generation["traffic"], generation["announcements_pending"]) == ("served", 100, 0)
    assert generation["parked"] == 4  # the one that waits included
    assert generation["problem"] is None
    assert till.is_running or generation["events_per_s"] == 0

    ends = till.projector.kafka.ends(till.topics.values())
    assert sorted(generation["partitions"], key=lambda p: (p["topic"], p["partition"])) == [
        {"topic": topic, "partition": partition, "position": end - 1, "end": end, "lag": 0, "state": "following"}
        for (topic, partition), end in sorted(ends.items())]


def test_status_for_people_is_a_line_for_the_projector_one_for_the_generation_and_a_table(beside_or_without):
    till = beside_or_without
    first, second, headings, *rows = till.command("status").splitlines()
    if till.is_running:
        assert re.fullmatch(rf"tarn-projector run is running \(pid {till.projector.process.pid} on \S+\)", first)
    else:
        assert first == "no projector is running"
    assert re.match(r"generation [0-9a-f]{6}-1  served  traffic 100%  parked 4  file [0-9.]+ MiB", second)
    assert ("events/s" in second) == till.is_running
    assert headings.split() == ["TOPIC", "PARTITION", "POSITION", "END", "LAG", "STATE"]
    assert len(rows) == 4 and all(row.split()[-2:] == ["0", "following"] for row in rows)


def test_get_prints_a_view_and_where_it_stands(beside_or_without):
    till = beside_or_without
    ends = till.projector.kafka.ends(till.topics.values())
    view = {"person": "cay", "shop": "a bakery/1", "times": 3}
    answer = till.command("get", "visits", "cay", "a bakery/1", "--json")
    assert (answer["view"], answer["made"], answer["incomplete"]) == (view, True, False)
    assert answer["generation"] == till.command("status", "--json")["generations"][0]["name"]
    assert {(p["topic"], p["partition"], p["position"]) for p in answer["positions"]} <= \
        {(topic, partition, end - 1) for (topic, partition), end in ends.items()}
    assert {p["topic"] for p in answer["positions"]} == {till.topics["shop"], till.topics["people"]}  # what feeds it

    first, *others = till.command("get", "visits", "cay", "a bakery/1").splitlines()
    assert json.loads(first) == view
    assert others == ["as of " + ", ".join(f"{p['topic']}/{p['partition']}@{p['position']}" for p in answer["positions"])]

    assert till.command("get", "purse", "ann").splitlines()[-1] == "incomplete: events of this key are parked"
    assert till.command("get", "purse", "ann", "--json")["incomplete"]
    assert till.command("get", "purse", "dan").splitlines()[-1] == "not served: no event of its home stream has made it"
    assert till.command("get", "purse", "dan", "--json")["made"] is False


def test_get_of_what_is_not_there_is_a_mistake_that_help_tells_of(till):
    for arguments, told in [
            (("purse", "nobody"), "there is no such purse"),
            (("purses", "ann"), "there is no view purses"),
            (("visits", "cay"), "the key of visits has 2 fields, not 1"),
            (("purse", "ann", "more"), "the key of purse has 1 fields, not 2"),
            (("purse",), "get takes a view and its key"),
            (("purse", "ann", "--generation", "ffffff-9"), "ffffff-9"),
            (("purse", "ann", "--generation", "../x"), "../x is not a generation's name")]:
        assert told in till.command("get", *arguments, expect=2), arguments
    assert "exit code 2" in run_command("get", "--help").out.replace("\n", " ")


def test_digest_is_a_line_for_each_view_and_checks_itself(beside_or_without):
    till = beside_or_without
    lines = till.command("digest").splitlines()
    assert [re.fullmatch(r"(\S+)  (\d+)  ([0-9a-f]{32})", line).groups()[:2] for line in lines] == \
        [("membership", "0"), ("purse", "2"), ("visits", "1")]
    assert till.command("digest", "--check").splitlines() == lines
    assert [f"{d['view']}  {d['keys']}  {d['digest']}" for d in till.command("digest", "--json")] == lines
    name = till.command("status", "--json")["generations"][0]["name"]
    assert till.command("digest", name).splitlines() == lines
    till.command("digest", "ffffff-1", expect=2)


# --- parked events ---

def test_parked_list_is_in_the_shape_that_scripts_rely_on_and_holds_no_value(beside_or_without):
    till = beside_or_without
    listed = till.command("parked", "list", "--json")
    assert all(set(event) == {"topic", "partition", "offset", "key", "type", "reason", "time", "waiting"}
               for event in listed)
    assert {(e["topic"], e["key"], e["type"], e["reason"], e["time"], e["waiting"]) for e in listed} == {
        (till.topics["shop"], "ann", "shop.v1.Spent", "overflow", EPOCH_MS + 2, 1),
        (till.topics["shop"], BINARY_KEY_SHOWN, "shop.v1.Spent", "foreign key", EPOCH_MS + 4, 0),
        (till.topics["shop"], None, "shop.v1.Spent", "no key", EPOCH_MS + 5, 0)}
    assert all(type(e["partition"]) is int and type(e["offset"]) is int for e in listed)
    assert till.command("parked", "--json") == listed
    of_ann = till.command("parked", "list", "--topic", till.topics["shop"], "--key", "ann", "--json")
    assert [event["key"] for event in of_ann] == ["ann"]

    headings, *rows = till.command("parked", "list").splitlines()
    assert headings.split() == ["POSITION", "KEY", "TYPE", "REASON", "TIME", "WAITING"]
    assert {re.split(r"  +", row)[1] for row in rows} == {"ann", BINARY_KEY_SHOWN, "(none)"}
    assert SECRET not in json.dumps(listed) + "".join(rows)


def test_parked_show_tells_values_only_when_asked(beside_or_without):
    till = beside_or_without
    of_ann = ("--topic", till.topics["shop"], "--key", "ann")
    shown = till.command("parked", "show", *of_ann, "--json")
    assert [(e["reason"], e["waiting"]) for e in shown] == [("overflow", 1), ("waiting", 0)]
    assert "total" in shown[0]["message"] and "event" not in shown[0]
    text = till.command("parked", "show", *of_ann)
    assert "overflow: " in text and SECRET not in json.dumps(shown) + text
    assert str(2**40) not in text

    with_values = till.command("parked", "show", *of_ann, "--json", "--values")
    assert with_values[0]["event"] == {"person": "ann", "amount": str(2**40), "note": SECRET}
    assert SECRET in till.command("parked", "show", *of_ann, "--values")
    binary = till.command("parked", "show", "--topic", till.topics["shop"], "--key", BINARY_KEY_SHOWN, "--json")
    assert [e["reason"] for e in binary] == ["foreign key"]
    assert len(till.command("parked", "show", "--all", "--json")) == 4


def test_parked_retry_and_drop_do_the_same_beside_a_projector_and_without_one(beside_or_without):
    till = beside_or_without
    shop = till.topics["shop"]
    of_ann = ("--topic", shop, "--key", "ann")
    of_binary = ("--topic", shop, "--key", BINARY_KEY_SHOWN)
    assert till.command("parked", "retry", *of_ann, "--json") == {"applied": 0, "dropped": 0, "left": 2}
    assert till.command("parked", "retry", "--all") == "applied 0, dropped 0, still parked 4\n"
    assert till.total("ann") == 1

    assert till.command("parked", "drop", *of_ann, "--json") == {"applied": 1, "dropped": 1, "left": 0}
    assert till.total("ann") == 11  # what waited
    assert till.command("parked", "drop", *of_binary) == "applied 0, dropped 1, still parked 0\n"
    assert [e["key"] for e in till.command("parked", "list", "--json")] == [None]
    assert till.command("parked", "drop", "--all") == "applied 0, dropped 1, still parked 0\n"
    assert till.command("parked", "list", "--json") == []
    assert till.command("status", "--json")["generations"][0]["parked"] == 0

    if not till.is_running:
        till.projector.start()
    till.spend("ann", 100)
    till.publisher.flush()
    till.projector.wait_caught_up()
    assert till.total("ann") == 111


def test_parked_without_an_event_or_with_half_a_name_is_a_mistake(beside_or_without):
    till = beside_or_without
    shop = till.topics["shop"]
    for action in ("show", "retry", "drop"):
        for flags, told in [
                (("--topic", shop, "--key", "nobody"), "no event of that topic and key is parked"),
                (("--topic", till.topics["club"], "--key", "ann"), "no event of that topic and key is parked"),
                (("--topic", "elsewhere", "--key", "ann"), "topic elsewhere isn't one of the store's"),
                (("--topic", shop), "name the events with --topic and --key, or with --all"),
                (("--key", "ann"), "name the events with --topic and --key, or with --all"),
                (("--all", "--key", "ann"), "name the events with --topic and --key, or with --all"),
                ((), "name the events with --topic and --key, or with --all")]:
            assert told in till.command("parked", action, *flags, expect=2), (action, flags)
    assert "one of list, show, retry, drop" in till.command("parked", "delete", expect=2)
    assert "--values is for `parked show`" in till.command("parked", "list", "--values", expect=2)
    assert len(till.command("parked", "list", "--json")) == 3


# --- before there is anything, and what isn't there at all ---

@pytest.mark.parametrize("arguments", [("status",), ("digest",), ("get", "purse", "ann"), ("parked", "list"),
                                       ("parked", "retry", "--all")])
def test_what_is_no_store_is_a_mistake_and_stays_untouched(tmp_path, arguments):
    for store in (tmp_path / "nowhere", tmp_path):
        done = run_command(*arguments, "--store", store)
        assert done.status == 2 and str(store) in done.err and done.out == "", done
        assert list(tmp_path.iterdir()) == []


def test_what_no_version_knows_is_a_mistake(tmp_path):
    for arguments, told in [(("statsu",), "there is no command statsu"),
                            (("status", "--stroe", tmp_path), "--stroe"),
                            (("status",), "--store"),
                            (("status", "extra", "--store", tmp_path), "extra: unexpected argument"),
                            (("status", "--store"), "--store"),
                            (("status", "--json=maybe", "--store", tmp_path), "--json"),
                            (("parked", "--wait", "soon", "--store", tmp_path), "--wait")]:
        done = run_command(*arguments)
        assert (done.status, done.out) == (2, "") and told in done.err, done


@pytest.mark.parametrize("command", [(), ("check",), ("run",), ("status",), ("digest",), ("get",), ("parked",),
                                     ("generations",), ("rebuild",), ("compare",), ("copy",), ("restore",), ("promote",), ("rollback",), ("drop",)])
def test_help_is_on_stdout_and_names_the_command(command):
    done = run_command(*command, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(" ".join(["Usage: tarn-projector", *command]))


# --- check ---

def test_check_of_a_good_schema_is_a_table_or_json():
    done = run_command("check", SURVIVE)
    assert (done.status, done.err) == (0, "")
    headings, *rows = done.out.splitlines()
    assert headings.split() == ["VIEW", "KEY", "STREAMS", "EVENTS"]
    assert [row.split()[0] for row in rows] == ["membership", "purse", "visits"]
    answer = json.loads(run_command("check", SURVIVE, "--json").out)
    visits = next(view for view in answer["views"] if view["name"] == "visits")
    assert visits == {"name": "visits", "message": "survive.Visits", "key": ["person", "shop"], "home": "shop",
                      "streams": ["shop", "people"],
                      "events": ["shop.v1.Visited", "people.v1.Forgotten", "people.v1.Gone"]}


def test_check_names_every_mistake_on_a_line_of_its_own(tmp_path):
    mistakes = ROOT / "build" / "protos" / "mistakes.binpb"
    done = run_command("check", mistakes)
    assert done.status == 2 and len(done.out.splitlines()) > 50
    as_json = run_command("check", mistakes, "--json")
    assert as_json.status == 2
    assert json.loads(as_json.out)["mistakes"] == done.out.splitlines()

    (tmp_path / "junk").write_bytes(b"\xff" * 100)
    for arguments, told in [((tmp_path / "none",), "No such file"), ((tmp_path / "junk",), "junk"), ((), "takes one file"),
                            ((SURVIVE, SURVIVE), "takes one file"), ((tmp_path,), str(tmp_path)),
                            ((SURVIVE, "--against", "ffffff-1"), "--store DIR is missing")]:
        done = run_command("check", *arguments)
        assert (done.status, done.out) == (2, "") and told in done.err, done


# --- run ---

def test_run_with_another_schema_warns_names_rebuild_and_goes_on_with_its_own(till):
    till.projector.stop()
    name = till.command("status", "--json")["generations"][0]["name"]
    others = ("balance", "card", "consultation", "coverage", "credit", "genetics", "identity", "inquiry", "institution",
              "lender", "loan", "rate", "scoring")
    own, till.projector.topics = till.projector.topics, dict.fromkeys(others, "elsewhere")
    till.projector.schema = EXAMPLES
    till.projector.start()
    till.projector.topics = own
    assert f"--schema differs from what generation {name} was made of" in till.projector.log()
    assert "tarn-projector rebuild" in till.projector.log()
    till.spend("ann", 100)
    till.spend("eve", 7)
    till.publisher.flush()
    till.projector.wait_caught_up()
    assert till.total("eve") == 7
    assert [g["name"] for g in till.command("status", "--json")["generations"]] == [name]


def test_a_store_that_vanishes_is_a_fault_but_not_of_a_projector_that_is_to_stop(till):
    projector = till.projector
    projector.process.child.send_signal(signal.SIGSTOP)
    shutil.rmtree(till.store)
    projector.process.child.send_signal(signal.SIGTERM)
    projector.process.child.send_signal(signal.SIGCONT)
    assert projector.stop() < 2

    projector.start(wait_ready=False)
    wait_until(lambda: (till.store / "serving").exists(), "a new store", alive=[projector.process])
    shutil.rmtree(till.store)
    assert projector.process.wait() == 1
    assert f"error tarn-projector: {till.store}" in projector.log()
