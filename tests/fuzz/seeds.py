#!/usr/bin/env python3
"""First inputs for the two fuzz targets that would hardly find any by themselves.

    seeds.py FOLDER     FOLDER/view_set: schemas, as small as they still compile; FOLDER/event_path: records by chance

What fuzzing then found worth keeping stands beside them in corpus/."""

import pathlib
import random
import struct
import sys
import tempfile

from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "model"))
import event_maker  # noqa: E402
import schema_maker  # noqa: E402
import view_model  # noqa: E402

SCHEMAS = ["plan", "fold", "keys", "served", "mistakes", "reference", "survive", "till"]
RANDOM_SCHEMAS, SEQUENCES = 12, 60
PEOPLE = ["u0", "u1", "u2"]  # fuzz_event_path.c's first ones
NO_KEY, NULL = 1, 2


def without_options_of_options(path):
    """Nothing refers to the messages of descriptor.proto and view.proto: a fuzzer needn't turn their bytes."""
    files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(path).read_bytes())
    kept = [file for file in files.file if file.name not in ("google/protobuf/descriptor.proto", "tarn/view.proto")]
    for file in kept:
        for name in list(file.dependency):
            if name in ("google/protobuf/descriptor.proto", "tarn/view.proto"):
                file.dependency.remove(name)
    return descriptor_pb2.FileDescriptorSet(file=kept).SerializeToString()


def write_schemas(folder):
    for name in SCHEMAS:
        (folder / name).write_bytes(without_options_of_options(ROOT / "build" / "protos" / f"{name}.binpb"))
    for seed in range(RANDOM_SCHEMAS):
        with tempfile.TemporaryDirectory() as made:
            text = schema_maker.SchemaMaker(random.Random(seed)).text()
            (folder / f"made-{seed}").write_bytes(without_options_of_options(schema_maker.compile_schema(text, made)))


def framed(record, event_numbers):
    flags = (NO_KEY if record["key"] is None else 0) | (NULL if record["value"] is None else 0)
    value = record["value"] or b""
    person = PEOPLE.index(record["key"].decode()) if record["key"] else 0
    return struct.pack("<BBBH", event_numbers[record["type"]], person, flags, len(value)) + value


def write_records(folder):
    schema = view_model.Schema((ROOT / "build" / "protos" / "fold.binpb").read_bytes())
    names = sorted({handler.event.full_name for view in schema.views for handler in view.handlers})
    event_numbers = {name: number for number, name in enumerate(names)}
    for seed in range(SEQUENCES):
        rng = random.Random(seed)
        maker = event_maker.EventMaker(schema, rng, people=len(PEOPLE), wildness=0.02)
        records, wanted = [], rng.randrange(3, 30)
        while len(records) < wanted:
            record = maker.record()
            if record["key"] is None or record["key"].decode() in PEOPLE:
                records.append(framed(record, event_numbers))
        (folder / f"life-{seed}").write_bytes(b"\0" + b"".join(records))


def main():
    for name, write in (("view_set", write_schemas), ("event_path", write_records)):
        folder = pathlib.Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        write(folder)


if __name__ == "__main__":
    main()
