"""Records that can't be applied, among good ones: each stops its own key, says why, and nobody else notices."""

import shutil

import pytest
from survive_support import EPOCH_MS, SURVIVE, chance, survive_schema, tiers  # noqa: F401 (fixtures)
from tarn.events import Publisher
from tarn.waiting import wait_until

SPENT = "shop.v1.Spent"
PACKED = "shop.v1.Packed"
MAX_VIEW_BYTES = 64 * 1024


def length_delimited(field, value):
    header, size = bytes([field << 3 | 2]), len(value)
    while size > 127:
        header, size = header + bytes([size & 127 | 128]), size >> 7
    return header + bytes([size]) + value


def nested(depth):
    box = b""
    for _ in range(depth):
        box = length_delimited(1, box)
    return box


def person_field(person):
    return length_delimited(1, person.encode())


def groups(depth):
    """A field that nobody knows, of a wire type that nobody writes any more."""
    return b"\xfb\x01" * depth + b"\xfc\x01" * depth


class Shop:
    """Two topics, and goods and poison of one person each."""

    def __init__(self, kafka, new_topic, schema, programs, folder):
        self.topics = {"shop": new_topic("shop", partitions=2), "people": new_topic("people", partitions=2),
                       "club": new_topic("club")}
        self.kafka = kafka
        self.schema = schema
        self.programs = programs
        self.folder = folder
        self.publisher = Publisher(kafka, schema)
        self.sent = 0

    def send(self, event_type, fields, **options):
        self.sent += 1
        options.setdefault("at", EPOCH_MS + self.sent)
        self.publisher.publish(self.topics["shop"], event_type, fields, **options)

    def spend(self, person, amount=1, note="", **options):
        self.send(SPENT, {"person": person, "amount": str(amount), "note": note}, key=person, **options)

    def flush(self):
        self.publisher.flush()

    def project(self, name="store", **options):
        options.setdefault("flags", ["--max-view-bytes", str(MAX_VIEW_BYTES)])
        return self.programs.projector(self.folder / name, self.kafka, self.topics, name=name, schema=SURVIVE,
                                       **options)


# name: (reason, how it comes about). Each is sent with the person's key unless it says otherwise.
POISON = {
    "garbage": ("unparseable", lambda shop, p: shop.send(SPENT, None, key=p, raw=b"\xff\xff\xff\xff")),
    "cut-short": ("unparseable", lambda shop, p: shop.send(SPENT, None, key=p, raw=person_field(p)[:-1])),
    "endless-varint": ("unparseable", lambda shop, p: shop.send(SPENT, None, key=p, raw=b"\x10" + b"\xff" * 11)),
    "field-zero": ("unparseable", lambda shop, p: shop.send(SPENT, None, key=p, raw=b"\x00\x00")),
    "lies-about-length": ("unparseable",
                          lambda shop, p: shop.send(SPENT, None, key=p, raw=b"\x0a\xff\xff\xff\xff\x0f")),
    "not-utf8": ("unparseable",
                 lambda shop, p: shop.send(SPENT, None, key=p, raw=person_field(p) + b"\x1a\x02\xc3\x28")),
    "nested-10000": ("unparseable", lambda shop, p: shop.send(
        PACKED, None, key=p, raw=person_field(p) + length_delimited(2, nested(10000)))),
    "nested-101": ("unparseable", lambda shop, p: shop.send(
        PACKED, None, key=p, raw=person_field(p) + length_delimited(2, nested(101)))),
    "groups-10000": ("unparseable", lambda shop, p: shop.send(SPENT, None, key=p, raw=person_field(p) + groups(10000))),
    "group-without-end": ("unparseable",
                          lambda shop, p: shop.send(SPENT, None, key=p, raw=person_field(p) + b"\xfb\x01")),
    "end-without-group": ("unparseable",
                          lambda shop, p: shop.send(SPENT, None, key=p, raw=person_field(p) + b"\xfc\x01")),
    "no-type": ("no type", lambda shop, p: shop.send(None, None, key=p, raw=person_field(p))),
    "foreign-key": ("foreign key", lambda shop, p: shop.send(SPENT, {"person": "somebody else", "amount": "1"}, key=p)),
    "no-owner": ("no key", lambda shop, p: shop.send(SPENT, {"amount": "1"}, key=p)),
    "overflow": ("overflow", lambda shop, p: shop.spend(p, 2**31 - 1)),  # there is 1 already
    "too-wide": ("overflow", lambda shop, p: shop.spend(p, 2**40)),
    "oversized": ("too large", lambda shop, p: shop.spend(p, note="x" * (MAX_VIEW_BYTES + 1))),
    "wrong-topic": ("wrong topic", lambda shop, p: shop.send("club.v1.Joined", {"person": p, "club": "c"}, key=p)),
}


@pytest.fixture
def shop(kafka, new_topic, survive_schema, programs, tmp_path):
    return Shop(kafka, new_topic, survive_schema, programs, tmp_path)


