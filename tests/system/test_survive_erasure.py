"""Somebody who is erased stays erased, whatever comes late, waits, or is read again; no row keeps anything of them."""

import pytest
from survive_support import EPOCH_MS, SURVIVE, chance, rows, survive_schema, tables_with, tiers  # noqa: F401 (fixtures)
from tarn.events import Publisher
from tarn.waiting import wait_until

VIEWS = {"purse", "membership"}  # /v1/purse/p; visits have a second key field


@pytest.fixture
def world(kafka, new_topic, survive_schema, programs, tmp_path):
    """Three topics about the same people; every text in an event has its person's secret in it."""

    class World:
        topics = {stream: new_topic(stream, partitions=2) for stream in ("shop", "people", "club")}
        publisher = Publisher(kafka, survive_schema)

        def __init__(self):
            self.number = 0

        def send(self, event_type, person, fields=None, raw=None, stream=None, at=None):
            self.number += 1
            topic = self.topics[stream or event_type.split(".")[0]]
            self.publisher.publish(topic, event_type, None if fields is None else {"person": person, **fields},
                                   key=person, raw=raw, at=EPOCH_MS + self.number if at is None else at)

        def spend(self, person, **options):
            self.send("shop.v1.Spent", person, {"amount": "1", "note": secret(person)}, **options)

        def visit(self, person, **options):
            self.send("shop.v1.Visited", person, {"stops": [{"shop": secret(person), "times": "1"}]}, **options)

        def name(self, person, **options):
            self.send("people.v1.Named", person, {"name": secret(person)}, **options)

        def join(self, person, **options):
            self.send("club.v1.Joined", person, {"club": secret(person)}, **options)

        def spoil(self, event_type, person):
            """An event that can't be parsed, with something of the person in it."""
            self.send(event_type, person, raw=b"\xff\xff\xff\xff" + secret(person).encode())

        def spoil_without_type(self, stream, person):
            self.send(None, person, raw=secret(person).encode(), stream=stream)

        def forget(self, person, shop):
            self.send("people.v1.Forgotten", person, {"shop": shop})

        def erase(self, person):
            self.send("people.v1.Gone", person, {})

        def erase_with_null(self, person):
            self.send(None, person, stream="people")

        def flush(self):
            self.publisher.flush()

        def project(self, name="store", **options):
            return programs.projector(tmp_path / name, kafka, self.topics, name=name, schema=SURVIVE, **options)

    return World()


def secret(person):
    return f"secret of {person}."


def assert_nothing_left(store, person, query=None):
    """Only the marks know the name, so that they can keep it out."""
    assert tables_with(store, secret(person)) == set()
    assert tables_with(store, f"{person}") <= {"marks"}
    if query:
        for view in VIEWS:
            assert query.get(f"/v1/{view}/{person}").status_code == 404
        assert query.get(f"/v1/visits/{person}/{secret(person)}").status_code == 404


@pytest.mark.parametrize("erase", ["erase", "erase_with_null"])
def test_an_erasure_overtakes_poison_and_takes_all_that_is_parked_along(world, programs, erase):
    people = ("gone-1", "stays-1")
    for person in people:
        for send in (world.spend, world.visit, world.name, world.join):
            send(person)
        world.spoil("shop.v1.Spent", person)  # all that follows in this topic waits
        world.spend(person)
        world.visit(person)
        world.spoil("people.v1.Named", person)  # the erasure itself comes behind this one
        world.name(person)
        world.spoil_without_type("club", person)
        world.join(person)
    world.flush()
    projector = world.project().wait_caught_up()
    query = programs.query(projector.store)
    assert len(projector.cli("parked", "list", "--json")) == 6
    assert tables_with(projector.store, secret("gone-1")) == {"views", "parked"}

    getattr(world, erase)("gone-1")
    world.flush()
    projector.wait_caught_up()
    assert_nothing_left(projector.store, "gone-1", query)
    assert {event["key"] for event in projector.cli("parked", "list", "--json")} == {"stays-1"}
    assert query.get("/v1/purse/stays-1").json()["total"] == 1
    assert query.get("/v1/purse/stays-1").headers["Tarn-Incomplete"] == "true"
    assert "Tarn-Incomplete" not in query.get("/v1/purse/gone-1").headers
    assert secret("gone-1") not in projector.log()


