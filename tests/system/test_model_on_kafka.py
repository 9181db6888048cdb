"""The whole way against the model: random schemas and random events, bad ones among them, through a stock client, a real
Kafka and both programs; what is served, what is parked and how many views there are must be what tests/model/view_model.py,
which knows the language from its description alone, says."""

import base64
import dataclasses
import pathlib
import random
import sys
import urllib.parse

import pytest
from confluent_kafka import Producer
from survive_support import chance, tiers  # noqa: F401 (a fixture)
from tarn import ROOT
from tarn.programs import run_command

sys.path.insert(0, str(ROOT / "tests" / "model"))
import compare_model  # noqa: E402
import event_maker  # noqa: E402
import schema_maker  # noqa: E402
import view_model  # noqa: E402

FIXED_SETS = {"examples": ROOT / "build" / "examples.binpb", "fold": ROOT / "build" / "protos" / "fold.binpb"}
TYPE_HEADERS = ("type", "ce_type", "eventType")  # the first that is there counts
PARTITIONS = 3


@dataclasses.dataclass
class World:
    """One schema with its topics, and what was published into them."""

    set_path: pathlib.Path
    schema: view_model.Schema
    topic_of: dict  # stream -> topic
    is_framed: bool
    max_view_bytes: int
    dedupe_window: int
    records: list

    def model(self):
        return view_model.Model(self.schema, self.max_view_bytes, self.topic_of, self.is_framed, self.dedupe_window)

    def flags(self):
        return [*(["--framing", "confluent"] if self.is_framed else []), "--max-view-bytes", str(self.max_view_bytes),
                "--park-limit", "1000000", "--dedupe-window", str(self.dedupe_window)]


def draw_set(chance, folder):
    """A random schema that `check` takes; most are."""
    for _ in range(20):
        text = schema_maker.SchemaMaker(random.Random(chance.randrange(2**31))).text()
        path = pathlib.Path(schema_maker.compile_schema(text, folder))
        if run_command("check", path).status == 0:
            return path
    raise AssertionError("no random schema is taken")


def make_world(chance, set_path, count, new_topic):
    schema = view_model.Schema(set_path.read_bytes())
    streams = sorted({handler.stream for view in schema.views for handler in view.handlers})
    is_shared = chance.random() < 0.2  # one topic for all
    shared = new_topic("shared", PARTITIONS) if is_shared else None
    topic_of = {stream: shared or new_topic(stream, PARTITIONS) for stream in streams}
    world = World(set_path, schema, topic_of, chance.random() < 0.4, chance.choice([1 << 20, 1 << 20, 1024]),
                  chance.choice([0, 7, 50000]), [])
    maker = event_maker.EventMaker(schema, chance, people=chance.choice([3, 12, 40]), wildness=chance.choice([0, 0.01, 0.05]),
                                   topic_of=topic_of, is_framed=world.is_framed)
    world.records = tell_again(compare_model.make_records(maker, chance, count, world.model()), chance)
    return world


def tell_again(records, chance):
    """With ids for most records, and some of those once more or twice, a little or much later: as a relay that was killed
    does."""
    again = []
    for number, record in enumerate(records):
        if chance.random() < 0.7:
            record["id"] = f"event-{number}"
        again.append((number, record))
        while "id" in record and chance.random() < 0.1:
            again.append((number + chance.choice([0.5, 20.5, 200.5]), dict(record)))
    return [record for _, record in sorted(again, key=lambda entry: entry[0])]


def headers(record, chance):
    """The type in one of the ways in which it may be said, behind it what doesn't count."""
    own = [("id", record["id"].encode())] if "id" in record else []
    if not record["type"]:
        return [("content-type", b"application/protobuf"), *own]
    place = chance.randrange(len(TYPE_HEADERS))
    said = [(TYPE_HEADERS[place], record["type"].encode()), *own]
    said += [(name, b"nobody.v1.Decoy") for name in TYPE_HEADERS[place + 1:] if chance.random() < 0.3]
    chance.shuffle(said)
    return said


def publish(kafka, chance, records, on_sent=lambda number: None):
    """Gives each record the partition and offset that Kafka gave it."""
    producer = Producer({"bootstrap.servers": kafka.brokers, "partitioner": "murmur2_random", "linger.ms": 5,
                         "enable.idempotence": True, "log_level": 0})

    def note(record):
        def delivered(error, message):
            assert error is None, error
            record["partition"], record["offset"] = message.partition(), message.offset()
        return delivered

    for number, record in enumerate(records):
        producer.produce(record["topic"], value=record["value"], key=record["key"], headers=headers(record, chance),
                         timestamp=record["time_ms"], on_delivery=note(record))
        producer.poll(0)
        on_sent(number)
    assert producer.flush(60) == 0


