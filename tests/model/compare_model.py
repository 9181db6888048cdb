#!/usr/bin/env python3
"""Folds the same random events with the real projector's parts (project.c) and with the model (view_model.py).

    compare_model.py PROJECT SET.binpb... [--count N] [--seed N]
    compare_model.py PROJECT --random-schemas N [--count N] [--seed N]

Held to be equal: which views there are, whether they are made, their bytes, their JSON, and which events are parked and
why. Prints the seed; the same seed gives the same events.
"""

import argparse
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

from google.protobuf import json_format

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import event_maker  # noqa: E402
import schema_maker  # noqa: E402
import view_model  # noqa: E402


def frame(record):
    key, value = record["key"], record["value"]
    topic, kind = record["topic"].encode(), record["type"].encode()
    head = struct.pack("<HiqqBBIHI", len(topic), record["partition"], record["offset"], record["time_ms"],
                       key is not None, value is None, len(key or b""), len(kind), len(value or b""))
    return head + topic + (key or b"") + kind + (value or b"")


def project(program, set_path, records, *options):
    done = subprocess.run([program, set_path, *options], input=b"".join(map(frame, records)), capture_output=True,
                          check=False)
    if done.returncode != 0:
        raise AssertionError(f"{program} {set_path}: exit {done.returncode}: {done.stderr.decode()}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line for line in lines if "view" in line], [line for line in lines if "parked" in line]


def served(schema, kind, value):
    """What a reader gets: without hidden fields, lists cut to their limit."""
    out = {}
    for name, item in value.items():
        field = kind.fields_by_name[name]
        rules = schema.rules(field)
        if rules is not None and rules.hidden:
            continue
        if field.is_repeated:
            item = item[: rules.limit] if rules is not None and rules.limit else item
        if field.type == field.TYPE_MESSAGE:
            if field.is_repeated:
                item = [served(schema, field.message_type, element) for element in item]
            else:
                item = served(schema, field.message_type, item)
        out[name] = item
    return out


def json_of(schema, view, row):
    kind = schema.cls(view.type.full_name)
    message = view_model.to_pb(served(schema, view.type, row.message), kind())
    try:
        text = json_format.MessageToJson(message, always_print_fields_with_no_presence=True, ensure_ascii=False)
    except (ValueError, json_format.Error):
        return None
    shown = json.loads(text)
    for field in view.type.fields:  # a hidden field isn't there, not even as a zero
        drop_hidden(schema, view.type, shown)
    return shown


def drop_hidden(schema, kind, shown):
    if not isinstance(shown, dict):
        return
    for field in kind.fields:
        rules = schema.rules(field)
        if rules is not None and rules.hidden:
            shown.pop(field.json_name, None)
        elif field.type == field.TYPE_MESSAGE and field.json_name in shown and not view_model.is_map(field):
            below = shown[field.json_name]
            for item in below if isinstance(below, list) else [below]:
                drop_hidden(schema, field.message_type, item)


def has_map(kind, seen=()):
    return kind not in seen and any(
        view_model.is_map(field) or (field.message_type and has_map(field.message_type, (*seen, kind)))
        for field in kind.fields)


def same_json(a, b):
    """Floats are equal when they are the same float32: there are several ways to write one."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_json(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_json, a, b))
    if isinstance(a, float) and isinstance(b, (int, float)) and a != b:
        return abs(a) < 3.4e38 and abs(b) < 3.4e38 and view_model.as_float32(a) == view_model.as_float32(b)
    return a == b


def difference(schema, model, views, parked):
    """The first thing that isn't equal, as text, or None."""
    by_name = {view.name: view for view in schema.views}
    seen = set()
    for line in views:
        view = by_name[line["view"]]
        stored = bytes.fromhex(line["hex"])
        message = schema.cls(view.type.full_name).FromString(stored)
        key = tuple(getattr(message, name) for name in view.keys)
        seen.add((view.name, key))
        row = model.rows.get((view.name, key))
        where = f"{view.name} {key}"
        if row is None:
            return f"{where}: the model has no such view:\n{message}"
        wanted = model.view_message(view, row)
        if row.made != line["made"]:
            return f"{where}: made is {line['made']}, {row.made} for the model"
        # Python's own order of map keys has "" in an odd place: there messages are compared, not bytes.
        if wanted.SerializeToString(deterministic=True) != stored and (wanted != message or not has_map(view.type)):
            return f"{where}: the model has\n{wanted}\nwhere the projection has\n{message}"
        shown = json_of(schema, view, row)
        if line["json"] is not None and shown is not None and not same_json(shown, line["json"]):
            return f"{where}: JSON is\n{line['json']}\nwhere it should be\n{shown}"
    missing = set(model.rows) - seen
    if missing:
        name, key = sorted(missing, key=str)[0]
        return f"{name} {key}: there is no such view, but the model has\n{model.rows[(name, key)].message}"
    given = {(line["topic"], line["offset"]): line["parked"] for line in parked}
    wanted = {(p["record"]["topic"], p["record"]["offset"]): p["reason"] for p in model.parked}
    if given != wanted:
        at = sorted(k for k in set(given) | set(wanted) if given.get(k) != wanted.get(k))[0]
        text = next((line["message"] for line in parked if (line["topic"], line["offset"]) == at), "")
        return f"{at[0]}@{at[1]} is parked as {given.get(at)} ({text}), as {wanted.get(at)} by the model"
    return None


def make_records(maker, rng, count, model):
    """Random records. A bad one blocks all later ones of its key, so most of the bad are left out."""
    records = []
    while len(records) < count:
        record = maker.record()
        before = list(model.parked)
        model.handle(record)
        if len(model.parked) > len(before) and rng.random() < 0.95:
            model.parked = before
        else:
            records.append(record)
    return records


def compare(program, set_path, seed, count):
    """None, or what differs after the least number of events of this seed that shows it."""
    schema = view_model.Schema(pathlib.Path(set_path).read_bytes())
    rng = random.Random(seed)
    people, wildness = rng.choice([1, 3, 6]), rng.choice([0, 0.01, 0.05])
    maker = event_maker.EventMaker(schema, rng, people=people, wildness=wildness)
    limit = rng.choice([1 << 20, 1 << 20, 150])  # of one stream's part of a view, in bytes
    records = make_records(maker, rng, count, view_model.Model(schema, max_view_bytes=limit))

    def try_first(n):
        model = view_model.Model(schema, max_view_bytes=limit)
        for record in records[:n]:
            model.handle(record)
        return difference(schema, model, *project(program, set_path, records[:n], "--max-view-bytes", str(limit)))

    found = try_first(count)
    if found is None:
        return None
    low, high = 0, count  # equal after low, different after high
    while high - low > 1:
        middle = (low + high) // 2
        if try_first(middle) is None:
            low = middle
        else:
            high = middle
    record = records[high - 1]
    event = schema.cls(record["type"])
    try:
        shown = "null" if record["value"] is None else str(event.FromString(record["value"]))
    except Exception:
        shown = repr(record["value"])
    return (f"seed {seed}, {set_path}: event {high} of {count} ({record['type']}, {record['topic']}@{record['offset']}, "
            f"key {record['key']}):\n{shown}\n{try_first(high)}")


class Refused(Exception):
    """The random schema has a mistake: nothing to compare."""


def compare_random_schema(program, seed, count):
    with tempfile.TemporaryDirectory() as folder:
        set_path = schema_maker.compile_schema(schema_maker.SchemaMaker(random.Random(seed)).text(), folder)
        refused = subprocess.run([program, set_path], input=b"", capture_output=True, check=False)
        if refused.returncode == 1 and b"made.binpb: " in refused.stderr:
            raise Refused(refused.stderr.decode())
        found = compare(program, set_path, seed, count)
        if found is not None:
            found += "\n" + (pathlib.Path(folder) / "made.proto").read_text()
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("sets", nargs="*")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--random-schemas", type=int, default=0)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(2**31)
    print(f"seed {seed}")
    failures, refusals = 0, 0
    for number in range(arguments.rounds):
        for set_path in arguments.sets:
            found = compare(arguments.program, set_path, seed + number, arguments.count)
            if found is not None:
                failures += 1
                print(found)
    for number in range(arguments.random_schemas):
        try:
            found = compare_random_schema(arguments.program, seed + number, arguments.count)
        except Refused as refused:
            found = None
            refusals += 1
            print(f"seed {seed + number}: {refused}")
        if found is not None:
            failures += 1
            print(found)
    print(f"{failures} differ, {refusals} schemas refused")
    return 1 if failures or refusals * 2 > arguments.random_schemas else 0


if __name__ == "__main__":
    sys.exit(main())