def parked(projector):
    return {event["key"]: event for event in projector.cli("parked", "list", "--json")}


def test_each_kind_of_poison_stops_its_key_and_nobody_else(shop, programs):
    neighbours = [f"neighbour-{number}" for number in range(20)]
    for person in POISON:
        shop.spend(person)
    for person, (_, spoil) in POISON.items():
        spoil(shop, person)
        for neighbour in neighbours:
            shop.spend(neighbour)
    for amount in (10, 100):  # wait in order
        for person in POISON:
            shop.spend(person, amount, note=f"{amount}")
    shop.send(SPENT, {"person": "keyless", "amount": "1"})
    shop.spend("keyless", 5)
    shop.send(SPENT, None, key="odd but fine", raw=person_field("odd but fine") + b"\x10\x02" + groups(50))
    shop.flush()
    projector = shop.project().wait_caught_up()
    query = programs.query(projector.store)

    listed = projector.cli("parked", "list", "--json")
    assert {(event["key"], event["reason"], event["waiting"]) for event in listed} == \
        {(person, reason, 2) for person, (reason, _) in POISON.items()} | {(None, "no key", 0)}
    for person in POISON:
        answer = query.get(f"/v1/purse/{person}")
        assert answer.json()["total"] == 1, person
        assert answer.headers["Tarn-Incomplete"] == "true", person
    for person, total in [("keyless", 5), ("odd but fine", 2), *((n, len(POISON)) for n in neighbours)]:
        answer = query.get(f"/v1/purse/{person}")
        assert answer.json()["total"] == total, person
        assert "Tarn-Incomplete" not in answer.headers, person
    assert projector.metrics().sum("tarn_projector_parked_events") == 3 * len(POISON) + 1

    # What is as bad as before stays, and stays in order; over a restart too.
    before = projector.cli("parked", "show", "--all", "--json")
    projector.cli("parked", "retry", "--all")
    assert projector.cli("parked", "show", "--all", "--json") == before
    projector.kill()
    projector.start()
    shop.spend("overflow", 1000, note="1000")
    shop.flush()
    projector.wait_caught_up()
    assert parked(projector)["overflow"]["waiting"] == 3
    assert query.json("/v1/purse/overflow")["total"] == 1

    # Given up: what waited is applied, in order.
    projector.cli("parked", "drop", "--topic", shop.topics["shop"], "--key", "overflow")
    wait_until(lambda: query.json("/v1/purse/overflow")["total"] == 1111, "what waited", alive=[projector.process])
    assert [note["text"] for note in query.json("/v1/purse/overflow")["notes"]] == ["", "10", "100", "1000"]
    assert "Tarn-Incomplete" not in query.get("/v1/purse/overflow").headers
    assert "overflow" not in parked(projector) and len(parked(projector)) == len(POISON)
    projector.cli("parked", "drop", "--all")
    assert projector.cli("parked", "list", "--json") == []
    others = [person for person in POISON if person != "overflow"]
    wait_until(lambda: all(query.json(f"/v1/purse/{person}")["total"] == 111 for person in others), "what waited",
               alive=[projector.process])


def test_what_was_dropped_stays_dropped_when_the_log_is_read_again(shop):
    for person in ("a", "b"):
        shop.spend(person)
        shop.spend(person, 2**40)
        shop.spend(person, 10)
    shop.flush()
    projector = shop.project().wait_caught_up()
    projector.cli("parked", "drop", "--topic", shop.topics["shop"], "--key", "a")
    assert set(parked(projector)) == {"b"}
    dropped = projector.digests()
    projector.kill()
    projector.start()
    projector.wait_caught_up()
    assert (set(parked(projector)), projector.digests()) == ({"b"}, dropped)

    projector.stop()
    shutil.rmtree(projector.store / "generations")  # everything but the decisions
    (projector.store / "serving").unlink()
    projector.start()
    projector.wait_caught_up()
    assert (set(parked(projector)), projector.digests()) == ({"b"}, dropped)


def test_what_waits_is_applied_in_order_once_its_cause_is_gone_and_not_before(shop, programs):
    """In one store a cause goes when somebody erases the one view, of several, that an event can't be applied to. A retry
    before it changes nothing; after it none is needed, or the order of topics would show."""
    def visit(*stops):
        elements = [{"shop": name, "times": str(times)} for name, times in stops]
        shop.send("shop.v1.Visited", {"person": "p", "stops": elements}, key="p")

    visit(("bakery", 1), ("butcher", 1))
    shop.spend("p", 1)
    visit(("bakery", 2**40), ("butcher", 2))
    visit(("butcher", 3))
    shop.spend("p", 10, note="waited")
    shop.flush()
    projector = shop.project().wait_caught_up()
    query = programs.query(projector.store)
    assert parked(projector)["p"]["reason"] == "overflow" and parked(projector)["p"]["waiting"] == 2
    assert query.json("/v1/visits/p/butcher")["times"] == 1
    projector.cli("parked", "retry", "--topic", shop.topics["shop"], "--key", "p")
    assert parked(projector)["p"]["waiting"] == 2

    shop.publisher.publish(shop.topics["people"], "people.v1.Forgotten", {"person": "p", "shop": "bakery"}, key="p")
    shop.flush()
    projector.wait_caught_up()
    assert query.get("/v1/visits/p/bakery").status_code == 404
    assert parked(projector) == {}
    wait_until(lambda: query.json("/v1/purse/p")["total"] == 11, "what waited", alive=[projector.process])
    assert query.json("/v1/visits/p/butcher")["times"] == 3
    assert query.get("/v1/visits/p/bakery").status_code == 404
    assert "Tarn-Incomplete" not in query.get("/v1/visits/p/butcher").headers


