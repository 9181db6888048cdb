"""The JSON of every type is protobuf's own, on random messages with extreme values, whole and damaged. TARN_SEED=N repeats a
run; the soak lasts TARN_SOAK seconds (600)."""

import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build"
TOOL = BUILD / os.environ.get("TARN_FLAVOUR", "release") / "model" / "json_tool"
SEED = int(os.environ.get("TARN_SEED", random.SystemRandom().randrange(2**31)))
sets = pytest.mark.parametrize("set_name", ["every_kind", "every_kind_proto2"])


def compare(set_name, seed, count):
    done = subprocess.run([sys.executable, HERE / "json_compare.py", TOOL, BUILD / "protos" / f"{set_name}.binpb",
                           "--seed", str(seed), "--count", str(count)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    print(done.stdout.strip())


@sets
def test_json_is_that_of_protobuf_for_messages_of_every_kind_with_extreme_values(set_name):
    compare(set_name, SEED, 1500)


@pytest.mark.soak
@sets
def test_json_is_that_of_protobuf_for_as_long_as_is_asked(set_name):
    end, seed = time.monotonic() + int(os.environ.get("TARN_SOAK", "600")) / 4, SEED
    while time.monotonic() < end:
        compare(set_name, seed, 20000)
        seed += 1
