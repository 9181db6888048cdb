"""The projector's parts and the model fold the same events to the same bytes. TARN_SEED=N repeats a run."""

import os
import pathlib
import random
import time

import pytest

import compare_model

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROJECT = str(ROOT / "build" / os.environ.get("TARN_FLAVOUR", "release") / "model" / "project")
SEED = int(os.environ.get("TARN_SEED", random.SystemRandom().randrange(2**31)))
SETS = [str(ROOT / "build" / "examples.binpb"), str(ROOT / "build" / "protos" / "fold.binpb")]


def compare_schemas(first_seed, schemas, count):
    """Schemas may be refused now and then, but not most of them: then nothing would be compared."""
    refused = []
    for number in range(schemas):
        try:
            found = compare_model.compare_random_schema(PROJECT, first_seed + number, count)
        except compare_model.Refused as mistake:
            refused.append(str(mistake))
            continue
        assert found is None, found
    assert len(refused) * 4 <= schemas, refused


@pytest.mark.parametrize("set_path", SETS, ids=lambda path: pathlib.Path(path).stem)
def test_the_projection_of_a_schema_equals_the_model(set_path):
    print(f"seed {SEED}")
    for number in range(4):
        found = compare_model.compare(PROJECT, set_path, SEED + number, 300)
        assert found is None, found


def test_the_projection_of_random_schemas_equals_the_model():
    print(f"seed {SEED}")
    compare_schemas(SEED, 12, 250)


@pytest.mark.soak
def test_the_projection_equals_the_model_for_as_long_as_is_asked():
    """For TARN_SOAK seconds (600): schema by schema, so that a run which is cut short has looked at all kinds."""
    print(f"seed {SEED}")
    end, number = time.monotonic() + int(os.environ.get("TARN_SOAK", "600")), 0
    while time.monotonic() < end:
        set_path = SETS[number % len(SETS)]
        found = compare_model.compare(PROJECT, set_path, SEED + number, 1000)
        assert found is None, found
        compare_schemas(SEED + 10 * number, 10, 500)
        number += 1
    print(f"{number} times 1,000 events of the fixed schemas, {10 * number} random schemas of 500 events each")
    assert number > 0