def test_beyond_the_park_limit_the_partition_stops_and_says_why_and_goes_on_when_there_is_room(shop, programs):
    projector = shop.project(flags=["--park-limit", "20"])
    query = programs.query(projector.store)
    for number in range(30):
        shop.send(SPENT, None, key=f"bad-{number}", raw=b"\xff", partition=0)
    shop.spend("behind", 7, partition=0)
    for number in range(100):
        shop.spend("elsewhere", 1, partition=1)
    shop.flush()
    topic = shop.topics["shop"]
    labels = {"topic": topic, "partition": "0"}

    def partition(number):
        return next(p for p in projector.status()["partitions"] if p["topic"] == topic and p["partition"] == number)

    wait_until(lambda: partition(0)["state"] == "parked", "the stop", alive=[projector.process])
    wait_until(lambda: query.json("/v1/purse/elsewhere")["total"] == 100, "the other partition",
               alive=[projector.process])
    assert partition(1)["state"] == "following"
    wait_until(lambda: projector.metrics().sum("tarn_projector_partition_stopped", **labels) == 1, "the metric",
               alive=[projector.process])
    assert projector.metrics().sum("tarn_projector_partition_parked", **labels) == 20
    wait_until(lambda: "parked" in (projector.status()["problem"] or ""), "a word in status", alive=[projector.process])
    assert f"{topic}/0" in projector.log() and "parked" in projector.log()
    assert query.get("/v1/purse/behind").status_code == 404
    projector.kill()
    projector.start(wait_ready=False)  # it stays stopped
    wait_until(lambda: projector.metrics().sum("tarn_projector_partition_stopped", **labels) == 1, "the stop again",
               alive=[projector.process])
    assert partition(0)["state"] == "parked"

    for _ in range(3):  # 30 bad ones, 20 at a time
        projector.cli("parked", "drop", "--all")
        shop.spend("elsewhere", 1, partition=1)
    shop.flush()

    def goes_on():
        if partition(0)["state"] == "parked":
            projector.cli("parked", "drop", "--all")
        return query.get("/v1/purse/behind").status_code == 200

    wait_until(goes_on, "the partition to go on", 60, alive=[projector.process], poll_s=0.2)
    assert query.json("/v1/purse/behind")["total"] == 7
    wait_until(lambda: partition(0)["state"] == "following" and partition(0)["lag"] == 0, "the end",
               alive=[projector.process])


@tiers(short={"events": 8000, "people": 300, "kills": 3},
       soak={"events": 300000, "people": 3000, "kills": 40, "fixed_seed": False})
def test_random_poison_and_kills_end_in_the_same_store_as_one_quiet_run(tier, chance, shop):
    people = [f"person-{number}" for number in range(tier["people"])]
    kinds = [spoil for _, spoil in POISON.values()]
    kill_at = set(chance.sample(range(tier["events"]), tier["kills"]))
    flags = ["--max-view-bytes", str(MAX_VIEW_BYTES), "--park-limit", "100000000"]
    projector = shop.project(flags=flags, wait_ready=False)
    for number in range(tier["events"]):
        person = chance.choice(people)
        if chance.random() < 0.01:
            chance.choice(kinds)(shop, person)
        else:
            shop.spend(person, chance.randrange(100), note=f"{number}")
        if number in kill_at:
            projector.kill()
            projector.start(wait_ready=False)
    shop.flush()
    projector.wait_caught_up()
    quiet = shop.project("quiet", flags=flags).wait_caught_up()

    def all_parked(of):
        return sorted((e["topic"], e["partition"], e["offset"], e["reason"]) for e in
                      of.cli("parked", "show", "--all", "--json"))

    assert projector.digests() == quiet.digests()
    assert all_parked(projector) == all_parked(quiet)
    for one in (projector, quiet):
        for _ in range(tier["events"]):  # a unit may hold many bad ones, and dropping one brings the next
            one.cli("parked", "drop", "--all")
            if not one.cli("parked", "list", "--json"):
                break
    assert projector.digests() == quiet.digests()
    assert all_parked(projector) == all_parked(quiet) == []