def test_what_comes_after_an_erasure_is_dropped_in_every_topic_and_after_every_restart(world, programs):
    person = "gone-1"

    def send_everything(**options):
        for send in (world.spend, world.visit, world.name, world.join):
            send(person, **options)
        for event_type in ("shop.v1.Spent", "people.v1.Named", "club.v1.Joined"):
            world.spoil(event_type, person)
        for stream in ("shop", "people", "club"):
            world.spoil_without_type(stream, person)
        world.forget(person, secret(person))
        world.flush()

    world.name(person)
    world.spend(person)
    world.erase(person)
    world.flush()
    projector = world.project().wait_caught_up()
    query = programs.query(projector.store)
    erased = projector.digests()
    send_everything()
    send_everything(at=1000)  # long before the erasure
    projector.wait_caught_up()
    assert_nothing_left(projector.store, person, query)
    for end in (projector.stop, projector.kill):
        end()
        send_everything()
        projector.start()
        send_everything()
        projector.wait_caught_up()
        assert_nothing_left(projector.store, person, query)
    assert projector.cli("parked", "list", "--json") == []
    assert projector.digests() == erased


def test_an_erasure_of_one_view_leaves_the_others_and_frees_what_waited_for_it_alone(world, programs):
    person = "half-1"
    world.visit(person)
    world.spend(person)
    world.flush()
    projector = world.project().wait_caught_up()
    query = programs.query(projector.store)
    world.send("shop.v1.Visited", person, {"stops": [{"shop": secret(person), "times": str(2**40)}]})  # overflows
    world.spend(person)
    world.flush()
    projector.wait_caught_up()
    assert query.json(f"/v1/purse/{person}")["total"] == 1
    world.forget(person, secret(person))
    world.flush()
    wait_until(lambda: query.json(f"/v1/purse/{person}")["total"] == 2, "what waited", alive=[projector.process])
    assert query.get(f"/v1/visits/{person}/{secret(person)}").status_code == 404
    assert projector.cli("parked", "list", "--json") == []
    assert "Tarn-Incomplete" not in query.get(f"/v1/purse/{person}").headers


@tiers(short={"events": 6000, "people": 60, "kills": 4},
       soak={"events": 200000, "people": 600, "kills": 40, "fixed_seed": False})
def test_lives_that_end_at_any_moment_leave_nothing_behind(tier, chance, world):
    """Random events of random people, bad ones among them; a third is erased somewhere in between, with events behind
    it; the projector is killed now and then. Then the rows are searched, and a fresh store must hold the same."""
    people = [f"person-{number}." for number in range(tier["people"])]
    doomed = set(chance.sample(people, tier["people"] // 3))
    ends = {person: chance.randrange(tier["events"]) for person in doomed}
    by_event = {}
    for person, number in ends.items():
        by_event.setdefault(number, []).append(person)
    good = (world.spend, world.visit, world.name, world.join)
    # Only units that are cut short are spoiled; one bad event would keep everyone else's from being seen.
    spoilt = doomed | set(chance.sample(people, tier["people"] // 10))
    unlimited = ["--park-limit", "100000000"]
    projector = world.project(flags=unlimited, wait_ready=False)
    kill_at = set(chance.sample(range(tier["events"]), tier["kills"]))
    for number in range(tier["events"]):
        person = chance.choice(people)
        if person in spoilt and chance.random() < 0.02:
            chance.choice((lambda: world.spoil("shop.v1.Spent", person), lambda: world.spoil("club.v1.Joined", person),
                           lambda: world.spoil("people.v1.Named", person),
                           lambda: world.spoil_without_type("shop", person)))()
        else:
            chance.choice(good)(person)
        for gone in by_event.get(number, ()):
            chance.choice((world.erase, world.erase_with_null))(gone)
        if number in kill_at:
            projector.kill()
            projector.start(wait_ready=False)
    world.flush()
    projector.wait_caught_up()

    everything = rows(projector.store)
    for person in doomed:
        found = {table for table, key, value in everything if person.encode() in key or person.encode() in value}
        assert found == {"marks"}, f"{person} is still in {found}"
    for person in people:
        if person not in doomed:
            assert any(table == "views" and person.encode() in key for table, key, _ in everything), person
    parked = projector.cli("parked", "list", "--json")
    assert parked and not {event["key"] for event in parked} & doomed
    fresh = world.project("fresh", flags=unlimited).wait_caught_up()
    assert fresh.digests() == projector.digests()
    strip = ("topic", "partition", "offset", "reason", "waiting")
    assert ([[event[name] for name in strip] for event in fresh.cli("parked", "list", "--json")] ==
            [[event[name] for name in strip] for event in parked])