def segment(field, value):
    """A key field as it stands in a URL."""
    kind = view_model.kind_of(field)
    text = value if kind == "text" else str(value)
    if kind == "bytes":
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    return urllib.parse.quote(text, safe="") if text not in (".", "..") else text.replace(".", "%2E")


def path_of(view, key):
    fields = [view.type.fields_by_name[name] for name in view.keys]
    return "/".join([f"/v1/{view.name}", *map(segment, fields, key)])


def check_views(world, model, query):
    """Each view that the model knows is served, or isn't when nobody has made it."""
    by_name = {view.name: view for view in world.schema.views}
    for (name, key), row in model.rows.items():
        view, path = by_name[name], path_of(by_name[name], key)
        answer = query.get(path)
        if not row.made:
            assert answer.status_code == 404, f"{path} is served, though its home stream hasn't made it: {answer.text}"
            continue
        wanted = compare_model.json_of(world.schema, view, row)
        if wanted is not None:  # a Timestamp that JSON can't write
            assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}\nwanted: {wanted}"
            assert compare_model.same_json(answer.json(), wanted), f"{path}: {answer.text}\nwanted: {wanted}"
        cls = world.schema.cls(view.type.full_name)
        served = query.get(path, headers={"Accept": "application/x-protobuf"})
        message = view_model.to_pb(compare_model.served(world.schema, view.type, row.message), cls())
        assert served.status_code == 200, path
        # Python's own order of map keys has "" in an odd place: there messages are compared, not bytes.
        assert (served.content == message.SerializeToString(deterministic=True) or
                (compare_model.has_map(view.type) and cls.FromString(served.content) == message)), \
            f"{path}:\n{cls.FromString(served.content)}\nwanted:\n{message}"


def check_counts(world, model, projector):
    counts = {line.split()[0]: int(line.split()[1]) for line in projector.digests().splitlines()}
    wanted = {view.name: sum(name == view.name for name, _ in model.rows) for view in world.schema.views}
    assert counts == wanted


def check_erased(world, model, query):
    by_name = {view.name: view for view in world.schema.views}
    for name, key in model.marks:
        if len(key) == len(by_name[name].keys):
            assert query.get(path_of(by_name[name], key)).status_code == 404, f"{name} {key} was erased"


def key_text(key):
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError:
        return base64.b64encode(key).decode()


def check_parked(model, projector):
    listed = projector.cli("parked", "list", "--json")
    given = {(event["topic"], event["partition"], event["offset"]): (event["key"], event["reason"]) for event in listed}
    wanted = {(p["record"]["topic"], p["record"]["partition"], p["record"]["offset"]):
              (key_text(p["record"]["key"]), p["reason"]) for p in model.parked if p["reason"] != "waiting"}
    assert given == wanted
    all_of_them = projector.metrics().sum("tarn_projector_parked_events")
    assert all_of_them == len(model.parked)


def check(world, projector, query):
    model = world.model()
    for record in world.records:
        model.handle(record)
    check_counts(world, model, projector)
    check_parked(model, projector)
    check_views(world, model, query)
    check_erased(world, model, query)
    return model


def run(world, chance, kafka, programs, folder, kills):
    """Publishes while the projector runs, is killed now and then, and starts again."""
    name = folder.name
    projector = programs.projector(folder / "store", kafka, world.topic_of, name=f"projector-{name}",
                                   schema=world.set_path, flags=world.flags(), wait_ready=False)
    kill_at = set(chance.sample(range(len(world.records)), kills))

    def kill_now_and_then(number):
        if number in kill_at:
            projector.kill()
            projector.start(wait_ready=False)

    publish(kafka, chance, world.records, kill_now_and_then)
    projector.wait_caught_up()
    query = programs.query(projector.store, name=f"query-{name}")
    model = check(world, projector, query)
    print(f"{name}: {len(world.records)} records, {len(set(world.topic_of.values()))} topics, "
          f"{len(model.rows)} views, {len(model.marks)} erased, {len(model.parked)} parked, {model.duplicates} told again, "
          f"{kills} kills"
          f"{', framed' if world.is_framed else ''}")
    query.stop()
    projector.stop()


@tiers(short={"schemas": 3, "records": 400, "kills": 1, "sets": 1},
       soak={"schemas": 30, "records": 1500, "kills": 3, "sets": 6, "fixed_seed": False})
def test_what_is_served_of_random_events_is_what_the_language_says(tier, chance, kafka, new_topic, programs, tmp_path):
    sets = [("made", None)] * tier["schemas"] + list(FIXED_SETS.items()) * tier["sets"]
    for number, (name, path) in enumerate(sets):
        folder = tmp_path / f"{number}-{name}"
        folder.mkdir()
        seed = chance.randrange(2**31)
        own = random.Random(seed)
        print(f"{folder.name}: seed {seed}")
        world = make_world(own, path or draw_set(own, folder), tier["records"], new_topic)
        run(world, own, kafka, programs, folder, tier["kills"])
